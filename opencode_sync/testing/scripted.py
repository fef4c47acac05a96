"""A backend in memory that follows a script: expect this request, answer that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig
from opencode_sync.operations import Folder
from opencode_sync.reconnect import ReconnectPolicy
from opencode_sync.testing.answers import as_answer, is_text, said, wants_text
from opencode_sync.testing.checked import Checked
from opencode_sync.testing.envelope import error_answer, unwrap
from opencode_sync.testing.peer import Links, ServedLink
from opencode_sync.testing.script import Action, Expectation, ScriptError, shown
from opencode_sync.wire import ext_operations_pb2, ipc_pb2

if TYPE_CHECKING:
    from opencode_sync.metrics import Metrics
    from opencode_sync.options import IpcClientOptions
    from opencode_sync.transport.base import Transport, TransportFactory

__all__ = ["ScriptedBackend"]

_CONFIG: Final = IpcConfig(port=4096, auth_token="a script takes any token")


class ScriptedBackend(Checked):
    """Answers the requests of clients as a script says, and tells what did not go by it.

    Example::

        with ScriptedBackend() as backend:
            backend.expect("list_sessions").answer([])
            backend.expect("create_session", title="x").error("SERVER_ERROR", "the disk is full")
            with backend.client() as client:
                program_under_test(client)

    Leaving the block verifies that all that was expected has come. A request that was not expected
    fails at its caller with what was expected in its place, and again when it is verified, should
    the caller have swallowed that. Clients take the backend by ``transport_factory``; each
    connection is served by a thread of its own, and all go by the same script. The handshake is
    answered by itself, and so is ``cancel``, by which a client gives up a prompt.

    Any thread may call any method.
    """

    def __init__(self, *, in_order: bool = True) -> None:
        """Make a backend without a script.

        Args:
            in_order: Whether requests have to come in the order in which they were expected.
        """
        self._in_order = in_order
        self._lock = threading.Lock()  # guards the three below, and how often each request came
        self._expected: list[Expectation] = []
        self._problems: list[str] = []
        self._cause: BaseException | None = None
        """What the first function of the script's that failed has raised."""
        self._links = Links(self._take)

    def expect(
        self, operation: str, /, *, directory: str | None = None, **fields: Any
    ) -> Expectation:
        """Expect a request. Say what becomes of it with the methods of what is returned.

        Args:
            operation: The name of the client's method.
            directory: The project folder that it has to be about; None: any.
            **fields: What its payload has to hold; all else may be anything.

        Raises:
            IpcArgumentError: there is no such operation, or it has no such field.
        """
        expectation = Expectation(operation, directory, fields)
        with self._lock:
            self._expected.append(expectation)
        return expectation

    def transport_factory(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        """Make a link to this backend: what ``IpcClient`` takes by the same name."""
        return self._links.transport(config, options)

    def client(
        self,
        *,
        options: IpcClientOptions | None = None,
        metrics: Metrics | None = None,
        reconnect: ReconnectPolicy | None = None,
        transport_factory: TransportFactory | None = None,
        directory: Folder = None,
    ) -> IpcClient:
        """Return a client of this backend, not connected yet.

        The arguments are those of ``IpcClient``. By default it does not come back after its
        connection was lost, so that no request is repeated. A ``transport_factory`` is what comes
        between, around the method of the same name: faults, a recorder.
        """
        return IpcClient(
            _CONFIG,
            options=options,
            metrics=metrics,
            reconnect=reconnect,
            transport_factory=transport_factory or self.transport_factory,
            directory=directory,
        )

    def verify(self) -> None:
        """See to it that what was expected has come, and nothing else.

        Raises:
            ScriptError: it has not; says all that is wrong.
        """
        problems = self._report()
        if problems:
            raise ScriptError(problems) from self._cause

    def close(self) -> None:
        """End all connections and their threads. Idempotent."""
        self._links.close()

    def __repr__(self) -> str:
        with self._lock:
            met = sum(each.met for each in self._expected)
            return f"<ScriptedBackend {met} of {len(self._expected)} expected requests came>"

    def _report(self) -> str:
        with self._lock:
            problems = list(self._problems)
            problems += [
                f"{each} never came"
                if not each.came
                else f"{each} came {each.came} times of {each.wanted}"
                for each in self._expected
                if not each.met
            ]
        problems += [f"a connection was dropped because of {each!r}" for each in self._links.errors]
        return "the script was not followed: " + "; ".join(problems) if problems else ""

    # --- The links' threads ---

    def _take(self, link: ServedLink, message: ipc_pb2.IpcClientMessage) -> None:
        request, directory = unwrap(message)
        operation = request.WhichOneof("payload") or ""
        payload: Message = getattr(request, operation, request)
        expectation, problem = self._find(operation, payload, directory)
        if expectation is not None:
            _Answering(self._note, link, request.request_id, payload, expectation).go_on()
        elif operation == "cancel":
            link.send(message.request_id, ext_operations_pb2.IpcCancelResponse(found=True))
        else:
            self._note(problem)
            link.send(message.request_id, error_answer("INVALID_MESSAGE", problem))

    def _find(
        self, operation: str, payload: Message, directory: str
    ) -> tuple[Expectation | None, str]:
        """Return the expectation that a request meets, or what to say when there is none."""
        with self._lock:
            open_ones = [each for each in self._expected if not each.met]
            for each in open_ones[:1] if self._in_order else open_ones:
                if each.matches(operation, payload, directory):
                    each.came += 1
                    return each, ""
        wanted = [str(each) for each in (open_ones[:1] if self._in_order else open_ones)]
        return None, (
            f"{shown(operation, payload, directory)} came, and the script expects "
            f"{' or '.join(wanted) or 'nothing more'}"
        )

    def _note(self, problem: str, error: BaseException | None = None) -> None:
        with self._lock:
            self._problems.append(problem)
            self._cause = self._cause or error


class _Answering:
    """Does the steps of an expectation about one request, each when it is due."""

    def __init__(
        self,
        note: Callable[[str, BaseException | None], None],
        link: ServedLink,
        request_id: int,
        payload: Message,
        expectation: Expectation,
    ) -> None:
        self._note = note
        self._link = link
        self._request_id = request_id
        self._payload = payload
        self._operation = expectation.operation
        self._name = str(expectation)
        self._actions = iter(tuple(expectation.actions))
        self._has_said = False
        """Whether the model's text was pushed, or a part of it."""
        if not expectation.actions:
            self._fail(
                f"{self._name} was expected, but nothing said what then: add answer(), "
                "error(), nothing() or another step"
            )

    def go_on(self) -> None:
        """Do all that can be done now, and have the rest done later."""
        for action in self._actions:
            if action.after is None:
                self._do(action)
                continue

            def then(action: Action = action) -> None:
                self._do(action)
                self.go_on()

            self._link.later(action.after, then)
            return

    def _do(self, action: Action) -> None:
        if action.kind == "raw":
            self._link.send_raw(action.data)
        elif action.kind == "close":
            self._link.close(action.code, action.reason)
        elif action.kind == "drop":
            self._link.drop()
        elif action.kind == "send":
            try:
                answer = action.answer
                value = answer(self._payload) if callable(answer) else answer
                message = as_answer(self._operation, value, self._payload)
                self._has_said = self._has_said or is_text(message)
                if isinstance(value, str) and not self._has_said and wants_text(self._payload):
                    self._link.send(self._request_id, said(value, self._payload))
                self._link.send(self._request_id, message)
            # A user's function may raise anything; pytest.fail is no Exception.
            except BaseException as error:  # noqa: BLE001
                self._fail(f"the answer to {self._name} could not be made: {error!r}", error)

    def _fail(self, problem: str, error: BaseException | None = None) -> None:
        self._note(problem, error)
        self._link.send(self._request_id, error_answer("INTERNAL_ERROR", problem))

"""``FakeIpcClient``: the client itself, with a backend in memory that does what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opencode_sync.call import Call
from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig, IpcConfigProvider
from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations import Folder
from opencode_sync.reconnect import ReconnectPolicy
from opencode_sync.testing.checks import check_all, check_count
from opencode_sync.testing.envelope import check_operation
from opencode_sync.testing.failures import Failure, check_failure, instance_of
from opencode_sync.testing.fake_backend import FakeBackend
from opencode_sync.testing.fake_calls import CallLog, FakeCall
from opencode_sync.testing.fake_events import add_properties
from opencode_sync.testing.fake_pause import PauseWhileDown
from opencode_sync.testing.gate import Gate
from opencode_sync.testing.steps import PromptScript, Step, checked_steps
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from opencode_sync.wire.oc_agent_pb2 import OcAgentInfo
from opencode_sync.wire.oc_model_pb2 import OcModelInfo
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from opencode_sync.metrics import Metrics
    from opencode_sync.options import IpcClientOptions
    from opencode_sync.transport.base import Transport, TransportFactory

__all__ = ["FakeCall", "FakeIpcClient"]

_CONFIG: Final = IpcConfig(port=4096, auth_token="the fake takes any token")
_DOWN: Final = "the fake backend is down: the test said so"


class FakeIpcClient(IpcClient):
    """An ``IpcClient`` for tests, without a gateway, OpenCode, a model, sockets or waiting.

    It is a client in every respect, because it is one: time-outs, cancel tokens, futures, streams,
    states and checks of arguments are the client's own code. Only the backend it talks to, in
    memory, is made up: it keeps sessions, and answers prompts as it was told (``answer_prompt``),
    by default with ``"You said: ..."``. The same calls give the same ids, times and events in every
    run. The backend serves requests in the order they come, on one thread per connection.

    Example::

        with FakeIpcClient() as fake:
            fake.answer_prompt("It sells shoes.")
            assert describe_project(fake) == "It sells shoes."
            assert [call.operation for call in fake.calls] == ["create_session", "prompt"]

    Like any client it has to be connected first. Any thread may call any method. What tests may
    do besides ("operation" is the name of a method, or what ``FakeCall`` calls it):

    - ``add_session``, ``sessions``, ``healthy``, ``set_agents``, ``set_models``: what there is;
    - ``fail_next``, ``fail_always``, ``stop_failing``: calls that raise;
    - ``hold``: answers that come when the test says so;
    - ``answer_prompt``: what the model does;
    - ``emit``, ``end_events``: what ``events`` yields;
    - ``go_down``, ``come_back``: the connection;
    - ``calls``, ``wait_for_call``: what the program under test did.
    """

    def __init__(
        self,
        config: IpcConfig | IpcConfigProvider | None = None,
        *,
        options: IpcClientOptions | None = None,
        metrics: Metrics | None = None,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008 - it is immutable
        transport_factory: TransportFactory | None = None,
        directory: Folder = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Make a fake. Does no I/O.

        The arguments are those of ``IpcClient``, so that a test can put this class in its place.

        Args:
            config: Not used: the fake has a backend of its own.
            options: As for ``IpcClient``.
            metrics: As for ``IpcClient``.
            reconnect: As for ``IpcClient``; the pauses are those while the fake is down. Once it is
                not, it is back at once.
            transport_factory: Not used, as ``config`` is not. To have something between a client
                and this backend, give that the method of the same name.
            directory: As for ``IpcClient``.
            tracer_provider: As for ``IpcClient``.
        """
        self._fake = FakeBackend()
        if isinstance(reconnect, ReconnectPolicy):
            reconnect = PauseWhileDown.of(reconnect, lambda: self._fake.links.refusing)
        super().__init__(
            _CONFIG,
            options=options,
            metrics=metrics,
            reconnect=reconnect,
            transport_factory=self._fake.links.transport,
            directory=directory,
            tracer_provider=tracer_provider,
        )
        self._log = CallLog()
        # Here every call passes, in its caller's thread, and can be ended by any error as if that
        # had come from below. So what was called is known at once, sent or not.
        self._send = self._supervisor.submit
        self._supervisor.submit = self._submit  # type: ignore[method-assign]

    def _close(self, deadline: Deadline) -> None:
        super()._close(deadline)
        self._fake.links.close()  # those of other clients, too

    def transport_factory(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        """Make a link to this fake's backend, for other clients: what ``IpcClient`` takes.

        So something may come between the two: ``Recorder(path, fake.transport_factory)``,
        ``FaultyTransports(fake.transport_factory, plan)``; see ``client``. ``calls``, and failures
        by ``fail_next`` and ``fail_always``, are those of the fake itself.
        """
        return self._fake.links.transport(config, options)

    def client(
        self,
        *,
        options: IpcClientOptions | None = None,
        metrics: Metrics | None = None,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008 - it is immutable
        transport_factory: TransportFactory | None = None,
        directory: Folder = None,
    ) -> IpcClient:
        """Return another client of this fake's backend, not connected yet.

        Example::

            with Recorder("recordings/x.json", fake.transport_factory) as recorder:
                with fake.client(transport_factory=recorder) as client:
                    program_under_test(client)

        Args:
            options: As for ``IpcClient``.
            metrics: As for ``IpcClient``.
            reconnect: As for ``IpcClient``.
            transport_factory: What comes between, around the method of the same name.
            directory: As for ``IpcClient``.
        """
        return IpcClient(
            _CONFIG,
            options=options,
            metrics=metrics,
            reconnect=reconnect,
            transport_factory=transport_factory or self.transport_factory,
            directory=directory,
        )

    # --- What there is ---

    @property
    def sessions(self) -> list[OcSessionInfo]:
        """Copies of all sessions, in the order in which they were made."""
        with self._fake.lock:
            return [_copy(each) for each in self._fake.store.sessions.values()]

    def add_session(self, title: str | None = None, **fields: Any) -> OcSessionInfo:
        """Have a session there that nobody has created.

        Args:
            title: Its title.
            **fields: Others of ``OcSessionInfo``, such as ``summary={"additions": 1}``.
        """
        with self._fake.lock:
            try:
                return _copy(self._fake.store.add_session(title, **fields))
            except (TypeError, ValueError) as error:
                raise IpcArgumentError(
                    f"fields are none of a session ({error}); give those of OcSessionInfo",
                    field="fields",
                ) from None

    @property
    def healthy(self) -> bool:
        """What ``health_check`` returns; may be set."""
        return self._fake.store.healthy

    @healthy.setter
    def healthy(self, healthy: bool) -> None:
        with self._fake.lock:
            self._fake.store.healthy = healthy

    def set_agents(self, *agents: OcAgentInfo) -> None:
        """Say what ``list_agents`` returns; a prompt with another one fails from now on.

        Raises:
            IpcArgumentError: one is none; nothing has changed.
        """
        check_all("agents", agents, OcAgentInfo)
        with self._fake.lock:
            self._fake.store.agents[:] = agents
            self._fake.names.agents_are_known = True

    def set_models(self, *models: OcModelInfo) -> None:
        """Say what ``list_models`` returns; their providers are those that can be used.

        A prompt with another model fails from now on, as it does in production:
        ``IpcPromptError`` of kind ``unknown_model``. Without this the fake takes any.

        Raises:
            IpcArgumentError: one is none; nothing has changed.
        """
        check_all("models", models, OcModelInfo)
        with self._fake.lock:
            self._fake.store.models[:] = models
            self._fake.names.models_are_known = True
            self._fake.store.providers[:] = dict.fromkeys(each.provider_id for each in models)

    # --- What goes wrong ---

    def fail_next(self, operation: str, error: Failure, times: int = 1, **attributes: Any) -> None:
        """Have the next calls of an operation fail, before anything is sent.

        Example::

            fake.fail_next("prompt", IpcTimeoutError, request_sent=False)

        Args:
            operation: The name of the method, or of its operation (``FakeCall``).
            error: What they raise, each an instance of its own; or its class, for a typical case.
            times: How many calls.
            **attributes: What is not typical about it: any attribute of the class, or ``message``.

        Raises:
            IpcArgumentError: there is no such operation, error or attribute, or ``times`` is no
                whole number of at least 1.
        """
        check_count("times", times)
        self._log.fail_next(operation, check_failure(error, attributes), times)

    def fail_always(self, operation: str, error: Failure, **attributes: Any) -> None:
        """Have all calls of an operation fail from now on; see ``fail_next``, which comes first."""
        self._log.fail_always(operation, check_failure(error, attributes))

    def stop_failing(self, operation: str) -> None:
        """Let an operation work again."""
        self._log.stop_failing(operation)

    def go_down(self) -> None:
        """Lose the connection, and refuse others until ``come_back``.

        The client tries again by its ``reconnect``, as it would in production.
        """
        self._fake.links.refuse(_DOWN)
        self._fake.links.drop()

    def come_back(self) -> None:
        """Take connections again. A client that waits for its next attempt makes it now."""
        self._fake.links.refuse(None)
        # A pause that was planned before is over; one that is planned from now on is none.
        self._supervisor.retry_now()

    # --- When it goes on ---

    def hold(self, operation: str) -> Gate:
        """Hold back the answers of an operation until the gate that is returned is opened."""
        gate = Gate()
        with self._fake.lock:
            self._fake.gates[check_operation(operation)] = gate
        return gate

    # --- Prompts and events ---

    def answer_prompt(
        self,
        *steps: Step,
        to: str | None = None,
        cost: float = 0.0,
        structured: Any = None,
        repeat: bool = False,
    ) -> None:
        """Say what the model does about the next prompt that nothing was said about yet.

        Args:
            *steps: One after the other: a ``str`` is text; ``Say``, ``Think``, ``UseTool``,
                ``AskPermission``, ``AskQuestion``, ``Retry``, ``Pause``, ``Fail``.
            to: Only about a prompt of this text.
            cost: ``cost`` of the result, in US dollars.
            structured: ``structured`` of the result.
            repeat: Whether to do the same about all that follow.
        """
        script = PromptScript(checked_steps(steps), to, cost, structured, repeat)
        with self._fake.lock:
            self._fake.scripts.append(script)

    def emit(
        self,
        type: str,
        properties: Mapping[str, Any] | None = None,
        *,
        session_id: str = "",
        directory: str = "",
        event: IpcEvent | None = None,
    ) -> int:
        """Have an event happen; changes of sessions and prompts make theirs by themselves.

        Example::

            fake.emit("file.edited", {"file": "shop.py"})

        Args:
            type: OpenCode's name of it.
            properties: What ``event_properties`` returns of it.
            session_id: Whose it is; "" takes ``sessionID`` of the properties.
            directory: Which project's.
            event: The rest of it.

        Returns:
            How many streams of ``client.events`` get it.

        Raises:
            IpcArgumentError: the properties are none that JSON can hold.
        """
        made = IpcEvent()
        if event is not None:
            made.CopyFrom(event)
        made.MergeFrom(IpcEvent(type=type, session_id=session_id, directory=directory))
        if properties is not None:
            add_properties(made, properties)
        with self._fake.lock:
            return self._fake.events.emit(made)

    def end_events(self, reason: str = "the server has ended") -> None:
        """End all streams of events, as a backend does whose OpenCode has ended."""
        with self._fake.lock:
            self._fake.events.end(reason)

    # --- What was done ---

    @property
    def calls(self) -> list[FakeCall]:
        """All calls until now, in their order, those that failed too.

        A stream that is closed early, and a question that a function answered, made calls of their
        own: ``cancel``, ``reply_permission``.
        """
        return self._log.all()

    def calls_of(self, operation: str) -> list[FakeCall]:
        """Return those of one operation."""
        return self._log.of(operation)

    def wait_for_call(self, operation: str, count: int = 1, timeout: float = 10.0) -> FakeCall:
        """Wait until an operation was called so often, and return the last of these calls.

        Args:
            operation: Its name, or the method's.
            count: How often, from the beginning on.
            timeout: Seconds.

        Raises:
            TimeoutError: it was called less often in time.
        """
        return self._log.wait(operation, count, timeout)

    def __repr__(self) -> str:
        return f"<FakeIpcClient {self.state.value}, {len(self.calls)} calls>"

    # --- Inner steps ---

    def _submit(self, call: Call[Any]) -> None:
        failure = self._log.note(call)
        if failure is None:
            self._send(call)
        elif call.claim():
            call.fail(instance_of(failure, call.operation))


def _copy(session: OcSessionInfo) -> OcSessionInfo:
    copied = OcSessionInfo()
    copied.CopyFrom(session)
    return copied

"""Answering a client out of a recorded conversation."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig
from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations import Folder
from opencode_sync.testing.checked import Checked
from opencode_sync.testing.conversation import (
    PASSWORD,
    TIMES,
    End,
    FromBackend,
    FromClient,
    Step,
    load,
    replaced,
)
from opencode_sync.testing.envelope import describe, error_answer, unwrap
from opencode_sync.testing.masking import Masker
from opencode_sync.testing.peer import Links, ServedLink
from opencode_sync.testing.script import ScriptError
from opencode_sync.wire import ext_operations_pb2, ipc_pb2

if TYPE_CHECKING:
    from opencode_sync.options import IpcClientOptions
    from opencode_sync.transport.base import Transport

__all__ = ["Replay", "replay"]

_CONFIG: Final = IpcConfig(port=4096, auth_token="a replay takes any token")
_AGAIN: Final = "record it again if the program has changed on purpose"


def replay(
    path: str | os.PathLike[str],
    *,
    secrets: Iterable[str] = (),
    replace: Mapping[str, str] | None = None,
) -> Replay:
    """Return a ``transport_factory`` that answers from a file that ``Recorder`` has written.

    Args:
        path: The file.
        secrets: As they were given to the recorder.
        replace: As it was given to the recorder, with the texts of this run.

    Raises:
        IpcArgumentError: the file cannot be read, or is no recorded conversation.
    """
    return Replay(path, secrets=secrets, replace=replace)


class Replay(Checked):
    """A recorded conversation that takes place again; made by ``replay``.

    Example::

        with replay("tests/recordings/first_prompt.json") as conversation:
            with conversation.client() as client:
                program_under_test(client)

    Each request is looked for among those of the file that have not come yet, whatever their order:
    programs with threads ask in another order each time. Time-outs may differ. A request that is
    not there fails at its caller, saying what is, and again when it is verified. Single answers
    come at once. The events of a prompt or a subscription, and what ends it, come when all requests
    have come that came between it and them when it was recorded; so an answer to a question comes
    in time. Should another request come in place of the one that is waited for, they fail.

    Leaving the block verifies that every request of the file has come. Any thread may call any
    method. Each conversation takes place once.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        replace: Mapping[str, str] | None = None,
    ) -> None:
        """Read the file; see ``replay``."""
        self._path = Path(path)
        self._replace = dict(replace or {})
        self._masker = Masker([*secrets, os.environ.get(PASSWORD, "")])
        self._steps = load(self._path)
        self._messages = _messages(self._steps, self._path)
        self._streams = _streams(self._steps)
        self._begins = {each.id: index for index, each in self._indexed_requests()}
        self._lock = threading.Lock()  # guards the four below
        self._came: dict[int, tuple[ServedLink, int]] = {}
        self._said: set[int] = set()  # indices of steps
        self._links_of: dict[int, set[ServedLink]] = {}  # by the file's connections
        self._problems: list[str] = []
        self._links = Links(self._take)

    def __call__(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        return self._links.transport(config, options)

    def client(
        self, *, options: IpcClientOptions | None = None, directory: Folder = None
    ) -> IpcClient:
        """Return a client of this conversation, not connected yet; it does not reconnect.

        For another one: ``IpcClient(config, transport_factory=replay(path))``.
        """
        return IpcClient(
            _CONFIG, options=options, reconnect=None, transport_factory=self, directory=directory
        )

    def verify(self) -> None:
        """See to it that all requests of the file have come, and no others.

        Raises:
            ScriptError: they have not; says all that is wrong.
        """
        problems = self._report()
        if problems:
            raise ScriptError(problems)

    def close(self) -> None:
        """End all connections and their threads. Idempotent."""
        self._links.close()

    def __repr__(self) -> str:
        return f"<Replay {self._path}, {len(self._came)} of {len(self._requests())} requests came>"

    def _indexed_requests(self) -> list[tuple[int, FromClient]]:
        return [(i, each) for i, each in enumerate(self._steps) if isinstance(each, FromClient)]

    def _requests(self) -> list[FromClient]:
        return [each for _, each in self._indexed_requests()]

    def _report(self) -> str:
        with self._lock:
            problems = list(self._problems)
            awaited = self._awaited()
            for each in self._requests():
                # Whether a prompt is given up in time is a matter of chance.
                if each.id not in self._came and each.operation != "cancel":
                    held = [_shown(one) for one in self._requests() if awaited.get(one.id) is each]
                    waited = f", and {' and '.join(held)} waited for it" if held else ""
                    problems.append(f"{_shown(each)} never came{waited}")
        problems += [f"a connection was dropped because of {each!r}" for each in self._links.errors]
        if not problems:
            return ""
        return f"{self._path} was not followed: {'; '.join(problems)}; {_AGAIN}"

    # --- The links' threads ---

    def _take(self, link: ServedLink, message: ipc_pb2.IpcClientMessage) -> None:
        request, directory = unwrap(message)
        operation = request.WhichOneof("payload") or ""
        payload: Message = getattr(request, operation, request)
        with self._lock:
            fields = self._comparable(link, operation, payload)
            directory = str(replaced(directory, self._replace))
            found = self._find(operation, directory, fields)
            if found is not None:
                self._came[found.id] = (link, request.request_id)
                self._links_of.setdefault(found.connection, set()).add(link)
                self._go_on()
            elif operation == "cancel":
                link.send(request.request_id, ext_operations_pb2.IpcCancelResponse(found=True))
            else:
                problem = self._divergence(operation, directory, fields)
                self._problems.append(problem)
                error = error_answer("INVALID_MESSAGE", f"{problem}; {_AGAIN}")
                link.send(request.request_id, error)
                self._fail_what_waits_for(operation, error)

    # The caller holds the lock

    def _comparable(self, link: ServedLink, operation: str, payload: Message) -> dict[str, Any]:
        self._masker.learn(payload)
        fields: dict[str, Any] = replaced(self._masker.fields(payload), self._replace)
        for name in TIMES:
            fields.pop(name, None)
        if operation in ("cancel", "unsubscribe"):
            target = (link, int(fields.get("request_id", 0)))
            fields["request_id"] = next(
                (number for number, key in self._came.items() if key == target), 0
            )
        return fields

    def _find(self, operation: str, directory: str, fields: dict[str, Any]) -> FromClient | None:
        for each in self._requests():
            if (
                each.id not in self._came
                and each.operation == operation
                and each.directory == directory
                and each.fields == fields
            ):
                return each
        return None

    def _divergence(self, operation: str, directory: str, fields: dict[str, Any]) -> str:
        left = [each for each in self._requests() if each.id not in self._came]
        alike = [each for each in left if each.operation == operation] or left[:1]
        known = " or ".join(map(_shown, alike)) or "nothing more"
        return f"{describe(operation, fields, directory)} came, and {self._path.name} has {known}"

    def _awaited(self) -> dict[int, FromClient]:
        """Return the requests that streams which have begun wait for, by the streams' ids."""
        missing = [each for each in self._indexed_requests() if each[1].id not in self._came]
        positions = [position for position, _ in missing]
        awaited: dict[int, FromClient] = {}
        for index, step in enumerate(self._steps):
            if (
                isinstance(step, FromBackend)
                and index not in self._said
                and step.id in self._streams
                and step.id in self._came
            ):
                first = bisect_right(positions, self._begins[step.id])
                if first < len(missing) and positions[first] < index:
                    awaited.setdefault(step.id, missing[first][1])
        return awaited

    def _fail_what_waits_for(self, operation: str, error: Message) -> None:
        """End the streams that wait for such a request: another one has come in its place."""
        for number, request in self._awaited().items():
            if request.operation == operation:
                self._said.update(
                    index
                    for index, step in enumerate(self._steps)
                    if isinstance(step, FromBackend) and step.id == number
                )
                link, request_id = self._came[number]
                link.send(request_id, error)

    def _go_on(self) -> None:
        """Say all that can be said now."""
        waited_for = -1  # the last request further up that has not come yet
        held: set[int] = set()  # streams whose next event has to wait
        for index, step in enumerate(self._steps):
            if isinstance(step, FromClient):
                if step.id not in self._came:
                    waited_for = index
            elif index in self._said:
                continue
            elif isinstance(step, End):
                if waited_for < 0 and not held:
                    self._said.add(index)
                    self._end(step)
            elif step.id not in self._came:
                continue
            elif step.id in held or (
                step.id in self._streams and waited_for > self._begins[step.id]
            ):
                held.add(step.id)
            else:
                self._said.add(index)
                link, request_id = self._came[step.id]
                link.send(request_id, self._messages[index])

    def _end(self, step: End) -> None:
        for link in self._links_of.get(step.connection, ()):
            if step.code is None:
                link.drop()
            else:
                link.close(step.code, step.reason)


def _messages(steps: list[Step], path: Path) -> dict[int, Message]:
    """Return what the backend says, by the steps' indices."""
    known = ipc_pb2.IpcServerMessage.DESCRIPTOR.fields_by_name
    messages: dict[int, Message] = {}
    for index, step in enumerate(steps):
        if isinstance(step, FromBackend):
            try:
                answer = ParseDict({step.payload: step.fields}, ipc_pb2.IpcServerMessage())
            except (ParseError, RecursionError) as error:
                raise IpcArgumentError(
                    f"path is {str(path)!r}, whose step {index + 1} is no message of this schema "
                    f"({error!s:.200}); {_AGAIN}",
                    field="path",
                ) from None
            assert step.payload in known  # or it had not been parsed
            messages[index] = getattr(answer, step.payload)
    return messages


def _streams(steps: list[Step]) -> frozenset[int]:
    """Return the requests that have more than one answer."""
    answers = Counter(each.id for each in steps if isinstance(each, FromBackend))
    return frozenset(number for number, count in answers.items() if count > 1)


def _shown(step: FromClient) -> str:
    return describe(step.operation, step.fields, step.directory)

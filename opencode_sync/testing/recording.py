"""Writing down what a client and a backend say to each other, for tests without the backend."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.message import DecodeError, Message

from opencode_sync.deadline import Deadline
from opencode_sync.logger import logger
from opencode_sync.testing.conversation import (
    PASSWORD,
    TIMES,
    End,
    FromBackend,
    FromClient,
    IdNumbers,
    Step,
    replaced,
    save,
)
from opencode_sync.testing.envelope import unwrap
from opencode_sync.testing.masking import Masker, map_strings
from opencode_sync.testing.wrapping import WrappingTransport
from opencode_sync.transport.base import Transport, TransportClosed, TransportFactory
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcDelta, IpcEventPush

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = ["Recorder"]


@dataclass(frozen=True)
class _Noted:
    """Something that happened on a connection."""

    connection: int
    data: bytes = b""
    sent: bool = False
    end: TransportClosed | None = None


class Recorder:
    """A ``transport_factory`` that writes down the conversations of clients with their backend.

    Example::

        with Recorder("tests/recordings/first_prompt.json") as recorder:
            with IpcClient(transport_factory=recorder) as client:
                program_under_test(client)

    The file is written when the block is left without an exception; ``replay`` answers from it.
    The handshake is not recorded. Masked wherever they are quoted, also escaped, in base64, or cut
    in two by a stream: the token, the password in ``OPENCODE_SERVER_PASSWORD``, and what is stored
    with ``set_auth``. Masked as well: what goes by the name of a secret, or has the shape of one.
    Nobody can promise that this is all: look at the file before you commit it. What user and model
    say is in it, and a secret that looks like any other word is seen by people only.

    Any thread may call any method; any number of clients may use one recorder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        factory: TransportFactory | None = None,
        *,
        secrets: Iterable[str] = (),
        replace: Mapping[str, str] | None = None,
    ) -> None:
        """Make a recorder; nothing is written yet.

        Args:
            path: The file to write; its folder is made if missing.
            factory: Makes the links; None for WebSockets.
            secrets: What else must not be in the file.
            replace: Texts to write in others' place, such as ``{str(folder): "/project"}``.
        """
        self._path = Path(path)
        self._factory = factory
        self._replace = dict(replace or {})
        self._masker = Masker([*secrets, os.environ.get(PASSWORD, "")])
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards _noted
        self._noted: list[_Noted] = []

    def __call__(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        self._masker.add(config.auth_token)
        factory = self._factory or _websocket
        return _RecordingTransport(factory(config, options), next(self._numbers), self._note)

    def save(self) -> None:
        """Write what was said until now.

        Raises:
            OSError: the file cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        save(self._path, self._steps())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:  # a recording of something that failed would take a good one's place
            self.save()

    def __repr__(self) -> str:
        return f"<Recorder {self._path}, {len(self._noted)} messages>"

    # --- Inner steps ---

    def _note(self, noted: _Noted) -> None:
        with self._lock:
            self._noted.append(noted)

    def _steps(self) -> list[Step]:
        with self._lock:
            noted = list(self._noted)
        found: list[Step] = []
        messages: list[tuple[FromClient | FromBackend, Message]] = []
        ids: dict[tuple[int, int], int] = {}
        for each in noted:
            if each.end is not None:
                found.append(End(each.connection, each.end.code, each.end.reason))
                continue
            decoded = _decoded(each, ids)
            if decoded is not None:
                found.append(decoded[0])
                messages.append(decoded)
        # All of them first: an answer may quote the key of a later request.
        for _, message in messages:
            self._masker.learn(message)
        self._mask_across_deltas(messages)
        number = IdNumbers()
        for said, message in messages:
            change = number.in_request if isinstance(said, FromClient) else number.in_answer
            said.fields = map_strings(self._plain(message), change)
            if isinstance(said, FromClient):
                said.directory = change(self._words(said.directory))
                for name in TIMES:
                    said.fields.pop(name, None)
                if said.operation in ("cancel", "unsubscribe"):
                    target = (said.connection, int(said.fields.get("request_id", 0)))
                    said.fields["request_id"] = ids.get(target, 0)
        for step in found:
            if isinstance(step, End):
                step.reason = number.in_answer(self._words(step.reason))
        return found

    def _mask_across_deltas(
        self, messages: Iterable[tuple[FromClient | FromBackend, Message]]
    ) -> None:
        """Take secrets out of texts that come in pieces, none of which need hold a whole one."""
        parts: dict[tuple[int, str], list[IpcDelta]] = {}
        for said, message in messages:
            if isinstance(message, IpcEventPush) and message.event.HasField("delta"):
                delta = message.event.delta
                parts.setdefault((said.id, delta.part_id), []).append(delta)
        for pieces in parts.values():
            texts = [each.text for each in pieces]
            masked = self._masker.text("".join(texts))
            if masked != "".join(map(self._masker.text, texts)):
                for each in pieces:
                    each.text = ""
                pieces[0].text = masked

    def _plain(self, message: Message) -> dict[str, Any]:
        fields: dict[str, Any] = replaced(self._masker.fields(message), self._replace)
        return fields

    def _words(self, text: str) -> str:
        return str(replaced(self._masker.text(text), self._replace))


def _decoded(
    noted: _Noted, ids: dict[tuple[int, int], int]
) -> tuple[FromClient | FromBackend, Message] | None:
    """Return a message as a step without its fields, and its payload; None: it is no part of it."""
    schema: type[Any] = ipc_pb2.IpcClientMessage if noted.sent else ipc_pb2.IpcServerMessage
    try:
        message = schema.FromString(noted.data)
    except DecodeError:
        logger.warning("a message that does not decode is left out of the recording")
        return None
    key = (noted.connection, message.request_id)
    if noted.sent:
        request, directory = unwrap(message)
        operation = request.WhichOneof("payload")
        if operation in (None, "auth_handshake"):
            return None
        ids[key] = len(ids) + 1
        step = FromClient(ids[key], operation, noted.connection, directory)
        return step, getattr(request, operation)
    payload = message.WhichOneof("payload")
    if payload is None or key not in ids:  # the handshake's, or of no request
        return None
    return FromBackend(ids[key], payload), getattr(message, payload)


def _websocket(config: IpcConfig, options: IpcClientOptions) -> Transport:
    from opencode_sync.transport.websocket import WebSocketTransport

    return WebSocketTransport(config, options)


class _RecordingTransport(WrappingTransport):
    """A transport around another one, which notes what passes."""

    def __init__(self, inner: Transport, number: int, note: Callable[[_Noted], None]) -> None:
        super().__init__(inner)
        self._number = number
        self._note = note
        self._ours = False
        """Whether this side has ended the link."""

    def receive(self, deadline: Deadline | None = None) -> bytes:
        try:
            data = super().receive(deadline)
        except TransportClosed as end:
            if not self._ours:
                self._note(_Noted(self._number, end=end))
            raise
        self._note(_Noted(self._number, data))
        return data

    def send(self, messages: Sequence[bytes]) -> None:
        for each in messages:  # first, so that no answer can come before its request
            self._note(_Noted(self._number, bytes(each), sent=True))
        super().send(messages)

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self._ours = True
        super().close(code, reason, deadline)

    def abort(self) -> None:
        self._ours = True
        super().abort()

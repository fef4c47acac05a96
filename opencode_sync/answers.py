"""What the reader does with each message: find its call, check it, end the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from opencode_sync.call import Call
from opencode_sync.errors import (
    IpcProtocolError,
    IpcServerError,
    IpcUnsupportedOperationError,
    error_code_name,
)
from opencode_sync.logger import logger
from opencode_sync.operations import PUSHES
from opencode_sync.pending import PendingRequests
from opencode_sync.redact import Redactor
from opencode_sync.wire import ipc_pb2

__all__ = ["Answers", "StrayCounters"]

_NO_PAYLOAD: Final = "No payload in message"

_KEPT_BYTES: Final = 32 * 1024 * 1024
"""Of the largest message that is kept for a while: a list of 150,000 sessions."""

_TOLD: Final = 1_024
"""Ids of stray pushes that are remembered: each is logged once, not each of its pushes."""


@dataclass
class StrayCounters:
    """Messages that belonged to no waiting call. Each was logged and dropped, nothing more.

    Attributes:
        late: Answers to requests whose callers had given up.
        duplicate: Second answers to one request.
        unknown: Answers with an id that was never given out.
        without_request: Messages with id 0, which belongs to no request.
        undecodable: Messages that are not protobuf, or not this schema's.
        cancelled: Answers to requests that this client has told the backend to cancel. They are
            owed, so they are no sign of trouble.
        pushes: Events of streams that nobody reads any more, or that never were.
    """

    late: int = 0
    duplicate: int = 0
    unknown: int = 0
    without_request: int = 0
    undecodable: int = 0
    cancelled: int = 0
    pushes: int = 0


class Answers:
    """Ends calls with what the backend says. Reader thread only, but for what says otherwise."""

    def __init__(
        self,
        pending: PendingRequests,
        *,
        strays: StrayCounters,
        rescue: Callable[[Call[Any], IpcServerError], bool],
    ) -> None:
        """Make the reader's half of a connection.

        Args:
            pending: Where the calls wait.
            strays: Counts what belongs to nobody; written by this reader alone.
            rescue: Offered every call the backend refused; returns True when it will see to it
                that the call is asked again.
        """
        self._pending = pending
        self._strays = strays
        self._rescue = rescue
        self._last_error = ""
        self._told: dict[int, None] = {}  # the oldest first
        # The newest message, kept until the next one is decoded, or nothing has come for a while.
        # Otherwise the memory of one large answer goes back to the system before the next needs it:
        # a list of 10,000 sessions then takes 1,300 page faults instead of 250 and 1.6 times the
        # CPU time, one of 100,000 twice the CPU time.
        self._kept: ipc_pb2.IpcServerMessage | None = None
        self.redact = Redactor("")
        """Keeps the token out of what the backend says. Set before the first message."""

    def remark(self) -> str:
        """Return the backend's newest error that belonged to no request, for others. Any thread."""
        return self._last_error

    def forget(self) -> None:
        """Give back the memory of the newest message. Any thread, when it has been quiet."""
        self._kept = None

    def accept(self, data: bytes) -> None:
        """Deal with one message. Raises nothing: one bad message must not end the connection."""
        try:
            message = ipc_pb2.IpcServerMessage.FromString(data)
        except DecodeError:
            self._strays.undecodable += 1
            logger.bind(size=len(data)).warning("dropped a message that does not decode")
            return
        self._kept = message if len(data) <= _KEPT_BYTES else None
        payload = message.WhichOneof("payload")
        if payload in PUSHES:
            self._push(message, payload, len(data))
            return
        call = self._pending.take(message.request_id)
        if call is None:
            self._drop(message)
            return
        try:
            self._end(call, message, payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this caller alone
            if call.claim():
                call.fail(error)

    def _push(self, message: ipc_pb2.IpcServerMessage, payload: str, size: int) -> None:
        """Hand a push to its call, which goes on."""
        call = self._pending.find(message.request_id)
        if call is None:
            self._drop_push(message.request_id, payload)
            return
        request = call.request
        error: Exception
        if payload in request.operation.pushes and request.sink is not None:
            try:
                request.sink.push(payload, getattr(message, payload), size)
            except Exception as problem:  # noqa: BLE001 - it belongs to this caller alone
                error = problem
            else:
                return
        else:
            wanted = request.operation.answer
            error = _protocol_error(call, f"the push {payload!r} instead of {wanted!r}")
        self._pending.release(call)
        if call.claim():
            call.fail(error)

    def _drop_push(self, request_id: int, payload: str) -> None:
        self._strays.pushes += 1
        if request_id in self._told:
            return
        self._told[request_id] = None
        if len(self._told) > _TOLD:
            del self._told[next(iter(self._told))]
        # What is on its way when a stream is closed is nothing to worry about.
        level = "DEBUG" if self._pending.is_abandoned(request_id) else "WARNING"
        logger.bind(request_id=request_id, payload=payload).log(
            level, "dropped an event of no stream; more of this request are only counted"
        )

    def _end(self, call: Call[Any], message: ipc_pb2.IpcServerMessage, payload: str | None) -> None:
        operation = call.request.operation
        error: Exception
        if payload == operation.answer:
            try:
                result = operation.result(getattr(message, payload))
            except ValueError as problem:
                error = _protocol_error(call, f"an answer that {problem}")
            else:
                if call.claim():
                    call.succeed(result)
                return
        elif payload == "error":
            refused = error = self._server_error(call, message.error)
            if self._rescue(call, refused):
                return
        else:
            got = f"the payload {payload!r}" if payload else "no payload this client knows"
            error = _protocol_error(call, f"{got} instead of {operation.answer!r}")
        if call.claim():
            call.fail(error)

    def _drop(self, message: ipc_pb2.IpcServerMessage) -> None:
        request_id = message.request_id
        if request_id == 0:
            self._strays.without_request += 1
            kind = "without a request"
            if message.HasField("error"):
                self._last_error = f"; the backend also reported {self._describe(message.error)}"
        else:
            kind = self._pending.classify_stray(request_id)
            setattr(self._strays, kind, getattr(self._strays, kind) + 1)
        logger.bind(request_id=request_id, payload=message.WhichOneof("payload")).log(
            "DEBUG" if kind == "cancelled" else "WARNING", "dropped an answer: {}", kind
        )

    def _describe(self, error: ipc_pb2.IpcErrorResponse) -> str:
        return f"{error_code_name(error.code)}: {self.redact(error.message)}"

    def _server_error(self, call: Call[Any], error: ipc_pb2.IpcErrorResponse) -> IpcServerError:
        unsupported = error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED or (
            error.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE and error.message == _NO_PAYLOAD
        )
        cls = IpcUnsupportedOperationError if unsupported else IpcServerError
        reason = self.redact(error.message) or "the backend gave no reason"
        return cls(
            f"{call.operation} failed: {reason} ({error_code_name(error.code)})",
            request_id=call.request_id,
            code=error.code,
            operation=call.operation,
        )


def _protocol_error(call: Call[Any], got: str) -> IpcProtocolError:
    return IpcProtocolError(
        f"the backend answered {call.operation} with {got}; client and backend may be of different "
        "versions",
        request_id=call.request_id,
        operation=call.operation,
    )

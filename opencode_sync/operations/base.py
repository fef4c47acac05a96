"""What an operation is, and one call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Self, TypeVar

from opencode_sync.wire import ipc_pb2

__all__ = ["DefaultTimeout", "Operation", "Request", "make_request"]

R = TypeVar("R")

DefaultTimeout = Literal["default_request_timeout", "default_prompt_timeout"]
"""The options that say how long a call may take whose caller did not."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[R]):
    """What the client has to know of an operation.

    Attributes:
        name: Its name in errors, metrics and logs, which is also its field in ``IpcClientMessage``.
        answer: The field of ``IpcServerMessage`` that answers it. Any other is a protocol error.
        result: Turns that field's value into what the caller gets. Pure; raises ``ValueError`` for
            a value that is no answer.
        idempotent: Whether doing it twice is as good as once, so that it may be repeated when the
            connection was lost before the answer came. What writes is not, though a second write
            may do no harm: somebody else may have written in between.
        needs_server: Whether the backend must be bound to an OpenCode server.
        failure: The result that stands for every failure, where callers want none raised.
        default_timeout: The option that holds its default time-out.
    """

    name: str
    answer: str
    result: Callable[[Any], R]
    idempotent: bool
    needs_server: bool
    failure: R | None = None
    default_timeout: DefaultTimeout = "default_request_timeout"


@dataclass(frozen=True, slots=True)
class Request(Generic[R]):
    """One call of an operation: its message in wire form, all but the request id.

    The payload is encoded once, in the caller's thread, whatever number of times it is sent.

    Attributes:
        operation: What is asked for.
        body: The encoded message. Not shown, for it may hold a key.
        timed: Encodes the message anew for a call of so many seconds, where the backend is told
            how long it has; None where it is not.
    """

    operation: Operation[R]
    body: bytes = field(repr=False)
    timed: Callable[[float], bytes] | None = field(default=None, repr=False, compare=False)

    def within(self, timeout: float) -> Self:
        """Return this request as a call that takes at most ``timeout`` seconds makes it."""
        return self if self.timed is None else replace(self, body=self.timed(timeout))

    def encode(self, request_id: int) -> bytes:
        """Return the message under this id: field 1, which comes first, then the rest."""
        return b"\x08" + _varint(request_id) + self.body


def make_request(operation: Operation[R], message: ipc_pb2.IpcClientMessage) -> Request[R]:
    """Return the call of ``operation`` that this message, without an id, asks for."""
    return Request(operation, message.SerializeToString())


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

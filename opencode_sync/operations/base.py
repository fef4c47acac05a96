"""What an operation is, and one call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeVar

from opencode_sync.varint import varint
from opencode_sync.wire import ext_operations_pb2, ipc_pb2

__all__ = [
    "PUSHES",
    "Begin",
    "DefaultTimeout",
    "Operation",
    "Post",
    "PushSink",
    "Request",
    "make_request",
]

R = TypeVar("R")

DefaultTimeout = Literal["default_request_timeout", "default_prompt_timeout"]
"""The options that say how long a call may take whose caller did not."""

PUSHES: Final = frozenset({"subscribed", "event"})
"""The payloads that come while a request goes on, and do not end it."""


class PushSink(Protocol):
    """Where the pushes of one call go. Made for one call, used for no other."""

    def attach(self, call: Any, begin: Begin, post: Post) -> None:
        """Get to know the call, before it is sent.

        Args:
            call: The call: a future.
            begin: Makes a call of the client's own; never blocks.
            post: Has a callback of the user's run on the notifier thread.
        """

    def push(self, name: str, message: Any, size: int) -> None:
        """Take a push. Reader thread: must not block, nor run a user's code.

        Args:
            name: The payload's name.
            message: The payload.
            size: Bytes that it had on the wire.
        """


class Begin(Protocol):
    """Makes a call for nobody who waits."""

    def __call__(self, request: Request[Any], /) -> Any: ...


class Post(Protocol):
    """Has ``callback(*arguments)`` run on the notifier thread."""

    def __call__(self, callback: Callable[..., object], /, *arguments: Any) -> None: ...


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
        pushes: Fields of ``IpcServerMessage`` that may come before the answer, any number of times.
        cancellable: Whether the backend is told when its caller gives up, because it would work on
            for nothing.
        scoped: Whether it depends on the project folder.
        binds: Whether it binds the backend to an OpenCode server, or ends that.
    """

    name: str
    answer: str
    result: Callable[[Any], R]
    idempotent: bool
    needs_server: bool
    failure: R | None = None
    default_timeout: DefaultTimeout = "default_request_timeout"
    pushes: frozenset[str] = frozenset()
    cancellable: bool = False
    scoped: bool = False
    binds: bool = False


@dataclass(frozen=True, slots=True)
class Request(Generic[R]):
    """One call of an operation: its message in wire form, all but the request id.

    The payload is encoded once, in the caller's thread, whatever number of times it is sent.

    Attributes:
        operation: What is asked for.
        body: The encoded message. Not shown, for it may hold a key.
        timed: Encodes the message anew for a call of so many seconds, where the backend is told
            how long it has; None where it is not.
        directory: The project folder of the caller's choice, an absolute path; None for the
            client's.
        sink: Where pushes go, where the operation has any.
    """

    operation: Operation[R]
    body: bytes = field(repr=False)
    timed: Callable[[float], bytes] | None = field(default=None, repr=False, compare=False)
    directory: str | None = None
    sink: PushSink | None = field(default=None, repr=False, compare=False)

    def within(self, timeout: float) -> Self:
        """Return this request as a call that takes at most ``timeout`` seconds makes it."""
        return self if self.timed is None else replace(self, body=self.timed(timeout))

    def in_folder(self, default: str | None) -> Self:
        """Return this request about its own project folder, or else about the ``default`` one."""
        directory = self.directory if self.directory is not None else default
        if directory is None or not self.operation.scoped:
            return self
        scoped = ext_operations_pb2.IpcScopedRequest(directory=directory, request=self.body)
        return replace(self, body=ipc_pb2.IpcClientMessage(scoped=scoped).SerializeToString())

    def encode(self, request_id: int) -> bytes:
        """Return the message under this id: field 1, which comes first, then the rest."""
        return b"\x08" + varint(request_id) + self.body


def make_request(
    operation: Operation[R], message: ipc_pb2.IpcClientMessage, directory: str | None = None
) -> Request[R]:
    """Return the call of ``operation`` that this message, without an id, asks for."""
    return Request(operation, message.SerializeToString(), directory=directory)

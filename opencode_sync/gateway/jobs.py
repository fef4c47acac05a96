"""A client's request on its way through the gateway, and the lanes in which requests go."""

from __future__ import annotations

from collections import deque

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError, Subscription
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import error_answer
from opencode_sync.gateway.handlers_runs import RUN_HANDLERS
from opencode_sync.gateway.pushes import Pushes
from opencode_sync.gateway.scope import unwrap
from opencode_sync.wire import ipc_pb2

__all__ = ["Job", "Lane"]

_UNDECODABLE = "Invalid protobuf message"
_CONTROLS = frozenset({"cancel", "unsubscribe"})


class Job:
    """A message of the client's, from its arrival to its answer.

    Args:
        request: What is in the message; None when it is not one of the schema's.
        size: Bytes the message had.
    """

    __slots__ = (
        "answered",
        "begun",
        "cancellation",
        "cancelled",
        "control",
        "directory",
        "ended",
        "operation",
        "patience",
        "pushes",
        "refusal",
        "request",
        "request_id",
        "run",
        "size",
        "subscribes",
        "subscription",
        "target",
    )

    def __init__(self, request: ipc_pb2.IpcClientMessage | None, size: int) -> None:
        self.size = size
        self.request = ipc_pb2.IpcClientMessage()
        """What is asked, out of its wrapping."""
        self.request_id = 0
        self.directory = ""
        """The project folder; "" leaves it to the backend."""
        self.refusal: bytes | None = None
        """The answer, when it is settled without asking the backend."""
        self._read(request)
        self.operation = None if self.refusal else self.request.WhichOneof("payload")
        self.run = self.operation in RUN_HANDLERS
        """Whether it waits for a model, which takes minutes."""
        self.subscribes = self.operation == "subscribe"
        """Whether it goes on until somebody ends it."""
        self.control = self.operation in _CONTROLS and self.request_id != 0
        """Whether it is about another request."""
        self.cancellation = Cancellation() if self.run else None
        # The rest is guarded by the lock of the client's requests.
        self.answered = False
        """Whether somebody has taken it on to send the answer."""
        self.begun = False
        """Whether the backend was asked."""
        self.cancelled = False
        """Whether the client wants no result; not to be begun, then."""
        self.ended = False
        """Whether the answer is out and nobody works on it."""
        self.pushes: Pushes | None = None
        self.subscription: Subscription | None = None
        self.target: Job | None = None
        """What a control is about, if that is in flight."""
        self.patience = Deadline(None)
        """How long a control waits for its target's end."""

    def refuse(self, request_id: int, text: str) -> None:
        """Settle it: the request cannot be right."""
        self.request_id = request_id
        self.refusal = error_answer(request_id, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, text)
        self.request = ipc_pb2.IpcClientMessage()
        self.run = self.subscribes = self.control = False
        self.cancellation = None

    def cancel(self, reason: str) -> None:
        """Let the backend know, if it asked to be told."""
        if self.cancellation is not None:
            self.cancellation.cancel(reason)

    def _read(self, request: ipc_pb2.IpcClientMessage | None) -> None:
        if request is None:
            self.refusal = error_answer(0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, _UNDECODABLE)
            return
        self.request_id = request.request_id
        try:
            self.request, self.directory = unwrap(request)
        except BackendError as error:
            self.refusal = error_answer(self.request_id, error.code, error.message)


class Lane:
    """Where requests of a kind go: so many at a time, the others in line. Its owner locks.

    Args:
        limit: How many may run at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.line: deque[Job] = deque()

    @property
    def full(self) -> bool:
        """Whether one more has to wait."""
        return self.running >= self.limit

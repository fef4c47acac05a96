"""The tables that find a call again: by request id, or waiting for a connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from opencode_sync.call import Call
from opencode_sync.errors import IpcUsageError

__all__ = ["PendingRequests", "WaitingCalls"]

FIRST_REQUEST_ID: Final = 2  # 1 belongs to the handshake
_REMEMBERED: Final = 65_536


class PendingRequests:
    """The requests of one connection that wait for an answer, by request id. Thread-safe."""

    def __init__(
        self,
        limit: int,
        remark: Callable[[], str],
        tell: Callable[[Call[Any]], None] = lambda call: None,
    ) -> None:
        """Make an empty table.

        Args:
            limit: How many may wait.
            remark: See ``CallHolder``.
            tell: Called with each call that was given up after it had been sent and that the
                backend should therefore not go on with; by whoever gave it up. Must not block.
        """
        self.remark = remark
        self._limit = limit
        self._tell = tell
        # Guards every attribute below; but to look one call up, or take it out, is an atomic step.
        self._lock = threading.Lock()
        self._calls: dict[int, Call[Any]] = {}
        self._next_id = FIRST_REQUEST_ID
        self._closed = False
        # Sent requests that nobody waits for any more, oldest first: their answers are late. True
        # for those that were cancelled, whose answers are owed.
        self._abandoned: dict[int, bool] = {}

    def register(self, call: Call[Any]) -> bool:
        """Give the call the next id and wait for its answer, unless the table is closed.

        Returns:
            False when the table is closed: nothing was registered.

        Raises:
            IpcUsageError: too many requests are in flight.
        """
        with self._lock:
            if self._closed:
                return False
            if len(self._calls) >= self._limit:
                raise IpcUsageError(_too_many(self._limit, "in flight"))
            call.request_id = request_id = self._next_id
            self._next_id += 1
            call.holder = self
            self._calls[request_id] = call
            return True

    def take(self, request_id: int) -> Call[Any] | None:
        """Remove and return the call with this id, or None."""
        return self._calls.pop(request_id, None)  # an atomic step

    def find(self, request_id: int) -> Call[Any] | None:
        """Return the call with this id, which goes on waiting; or None."""
        return self._calls.get(request_id)  # an atomic step

    def release(self, call: Call[Any]) -> None:
        """Forget a call that ended without its answer."""
        with self._lock:
            waited = self._calls.pop(call.request_id, None) is not None
            if waited:
                self._remember(call)
        if waited and call.sent and call.request.operation.cancellable:
            self._tell(call)

    def is_abandoned(self, request_id: int) -> bool:
        """Return whether nobody waits for this request any more, and its answer is still owed."""
        with self._lock:
            return request_id in self._abandoned

    def classify_stray(self, request_id: int) -> str:
        """Return what an answer with this id is, when nobody waits for it."""
        with self._lock:
            cancelled = self._abandoned.pop(request_id, None)
            if cancelled is not None:
                return "cancelled" if cancelled else "late"
            return "duplicate" if 0 < request_id < self._next_id else "unknown"

    def close(self) -> list[Call[Any]]:
        """Take no more, and return the calls that were waiting. Idempotent."""
        with self._lock:
            self._closed = True
            calls = list(self._calls.values())
            self._calls.clear()
            for call in calls:
                self._remember(call)
            return calls

    def _remember(self, call: Call[Any]) -> None:
        """Note that an answer to this call would be late. The caller holds the lock."""
        if call.sent:
            self._abandoned[call.request_id] = call.request.operation.cancellable
            if len(self._abandoned) > _REMEMBERED:
                del self._abandoned[next(iter(self._abandoned))]

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)


class WaitingCalls:
    """Calls that wait for a connection, in the order they came. Thread-safe."""

    def __init__(self, limit: int, remark: Callable[[], str]) -> None:
        self.remark = remark
        self._limit = limit
        self._lock = threading.Lock()  # guards _calls
        self._calls: dict[int, Call[Any]] = {}

    def add(self, call: Call[Any]) -> None:
        """Put a call in line, unless it has ended.

        Raises:
            IpcUsageError: the line is too long.
        """
        call.holder = self
        with self._lock:
            if len(self._calls) >= self._limit:
                raise IpcUsageError(_too_many(self._limit, "waiting for a connection"))
            self._calls[id(call)] = call
        if call.claimed:  # ended while nobody held it, so nobody will release it
            self.release(call)

    def release(self, call: Call[Any]) -> None:
        """Forget a call that ended while it waited."""
        with self._lock:
            self._calls.pop(id(call), None)

    def take_all(self) -> list[Call[Any]]:
        """Empty the line and return who stood in it."""
        with self._lock:
            calls = list(self._calls.values())
            self._calls.clear()
            return calls

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)


def _too_many(limit: int, where: str) -> str:
    return (
        f"{limit} requests are {where} already; wait for some of them, or raise the option "
        "max_pending_requests"
    )

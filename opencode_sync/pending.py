"""A request on its way: its future, and the table that finds it by request id.

Every call ends exactly once. Whoever wants to end it (the answer, a time-out, a cancellation, the
loss of the connection, ``close``) must ``claim`` it first, and only one claim succeeds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from loguru import logger

from opencode_sync.cancel import CancelToken
from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcCancelledError, IpcError, IpcTimeoutError, IpcUsageError
from opencode_sync.metrics import Metrics
from opencode_sync.notifier import Notifier
from opencode_sync.operations import Request

__all__ = ["Call", "CallHolder", "PendingRequests", "WaitingCalls"]

R = TypeVar("R")
_E = TypeVar("_E")

FIRST_REQUEST_ID: Final = 2  # 1 belongs to the handshake
_REMEMBERED: Final = 65_536
_MAY_HAVE_ACTED: Final = "; the backend may have acted on it"
_CLAIMED_WAIT: Final = 5.0  # between another thread's claim and its result lie a few instructions


class CallHolder(Protocol):
    """Where a call is while nobody has ended it: a connection's table, or a waiting line."""

    def release(self, call: Call[Any]) -> None:
        """Forget the call: it has ended some other way."""

    def remark(self) -> str:
        """Return what a caller whose wait failed should know as well, or ""."""


class Call(Future[R]):
    """One request's future.

    To users it is a ``concurrent.futures.Future``: ``result``, ``exception``, ``cancel``, ``wait``
    and ``as_completed`` work as ever; done-callbacks run on the client's notifier thread.
    """

    # What few calls ever change, or only later, stands in the class until then.
    request_id = 0
    sent = False
    """Set before the first byte goes out, so that False proves that none did."""
    repeated = False
    """Whether it was given a second connection after it had been sent on a first."""
    bindings = 0
    """How often the backend said that it has no OpenCode server."""
    holder: CallHolder | None = None
    watched_in: set[Call[Any]] | None = None
    """The calls whose deadlines the keeper minds, if this is one of them."""
    cancelling: Future[bool] | None = None
    """The call that tells the backend that this one was given up, if it is told."""
    _started = 0.0

    def __init__(
        self,
        request: Request[R],
        *,
        timeout: float | None,
        deadline: Deadline,
        notifier: Notifier,
        metrics: Metrics | None,
    ) -> None:
        super().__init__()
        self.request = request
        self.timeout = timeout
        self.deadline = deadline
        self._notifier = notifier
        self._metrics = metrics
        if metrics is not None:
            self._started = time.monotonic()
        # Held for ever by whoever ends the call: the one bit that makes "exactly once" true.
        self._claim = threading.Lock()

    @property
    def operation(self) -> str:
        """The operation's name."""
        return self.request.operation.name

    # --- Ending it: claim first, then exactly one of the others ---

    def claim(self) -> bool:
        """Take the right to end this call; returns False when somebody else has it."""
        return self._claim.acquire(False)

    @property
    def claimed(self) -> bool:
        """Whether somebody has ended this call, or is about to."""
        return self._claim.locked()

    def succeed(self, result: R) -> None:
        """End the call with a result. The caller has claimed it."""
        self._note_end(success=True)
        self.set_result(result)

    def fail(self, error: BaseException) -> None:
        """End the call with an exception of its own. The caller has claimed it."""
        self._note_end(success=False)
        failure = self.request.operation.failure
        if failure is None or isinstance(error, IpcUsageError | IpcCancelledError):
            self.set_exception(error)
        else:
            logger.info("{} failed: {}", self.operation, error)
            self.set_result(failure)

    def expire(self) -> bool:
        """End the call because its time is up, unless it has ended already."""
        if not self.claim():
            return False
        self.fail(self._release_for(self._timeout_error))
        return True

    def cancel(self) -> bool:
        """Cancel the request, as ``Future.cancel`` does.

        The answer, if one still comes, is dropped. The backend is told where it would otherwise
        work on for nothing (a prompt), and may have acted all the same.

        Returns:
            True when the call is cancelled; False when it had ended another way.
        """
        if not self.claim():
            return self.cancelled()
        self._release_for(lambda remark: None)
        self._note_end(success=False)
        super().cancel()
        self.set_running_or_notify_cancel()  # wakes wait() and as_completed()
        return True

    def cancel_by_token(self) -> None:
        """End the call because its ``CancelToken`` says so, unless it has ended already."""
        if self.claim():
            self.fail(self._release_for(self._cancelled_error))

    def forget(self) -> None:
        """Take a call that has ended out of any table, should an interrupt have left it there."""
        if self.holder is not None:
            self.holder.release(self)

    # --- Waiting for it ---

    def wait(self, cancel: CancelToken | None) -> R:
        """Block until the call ends or its deadline comes; return its result or raise its error."""
        if cancel is None:
            return self._wait()
        if not cancel.attach(self, self.cancel_by_token):
            self.cancel_by_token()
        try:
            return self._wait()
        finally:
            cancel.detach(self)

    def _wait(self) -> R:
        try:
            return self.result(self.deadline.remaining())
        except TimeoutError:
            # Either the wait ran out, or the call itself ended with a time-out.
            if not self.expire() and not self.done():
                logger.debug("request {} was answered as its time ran out", self.request_id)
        return self.result(_CLAIMED_WAIT)

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn(future)`` called on the client's notifier thread once the future is done."""
        super().add_done_callback(lambda future: self._notifier.post(fn, future))

    def when_done(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn`` called by whoever ends the call; for this package's own, short steps."""
        super().add_done_callback(fn)

    # --- Inner steps ---

    def _release_for(self, make: Callable[[str], _E]) -> _E:
        holder = self.holder
        if holder is None:
            return make("")
        holder.release(self)
        return make(holder.remark())

    def _timeout_error(self, remark: str) -> IpcError:
        allowed = "the time allowed" if self.timeout is None else f"{self.timeout:g} s"
        what = (
            f"got no answer within {allowed}{_MAY_HAVE_ACTED}"
            if self.sent
            else f"could not be sent within {allowed}"
        )
        return IpcTimeoutError(
            f"{self.operation} {what}{remark}",
            request_id=self.request_id,
            timeout=self.timeout or 0.0,
            operation=self.operation,
            request_sent=self.sent,
        )

    def _cancelled_error(self, remark: str) -> IpcError:
        return IpcCancelledError(
            f"{self.operation} was cancelled{_MAY_HAVE_ACTED if self.sent else ''}",
            request_id=self.request_id,
            operation=self.operation,
            request_sent=self.sent,
        )

    def _note_end(self, *, success: bool) -> None:
        if self.watched_in is not None:
            self.watched_in.discard(self)
        if self._metrics is not None:
            self._metrics.record_request_completed(
                self.operation, time.monotonic() - self._started, success
            )


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
        self._lock = threading.Lock()  # guards every attribute below
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
        with self._lock:
            return self._calls.pop(request_id, None)

    def find(self, request_id: int) -> Call[Any] | None:
        """Return the call with this id, which goes on waiting; or None."""
        with self._lock:
            return self._calls.get(request_id)

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

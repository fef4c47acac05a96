"""A request on its way, and the two ways to get its outcome: by waiting, or as a future.

Every call ends exactly once. Whoever wants to end it (the answer, a time-out, a cancellation, the
loss of the connection, ``close``) must ``claim`` it first, and only one claim succeeds.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, Protocol, TypeVar

from opencode_sync.cancel import CancelToken
from opencode_sync.deadline import Deadline
from opencode_sync.errors import (
    IpcCancelledError,
    IpcConnectionError,
    IpcError,
    IpcTimeoutError,
    IpcUsageError,
)
from opencode_sync.log_thread import log_soon
from opencode_sync.logger import logger
from opencode_sync.notifier import Notifier
from opencode_sync.operations import Request

__all__ = ["BlockingCall", "Call", "CallHolder", "FutureCall"]

R = TypeVar("R")
_E = TypeVar("_E")

_MAY_HAVE_ACTED: Final = "; the backend may have acted on it"
_WAS_TOLD: Final = ", and was told to abort it"
_CLAIMED_WAIT: Final = 5.0  # between another thread's claim and its result lie a few instructions


class CallHolder(Protocol):
    """Where a call is while nobody has ended it: a connection's table, or a waiting line."""

    def release(self, call: Call[Any]) -> None:
        """Forget the call: it has ended some other way."""

    def remark(self) -> str:
        """Return what a caller whose wait failed should know as well, or ""."""


def _log_failure(operation: str, request_id: int, error: BaseException, refused: bool) -> None:
    logger.bind(operation=operation, request_id=request_id).log(
        "DEBUG" if refused else "INFO", "a request ended with {}: {}", type(error).__name__, error
    )


class Call(ABC, Generic[R]):
    """One request, until somebody has ended it; what both kinds of call share."""

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
    on_success: Callable[[Call[Any], Any], None] | None = None
    """Told the result by whoever ends the call with one; for a short step of this package's."""
    may_wait_for_others = False
    """Whether it may be sent a moment later, together with calls made right after it."""
    hurry: Callable[[], None] | None = None
    """Sends it without that moment, once it is on a connection."""
    cancelling: Future[bool] | None = None
    """The call that tells the backend that this one was given up, if it is told."""

    def __init__(
        self,
        request: Request[R],
        *,
        timeout: float | None,
        deadline: Deadline,
    ) -> None:
        """Make a call that nobody has sent yet.

        Args:
            request: What is asked for.
            timeout: Seconds, for the text of errors.
            deadline: Until when it has to have ended.
        """
        self.request = request
        self.timeout = timeout
        self.deadline = deadline
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
        if self.on_success is not None:
            self.on_success(self, result)
        self.set_result(result)

    def fail(self, error: BaseException) -> None:
        """End the call with an exception of its own. The caller has claimed it."""
        self._note_end(success=False)
        failure = self.request.operation.failure
        # While the backend is down there may be any number of these, which have to fail within
        # microseconds. The outage itself is told.
        refused = not self.sent and isinstance(error, IpcConnectionError)
        quiet = refused and failure is None
        own = not quiet and isinstance(error, IpcUsageError | IpcCancelledError)
        if failure is None or own:
            self.set_exception(error)
        else:
            self.set_result(failure)
        if not (quiet or own):
            log_soon(_log_failure, self.operation, self.request_id, error, refused)

    @abstractmethod
    def set_result(self, result: R) -> None:
        """Let the outcome be a result; see ``succeed``."""

    @abstractmethod
    def set_exception(self, exception: BaseException | None) -> None:
        """Let the outcome be an exception; see ``fail``."""

    def expire(self) -> bool:
        """End the call because its time is up, unless it has ended already."""
        if not self.claim():
            return False
        self.fail(self._release_for(self._timeout_error))
        return True

    def cancel_by_token(self) -> None:
        """End the call because its ``CancelToken`` says so, unless it has ended already."""
        if self.claim():
            self.fail(self._release_for(self._cancelled_error))

    def drop(self) -> bool:
        """End the call without an outcome, for a caller that is gone; False if it had ended."""
        claimed = self.claim()
        # In any case: an interrupt may have left one that has ended in a table.
        if self.holder is not None:
            self.holder.release(self)
        if claimed:
            self._note_end(success=False)
        return claimed

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
            f"got no answer within {allowed}{self._consequence()}"
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
            f"{self.operation} was cancelled{self._consequence()}",
            request_id=self.request_id,
            operation=self.operation,
            request_sent=self.sent,
        )

    def _consequence(self) -> str:
        """Return what the end of this call means to the backend, for the text of an error."""
        if not self.sent:
            return ""
        telling = self.cancelling
        was_told = telling is not None and not telling.cancelled()
        return f"{_MAY_HAVE_ACTED}{_WAS_TOLD if was_told else ''}"

    def _note_end(self, *, success: bool) -> None:
        """Take note of the end; ``success`` is for those who count (``metered``)."""
        if self.watched_in is not None:
            self.watched_in.discard(self)


class BlockingCall(Call[R]):
    """A call that the thread which made it waits for, and that nobody else sees.

    It waits on a plain lock: a future with its condition is ten objects more to make, and made
    the whole round trip a fifth longer.
    """

    _result: R
    _error: BaseException | None = None

    def __init__(
        self,
        request: Request[R],
        *,
        timeout: float | None,
        deadline: Deadline,
    ) -> None:
        """Make a call; see ``Call``."""
        Call.__init__(self, request, timeout=timeout, deadline=deadline)
        # Taken until there is an outcome.
        self._gate = threading.Lock()
        self._gate.acquire()

    def set_result(self, result: R) -> None:
        """See ``Call``."""
        self._result = result
        self._gate.release()

    def set_exception(self, exception: BaseException | None) -> None:
        """See ``Call``."""
        self._error = exception
        self._gate.release()

    def wait(self) -> R:
        """Block until the call ends or its deadline comes; return its result or raise its error.

        Once, and on one thread.
        """
        left = self.deadline.remaining()
        if not self._gate.acquire(True, -1 if left is None else left):
            if not self.expire():
                logger.bind(operation=self.operation, request_id=self.request_id).debug(
                    "request {} was answered as its time ran out", self.request_id
                )
            if not self._gate.acquire(True, _CLAIMED_WAIT):
                raise self._timeout_error("")  # whoever has claimed it was interrupted
        error = self._error
        if error is None:
            return self._result
        self._error = None
        try:
            raise error
        finally:
            del error  # which its traceback would hold, and it the traceback

    def wait_or_cancel(self, cancel: CancelToken) -> R:
        """Block as ``wait`` does, and end the call when the token is cancelled."""
        if not cancel.attach(self, self.cancel_by_token):
            self.cancel_by_token()
        try:
            return self.wait()
        finally:
            cancel.detach(self)


class FutureCall(Future[R], Call[R]):
    """A call as a ``concurrent.futures.Future``.

    ``result``, ``exception``, ``cancel``, ``wait`` and ``as_completed`` work as ever;
    done-callbacks run on the client's notifier thread.
    """

    def __init__(
        self,
        request: Request[R],
        *,
        timeout: float | None,
        deadline: Deadline,
        notifier: Notifier,
    ) -> None:
        """Make a call; see ``Call``.

        Args:
            request: What is asked for.
            timeout: Seconds, for the text of errors.
            deadline: Until when it has to have ended.
            notifier: Runs done-callbacks.
        """
        Future.__init__(self)
        Call.__init__(self, request, timeout=timeout, deadline=deadline)
        self._notifier = notifier

    def cancel(self) -> bool:
        """Cancel the request, as ``Future.cancel`` does.

        The answer, if one still comes, is dropped. The backend is told where it would otherwise
        work on for nothing (a prompt), and may have acted all the same.

        Returns:
            True when the call is cancelled; False when it had ended another way.
        """
        self._make_haste()  # the backend has always got what is cancelled, if it could
        if not self.drop():
            return self.cancelled()
        super().cancel()
        self.set_running_or_notify_cancel()  # wakes wait() and as_completed()
        return True

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result; see ``Future.result``."""
        self._make_haste()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the exception; see ``Future.exception``."""
        self._make_haste()
        return super().exception(timeout)

    def _make_haste(self) -> None:
        if self.hurry is not None and not self.sent:
            self.hurry()

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn(future)`` called on the client's notifier thread once the future is done."""
        super().add_done_callback(lambda future: self._notifier.post(fn, future))

    def when_done(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn`` called by whoever ends the call; for this package's own, short steps."""
        super().add_done_callback(fn)

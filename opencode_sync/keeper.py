"""The one thread of a client that waits for the clock: deadlines, keep-alive, the next attempt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.log_thread import log_soon
from opencode_sync.logger import logger

__all__ = ["Keeper", "Timer"]


class Timer:
    """Something a keeper will do once. ``cancel`` it from any thread, as often as you like."""

    __slots__ = ("_keeper", "action", "at")

    def __init__(self, keeper: Keeper, at: float, action: Callable[[], None]) -> None:
        self._keeper = keeper
        self.at = at
        """When, in ``time.monotonic()`` seconds."""
        self.action = action
        """What; run on the keeper's thread."""

    def cancel(self) -> None:
        """Do not do it. If it is being done already, that is not interrupted."""
        self._keeper.discard(self)


class Keeper:
    """Runs a few timers on a thread that sleeps in between, and ends when there is none.

    Actions are this package's own, short, and never wait for the network or for a user's code.
    There are a handful of timers at most, so that a plain list serves. Any thread may call any
    method.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Guards every attribute below; waited on by the keeper's thread.
        self._changed = threading.Condition()
        self._timers: list[Timer] = []
        self._thread: threading.Thread | None = None
        self._previous: threading.Thread | None = None  # the one before, perhaps not quite gone
        self._open = False  # a keeper takes timers only while its client wants to be connected

    def open(self) -> None:
        """Accept timers."""
        with self._changed:
            self._open = True

    def call_at(self, at: float, action: Callable[[], None]) -> Timer:
        """Run ``action`` at ``at`` (``time.monotonic()`` seconds) or soon after.

        A stopped keeper runs nothing: the timer it returns never fires.
        """
        timer = Timer(self, at, action)
        failure = None
        with self._changed:
            if not self._open:
                return timer
            # Only when it has to get up earlier than it planned; and before the timer is there, so
            # that an interrupt in between leaves none that it does not know of.
            if self._thread is not None and all(at < other.at for other in self._timers):
                self._changed.notify()
            self._timers.append(timer)
            if self._thread is None:
                failure = self._start()
        if failure is not None:
            log_soon(_log_no_thread, failure)  # who calls may hold a lock of its own
        return timer

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run ``action`` in ``seconds`` or soon after."""
        return self.call_at(time.monotonic() + seconds, action)

    def discard(self, timer: Timer) -> None:
        """Forget a timer, if it is still to come."""
        with self._changed:
            if timer in self._timers:
                self._timers.remove(timer)
                if not self._timers:
                    self._changed.notify()

    def stop(self) -> None:
        """Take no more timers, drop those there are, and let the thread end. Never blocks."""
        with self._changed:
            self._open = False
            self._timers.clear()
            self._changed.notify()
            # From here on it is nobody's, and ends, also when the keeper is opened again at once.
            self._previous = self._thread or self._previous
            self._thread = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread to mind the timers."""
        return self._thread is not None

    def wait_ended(self, deadline: Deadline) -> None:
        """Wait until the thread of a keeper that was stopped is gone."""
        thread = self._previous
        if thread is not None and thread is not threading.current_thread():
            thread.join(deadline.remaining())

    def _start(self) -> RuntimeError | None:
        """Start the thread; returns why there is none. The caller holds the lock."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except BaseException as error:
            if self._thread.ident is not None:
                raise  # an interrupt, while it was starting
            self._thread = None  # the next timer tries again, for this one as well
            if not isinstance(error, RuntimeError):
                raise
            return error
        return None

    def _run(self) -> None:
        while (timer := self._next_due()) is not None:
            try:
                timer.action()
            except Exception:  # noqa: BLE001 - a bug in one timer must not end the others' deadlines
                logger.opt(exception=True).error("a timer failed")

    def _next_due(self) -> Timer | None:
        """Wait for the next timer that is due; None when there is nothing left to wait for."""
        with self._changed:
            while self._timers and self._thread is threading.current_thread():
                timer = min(self._timers, key=lambda timer: timer.at)
                left = timer.at - time.monotonic()
                if left <= 0:
                    self._timers.remove(timer)
                    return timer
                self._changed.wait(left)
            if self._thread is threading.current_thread():
                self._previous, self._thread = self._thread, None
            return None


def _log_no_thread(error: RuntimeError) -> None:
    logger.error("deadlines and keep-alive have no thread: {}", error)

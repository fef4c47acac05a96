"""The one thread of a client that waits for the clock: deadlines, keep-alive, the next attempt."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from loguru import logger

__all__ = ["Keeper", "Timer"]


class Timer:
    """Something the keeper will do once. ``cancel`` it from any thread, as often as you like."""

    __slots__ = ("_action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        """When, in ``time.monotonic()`` seconds."""
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it. One that is being done already is not interrupted."""
        self._action = None

    def take(self) -> Callable[[], None] | None:
        """Return what to do, or None if it was cancelled."""
        action, self._action = self._action, None
        return action


class Keeper:
    """Runs a few timers on a thread that sleeps in between.

    Actions are this package's own, short, and never wait for the network or for a user's code. The
    thread starts with the first timer and, once stopped, ends. Any thread may call any method.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Guards every attribute below; waited on by the keeper's thread.
        self._changed = threading.Condition()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._stopped: threading.Thread | None = None  # the one before, perhaps not quite gone
        self._open = False  # a keeper takes timers only while its client wants to be connected

    def open(self) -> None:
        """Accept timers."""
        with self._changed:
            self._open = True

    def call_at(self, at: float, action: Callable[[], None]) -> Timer:
        """Run ``action`` at ``at`` (``time.monotonic()`` seconds) or soon after.

        A stopped keeper runs nothing: the timer it returns never fires.
        """
        timer = Timer(at, action)
        with self._changed:
            if not self._open:
                return timer
            heapq.heappush(self._timers, (at, next(self._order), timer))
            if self._thread is None:
                self._start()
            elif self._timers[0][2] is timer:
                self._changed.notify()  # only when it has to get up earlier than it planned
        return timer

    def _start(self) -> None:
        """Start the thread. The caller holds the lock."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None  # the next timer tries again, for this one as well
            logger.error("deadlines and keep-alive have no thread: {}", error)

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run ``action`` in ``seconds`` or soon after."""
        return self.call_at(time.monotonic() + seconds, action)

    def stop(self) -> threading.Thread | None:
        """Take no more timers, drop those there are, and let the thread end. Never blocks.

        Returns:
            The thread, for the caller to join; None when there is none, or the caller is it.
        """
        with self._changed:
            self._open = False
            self._timers.clear()
            self._changed.notify()
            # From here on it is nobody's, and ends, also when the keeper is opened again at once.
            self._stopped = self._thread or self._stopped
            self._thread = None
            thread = self._stopped
        return None if thread is threading.current_thread() else thread

    def _run(self) -> None:
        while (timer := self._next_due()) is not None:
            action = timer.take()
            if action is None:
                continue
            try:
                action()
            except Exception:  # noqa: BLE001 - a bug in one timer must not end the others' deadlines
                logger.opt(exception=True).error("a timer failed")

    def _next_due(self) -> Timer | None:
        """Wait for the next timer that is due; None when the keeper was stopped."""
        with self._changed:
            while self._thread is threading.current_thread():
                if not self._timers:
                    self._changed.wait()
                    continue
                left = self._timers[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._timers)[2]
                self._changed.wait(left)
            return None

"""The thread on which users' callbacks run, in order, and nothing else does."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from opencode_sync.deadline import Deadline
from opencode_sync.logger import complain, logger
from opencode_sync.own_threads import OwnThreads

__all__ = ["Notifier", "log_no_thread"]

_log = logging.getLogger("opencode_sync")

_LINGER: Final = 1.0
"""Seconds the thread waits for more before it ends: callbacks come in bursts."""


def log_no_thread(error: RuntimeError) -> None:
    """Log that callbacks wait for a thread. Sinks are users' code: not for who holds a lock."""
    logger.error("callbacks have no thread to run on: {}", error)


def _say_no_thread(error: RuntimeError) -> None:
    complain(f"callbacks have no thread to run on: {error}")


class Notifier:
    """Runs callbacks one after another on a thread of its own.

    The thread starts when there is something to run and ends soon after there is not, so a client
    that is not used, or was never closed, keeps none. Any thread may call any method.
    """

    def __init__(
        self,
        name: str,
        own_threads: OwnThreads,
        no_thread: Callable[[RuntimeError], object] = _say_no_thread,
    ) -> None:
        """Make a notifier without a thread.

        Args:
            name: What to call its threads.
            own_threads: Whose threads they are, one after another.
            no_thread: Told, by whoever posts, that the system has no thread to spare: what was
                posted waits for the next post. Who posts may hold a lock, so it must not block.
        """
        self._name = name
        self._own_threads = own_threads
        self._no_thread = no_thread
        # Guards every attribute below; waited on by the notifier's thread.
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._thread: threading.Thread | None = None
        self._ended: threading.Thread | None = None  # the one before, perhaps not quite gone
        self._ending = False

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Have ``callback(*args)`` run soon, after all that was posted before. Never blocks."""
        failure = None
        with self._changed:
            self._jobs.append((callback, args))
            if self._thread is None:
                failure = self._start()
            else:
                self._changed.notify()
        if failure is not None:
            self._no_thread(failure)

    def _start(self) -> RuntimeError | None:
        """Start the thread; returns why there is none. The caller holds the lock."""
        self._thread = threading.Thread(
            target=self._own_threads.run, args=(self._run,), name=self._name, daemon=True
        )
        try:
            self._thread.start()
        except BaseException as error:
            if self._thread.ident is not None:
                raise  # an interrupt, while it was starting
            self._thread = None  # the next callback tries again, for this one as well
            if not isinstance(error, RuntimeError):
                raise
            return error
        return None

    @property
    def backlog(self) -> int:
        """How many callbacks wait for their turn."""
        return len(self._jobs)

    def is_current_thread(self) -> bool:
        """Return whether the caller is a callback run by this notifier."""
        return self._thread is threading.current_thread()

    def stop(self, deadline: Deadline) -> bool:
        """Have the thread run what was posted and then end at once. More may be posted later.

        Returns:
            True when the thread has ended; False when a callback outlasted the deadline, or when
            a callback is who calls: then the thread ends after that callback.
        """
        with self._changed:
            thread = self._thread or self._ended
            if thread is None:
                return True
            if thread is self._thread:
                self._ending = True
                self._changed.notify()
        if thread is threading.current_thread():
            return False
        thread.join(deadline.remaining())
        return not thread.is_alive()

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            callback, args = job
            try:
                callback(*args)
            except BaseException:  # noqa: BLE001 - a guest's SystemExit must not end the thread
                # To the standard library's log, as its own futures do: that shows by default, and
                # a program whose callbacks fail unseen is hard to mend.
                _log.exception("a callback of opencode_sync raised an exception; it is ignored")

    def _next_job(self) -> tuple[Callable[..., object], tuple[Any, ...]] | None:
        with self._changed:
            if not self._jobs and not self._ending:
                self._changed.wait_for(lambda: self._jobs or self._ending, _LINGER)
            if self._jobs:
                return self._jobs.popleft()
            self._ended, self._thread, self._ending = self._thread, None, False
            return None

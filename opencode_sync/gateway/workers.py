"""Threads that run jobs: as many as there is work, kept for a while, ended together."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.logger import logger

__all__ = ["WorkerPool"]

_IDLE_SECONDS = 5.0


class WorkerPool:
    """Runs jobs at once, each on a thread of its own for that time.

    Without a limit no job ever waits behind another, so one that is held up holds up nothing else;
    how many there may be is then for those who submit them to bound. Threads without work end after
    a few seconds. Any thread may call any method.

    Args:
        name: What the threads' names begin with.
        limit: How many jobs may run at a time, the others wait in line; None for any number.
    """

    def __init__(self, name: str, *, limit: int | None = None) -> None:
        self._name = name
        self._limit = limit
        self._numbers = itertools.count(1)
        # Guards every attribute below; waited on by workers without a job.
        self._changed = threading.Condition()
        self._jobs: deque[Callable[[], object]] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, job: Callable[[], object]) -> bool:
        """Run a job soon; returns False when the pool is closed or no thread can be had."""
        with self._changed:
            if self._closed:
                return False
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return True
            if self._limit is not None and len(self._threads) >= self._limit:
                return True  # for the first that is done with another
            thread = threading.Thread(
                target=self._work, name=f"{self._name}-{next(self._numbers)}", daemon=True
            )
            self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError as error:
                self._threads.discard(thread)
                self._jobs.remove(job)
                logger.error("the gateway cannot start another thread: {}", error)
                return False
            return True

    def withdraw(self, job: Callable[[], object]) -> None:
        """Do not run a job that still waits in line."""
        with self._changed, contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def close(self, deadline: Deadline) -> bool:
        """Take no more jobs, and wait for those that run; returns whether all threads ended."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(deadline.remaining())
        return not any(thread.is_alive() for thread in threads)

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                try:
                    job()
                except Exception:  # noqa: BLE001
                    logger.exception("a job of the gateway failed")
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self._jobs or self._closed, _IDLE_SECONDS)
            finally:
                self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            # In one step with the look: a job that comes now has to find that this one is going.
            self._threads.discard(threading.current_thread())
            return None

"""What ends a run before its time, and the turns that the prompts of one session take.

A thread that sees a run through waits for several things at once: its turn, the answer, a question,
the deadline, a cancel, the gateway's end. All of them wake it by one bell.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Self

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.cancellation import Cancellation

__all__ = ["Stop", "Turns", "Why"]


class Why(Enum):
    """Why a run has to end."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    CLOSING = "closing"
    INCOMPLETE = "incomplete"


class Stop:
    """Whether a run has to end, and the bell of the thread that sees it through.

    A context manager: a cancellation rings only inside. Any thread may ring; one thread waits.
    """

    def __init__(
        self, deadline: Deadline, *, cancelled: Cancellation | None, closing: Cancellation
    ) -> None:
        """Watch over one run.

        Args:
            deadline: When it has to end.
            cancelled: Set when its caller has no use for it any more; None if that cannot be.
            closing: Set when the gateway ends.
        """
        self.deadline = deadline
        self.allowed = deadline.remaining()
        """Seconds it was given; None for any number."""
        self._cancelled = cancelled or Cancellation()
        self._closing = closing
        self._rung = threading.Condition()  # guards nothing: what is waited for has its own rules
        self._forget: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._forget = [each.on_cancel(self.ring) for each in (self._cancelled, self._closing)]
        return self

    def __exit__(self, *_: object) -> None:
        for forget in self._forget:
            forget()

    @property
    def why(self) -> Why | None:
        """Why the run has to end, None while it may go on."""
        if self._closing.cancelled:
            return Why.CLOSING
        if self._cancelled.cancelled:
            return Why.CANCELLED
        return Why.TIMEOUT if self.deadline.passed() else None

    @property
    def reason(self) -> str:
        """The caller's words for its cancel; "" if there are none."""
        return self._cancelled.reason

    def ring(self) -> None:
        """Have the waiting thread look again. What it shall see has to be there already."""
        with self._rung:
            self._rung.notify_all()

    def wait_for(self, what: Callable[[], object]) -> None:
        """Wait until ``what()`` is true, or the run has to end."""
        self.wait_anyway(lambda: what() or self.why, self.deadline)

    def wait_anyway(self, what: Callable[[], object], deadline: Deadline) -> bool:
        """Wait until ``what()`` is true, whether the run has to end or not; returns whether it is.

        Args:
            what: Must not block.
            deadline: How long at most.
        """
        left = deadline.remaining()
        with self._rung:
            return bool(
                self._rung.wait_for(
                    what, None if left is None else min(left, threading.TIMEOUT_MAX)
                )
            )


class Turns:
    """Lets the prompts of one session go on one after another, in the order of their coming."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _queues
        self._queues: dict[str, deque[Stop]] = {}

    @contextmanager
    def of(self, session_id: str, stop: Stop) -> Iterator[bool]:
        """Wait for the session's turn, and hold it.

        Yields:
            True when it has come, False when the run has to end before that.
        """
        with self._lock:
            queue = self._queues.setdefault(session_id, deque())
            queue.append(stop)
        try:
            # Without the lock: whoever is in the queue finds it not empty, and its head is a fact.
            stop.wait_for(lambda: queue[0] is stop)
            yield queue[0] is stop
        finally:
            with self._lock:
                queue.remove(stop)
                if not queue:
                    del self._queues[session_id]
                following = queue[0] if queue else None
            if following is not None:
                following.ring()

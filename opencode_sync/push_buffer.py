"""What lies between the reader and who reads a stream: bounded, and it never makes anybody wait."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from opencode_sync.deadline import Deadline
from opencode_sync.wire.ext_event_pb2 import IpcEvent

__all__ = ["PushBuffer"]

# On Windows Ctrl-C does not end a wait for a lock, so there it must not be a long one.
_LONGEST_WAIT: Final = 0.5 if sys.platform == "win32" else threading.TIMEOUT_MAX


class PushBuffer:
    """Events on their way from the reader, which never waits, to consumers who may be slow.

    Bounded in number and bytes. What does not fit is dropped and counted, and the consumer gets to
    know exactly where. Any thread may call any method.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        """Make an empty buffer.

        Args:
            max_events: How many events it holds.
            max_bytes: How many bytes they have together; a single event may have more.
        """
        self._max_events = max_events
        self._max_bytes = max_bytes
        # Guards all below. A plain lock, and one more for each wait, where a Condition would do:
        # an interrupt in the middle of a Condition's own code may leave it locked for ever, and
        # with it the reader.
        self._lock = threading.Lock()
        self._items: deque[tuple[IpcEvent, int] | int] = deque()  # events, and gaps as numbers
        self._count = 0
        self._bytes = 0
        self._opened = False
        self._finished = False
        self._bells: list[threading.Lock] = []

    # --- The reader ---

    def open(self) -> None:
        """Note that events may come from now on."""
        with self._lock:
            self._opened = True
            bells = self._take_bells()
        _ring(bells)

    def put(self, event: IpcEvent, size: int, missed: int = 0) -> None:
        """Add an event, or count it as missed; never waits.

        Args:
            event: The event.
            size: Its bytes.
            missed: How many before it are missing.
        """
        with self._lock:
            if self._finished:
                return
            if missed:
                self._add_gap(missed)
            full = self._count >= self._max_events
            if full or (self._count and self._bytes + size > self._max_bytes):
                self._add_gap(1)
            else:
                self._items.append((event, size))
                self._count += 1
                self._bytes += size
            bells = self._take_bells()
        _ring(bells)

    def gap(self, missed: int) -> None:
        """Note that events are missing after the newest."""
        with self._lock:
            if missed and not self._finished:
                self._add_gap(missed)

    def finish(self) -> None:
        """Note that nothing more will come. What is there can still be taken."""
        with self._lock:
            self._finished = True
            bells = self._take_bells()
        _ring(bells)

    def discard(self) -> None:
        """Drop what is there, and whatever will come."""
        with self._lock:
            self._items.clear()
            self._count = self._bytes = 0
            self._finished = True
            bells = self._take_bells()
        _ring(bells)

    # --- Consumers ---

    def wait_opened(self, deadline: Deadline) -> bool:
        """Wait until it is open, or finished; returns False when the deadline came first."""
        return self._wait(lambda: self._opened or self._finished or None, deadline) is not None

    def take(self, deadline: Deadline) -> IpcEvent | int | None:
        """Wait for the next event, or the number of those that are missing here.

        Returns:
            None when there is nothing more, or when the deadline came first; ``drained`` tells.
        """
        return self._wait(self._next, deadline)

    @property
    def opened(self) -> bool:
        """Whether it was opened."""
        with self._lock:
            return self._opened

    @property
    def drained(self) -> bool:
        """Whether nothing is left and nothing more will come."""
        with self._lock:
            return self._finished and not self._items

    def _next(self) -> IpcEvent | int | None:
        """Take what comes first. The caller holds the lock."""
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, int):
            return item
        event, size = item
        self._count -= 1
        self._bytes -= size
        return event

    def _wait(
        self, look: Callable[[], IpcEvent | int | None], deadline: Deadline
    ) -> IpcEvent | int | None:
        """Wait until ``look`` finds something; None when it cannot any more, or not in time."""
        bell: threading.Lock | None = None
        while True:
            with self._lock:
                if bell in self._bells:
                    self._bells.remove(bell)
                found = look()
                if found is not None or self._finished or deadline.passed():
                    return found
                bell = threading.Lock()
                bell.acquire()
                self._bells.append(bell)
            left = deadline.remaining()
            bell.acquire(timeout=_LONGEST_WAIT if left is None else min(left, _LONGEST_WAIT))

    # --- Inner steps. The caller holds the lock ---

    def _add_gap(self, missed: int) -> None:
        if self._items and isinstance(self._items[-1], int):
            self._items[-1] += missed
        else:
            self._items.append(missed)

    def _take_bells(self) -> list[threading.Lock]:
        bells, self._bells = self._bells, []
        return bells


def _ring(bells: list[threading.Lock]) -> None:
    for bell in bells:
        bell.release()

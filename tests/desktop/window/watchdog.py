"""Measures for how long the Qt thread was held, from one turn of its loop to the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QObject, Qt, QTimer

__all__ = ["Watch", "watching"]

_TICK_MS = 5


class Watch(QObject):
    """The longest turn so far.

    On a machine with more to do than it can, a thread is often held up by nothing but the
    scheduler. So the figure that is judged is the processor time that the Qt thread has spent
    between two ticks; the time on the wall is there to catch what waits instead of working, which
    lasts seconds in these tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0
        self.longest_work = 0.0  # seconds
        self.longest_wall = 0.0  # seconds
        self._work = time.thread_time()
        self._wall = time.monotonic()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(_TICK_MS)

    def _tick(self) -> None:
        work, wall = time.thread_time(), time.monotonic()
        self.ticks += 1
        self.longest_work = max(self.longest_work, work - self._work)
        self.longest_wall = max(self.longest_wall, wall - self._wall)
        self._work, self._wall = work, wall

    def stop(self) -> None:
        self._tick()
        self._timer.stop()


@contextmanager
def watching() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.stop()
    watch.deleteLater()

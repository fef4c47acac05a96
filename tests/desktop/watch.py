"""Judges for how long the Qt thread is held by a turn of its event loop."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import Final, Self

import pytest
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

__all__ = ["Watch", "never_held"]

_HELD: Final = 0.050
"""Seconds of its own processor time for which the Qt thread may be held at most."""

_TRACED: Final = 4.0
"""How many times as long a thread may take whose every line is counted."""

_WAITED: Final = 5.0
"""Seconds on the wall in which something waited instead of working."""

_PATIENCE: Final = 30.0
"""Seconds after which what is waited for is taken for never happening."""

_TAKES: Final = 3

_TICK_MS: Final = 5


def never_held(scenario: Callable[[Watch], object]) -> None:
    """Fail if the Qt thread is held for too long each time that this is played.

    A processor that others use as well is sometimes slow for a moment: its caches are theirs. So
    the best of some takes counts. What is wrong with the program is wrong in all of them.

    Args:
        scenario: Does what is judged by the methods of the watch; can be repeated.
    """
    limit = _HELD * (1.0 if sys.gettrace() is None else _TRACED)
    takes = []
    for _ in range(_TAKES):
        with Watch() as watch:
            scenario(watch)
        takes.append(f"{watch.work * 1000:.1f} ms of work, {watch.wall * 1000:.0f} ms in all")
        if watch.work <= limit and watch.wall <= _WAITED:
            print("longest turn:", *takes, sep="\n")
            return
    pytest.fail("a turn took too long in each take: " + "; ".join(takes))


class Watch:
    """The longest turn of the Qt thread so far.

    On a machine with more to do than it can, threads are often held up by nothing but the
    scheduler. So what is judged is the processor time that this thread has spent; the time on the
    wall only catches what waits. What the tests' own objects, which are many, cost Python's
    collector does not count.
    """

    def __init__(self) -> None:
        self.turns = 0
        self.work = 0.0  # seconds
        self.wall = 0.0  # seconds
        self._ticks = QTimer()  # for conditions that come true without an event

    def __enter__(self) -> Self:
        gc.collect()
        gc.freeze()
        self._ticks.start(_TICK_MS)
        return self

    def __exit__(self, *error: object) -> None:
        self._ticks.stop()
        gc.unfreeze()

    def until(self, condition: Callable[[], bool]) -> None:
        """Run the event loop, turn by turn, until this holds."""
        give_up = time.monotonic() + _PATIENCE
        wait = QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        while not condition():
            assert time.monotonic() < give_up, "what was waited for has not come about"
            self.during(lambda: QApplication.processEvents(wait))

    def during(self, step: Callable[[], object]) -> None:
        """Do this as one turn."""
        work, wall = time.thread_time(), time.monotonic()
        step()
        self.turns += 1
        self.work = max(self.work, time.thread_time() - work)
        self.wall = max(self.wall, time.monotonic() - wall)

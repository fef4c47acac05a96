"""A dispatcher without a toolkit, whose turns the test takes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from opencode_sync.desktop.dispatch import Dispatcher

WAIT: Final = 30.0


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


class Log(list[tuple[str, str]]):
    """What was logged: levels and texts."""

    def at(self, level: str) -> list[str]:
        return [text for each, text in self if each == level]


class ManualDispatcher(Dispatcher):
    """Runs callbacks when the test says so."""

    def __init__(self, batch: int = 256) -> None:
        super().__init__(batch)
        self.alive = True
        self.wakes = 0
        self.on_wake: Callable[[], None] | None = None
        self.reported: list[Exception] = []
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def _wake(self) -> bool:
        self.wakes += 1
        on_wake, self.on_wake = self.on_wake, None
        if on_wake is not None:
            on_wake()
        self._wakes.put(None)
        return self.alive

    def _wake_after_rest(self) -> None:
        self.wakes += 1
        self._wakes.put(None)

    def _report(self, error: Exception) -> None:
        self.reported.append(error)

    def turn(self, timeout: float = WAIT) -> bool:
        """Wait until the toolkit is woken, and take a turn; False when it is not in time."""
        try:
            self._wakes.get(timeout=timeout)
        except queue.Empty:
            return False
        self._woken()
        return True

    def take_reported(self) -> list[Exception]:
        """Return what callbacks have raised, which the test expected."""
        reported, self.reported = self.reported, []
        return reported

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Take turns until something is true."""
        give_up = time.monotonic() + WAIT
        while not condition():
            assert self.turn(max(0.0, give_up - time.monotonic())), "it did not come true"

    def run_dry(self) -> None:
        """Take turns until all that was posted so far has run."""
        ran = threading.Event()
        self.post(ran.set)
        self.run_until(ran.is_set)

"""What a figure asks of a contender."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future
from typing import Any

__all__ = ["PATIENCE", "Contender", "ContenderMissing"]

PATIENCE = 60.0
"""Seconds after which an answer is taken for lost, and the run with it."""


class ContenderMissing(Exception):
    """The contender cannot take part; the text says why."""


class Contender(ABC):
    """One way of talking to the responder. Connected when made; the figures' threads share it."""

    name: str

    @abstractmethod
    def check_health(self) -> bool:
        """One round trip of the smallest message."""

    @abstractmethod
    def list_sessions(self) -> int:
        """Fetch all sessions; return how many there are."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def pipeline(self, count: int, window: int) -> None:
        """Make ``count`` health checks from this thread, ``window`` of them on their way at once.

        A new one goes out as soon as the oldest has its answer.
        """
        waiting: deque[Any] = deque()
        begin, finish = self.begin, self.finish
        for _ in range(count):
            if len(waiting) >= window:
                _require(finish(waiting.popleft()))
            waiting.append(begin())
        while waiting:
            _require(finish(waiting.popleft()))

    def begin(self) -> Future[Any]:
        """Send a health check without waiting."""
        raise NotImplementedError

    def finish(self, future: Any) -> bool:
        """Wait for what ``begin`` returned."""
        raise NotImplementedError

    def hold(self) -> Any:
        """Send a request that never gets an answer; returns what stands for it."""
        raise NotImplementedError


def _require(healthy: bool) -> None:
    if not healthy:
        raise AssertionError("the responder is healthy, and somebody said that it is not")

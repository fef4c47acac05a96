"""Running something in another thread of a test without losing what it raises."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

R = TypeVar("R")

_WAIT: Final = 10.0


class Background(Generic[R]):
    """``function(*args)`` on a thread of its own, begun at once."""

    def __init__(self, function: Callable[..., R], *args: Any, **keywords: Any) -> None:
        self._job: Callable[[], R] = functools.partial(function, *args, **keywords)
        self._outcome: R | None = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="background-of-a-test", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._job()
        except BaseException as error:
            self._error = error

    def result(self, timeout: float = _WAIT) -> R:
        """Wait for it to end and return its result, or raise what it raised."""
        self._join(timeout)
        if self._error is not None:
            raise self._error
        return self._outcome  # type: ignore[return-value]

    def error(self, timeout: float = _WAIT) -> BaseException:
        """Wait for it to end and return what it raised, which it must have."""
        self._join(timeout)
        assert self._error is not None, f"it raised nothing and returned {self._outcome!r}"
        return self._error

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.thread.is_alive()

    def _join(self, timeout: float) -> None:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), f"it did not end within {timeout} s"


def together(count: int, function: Callable[[int], R]) -> list[Background[R]]:
    """Begin ``function(0)`` to ``function(count - 1)`` at the same moment, each on its thread."""
    barrier = threading.Barrier(count)

    def run(index: int) -> R:
        barrier.wait(_WAIT)
        return function(index)

    return [Background(run, index) for index in range(count)]

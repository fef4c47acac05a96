"""How much of the Qt thread's time something may take in one go."""

from __future__ import annotations

import time

__all__ = ["Budget"]


class Budget:
    """Some seconds from now, which whoever works with it looks at between two steps."""

    def __init__(self, seconds: float) -> None:
        """Begin."""
        self._began = time.perf_counter()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._began

    @property
    def over(self) -> bool:
        """Whether it is used up."""
        return self.spent >= self._seconds

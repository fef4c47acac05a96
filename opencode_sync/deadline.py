"""One point in time that a whole call has to meet, made once and passed down."""

from __future__ import annotations

import time

__all__ = ["NEVER", "NOW", "Deadline"]


class Deadline:
    """A moment on the monotonic clock, or never.

    Made once where a public call starts, so that the steps below share one budget instead of each
    starting a new one. Immutable; any thread may use it.
    """

    __slots__ = ("at",)

    def __init__(self, at: float | None) -> None:
        self.at = at
        """``time.monotonic()`` seconds; None means never."""

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the deadline ``seconds`` from now; None never comes, 0 or less has passed."""
        return NEVER if seconds is None else cls(time.monotonic() + seconds)

    def remaining(self) -> float | None:
        """Return the seconds left, never below 0.0; None when there is no limit."""
        if self.at is None:
            return None
        left = self.at - time.monotonic()
        return left if left > 0.0 else 0.0

    def passed(self) -> bool:
        """Return whether the moment has come."""
        return self.at is not None and time.monotonic() >= self.at

    def earlier(self, other: Deadline) -> Deadline:
        """Return whichever of the two comes first."""
        if self.at is None:
            return other
        if other.at is None or self.at <= other.at:
            return self
        return other

    def __repr__(self) -> str:
        left = self.remaining()
        return "Deadline(never)" if left is None else f"Deadline(in {left:.3f} s)"


NEVER = Deadline(None)
"""A deadline that does not come: wait as long as it takes."""

NOW = Deadline(0.0)
"""A deadline that has always passed: do what can be done without waiting."""

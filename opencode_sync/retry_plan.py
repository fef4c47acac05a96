"""When a client tries again, and when no more: the counting behind a ``ReconnectPolicy``."""

from __future__ import annotations

import time

from opencode_sync.reconnect import ReconnectPolicy

__all__ = ["RetryPlan"]


class RetryPlan:
    """Counts a client's attempts. One thread at a time; its owner has the lock."""

    def __init__(self, policy: ReconnectPolicy | None) -> None:
        """Make a plan of which nothing has been done.

        Args:
            policy: How to come back; None for not at all.
        """
        self._policy = policy
        self._retries = 0  # attempts in a row of our own
        self._last_delay = 0.0  # the pause before the newest of them
        self._opened_at = 0.0

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, 1 for the user's own."""
        return max(1, self._retries)

    def reset(self) -> None:
        """Begin anew: the user connects."""
        self._retries = 0

    def begin(self) -> None:
        """Note that an attempt of our own begins."""
        self._retries += 1

    def opened(self) -> None:
        """Note that an attempt has succeeded."""
        self._opened_at = time.monotonic()

    def next_delay(self, *, was_live: bool) -> float | None:
        """Return the seconds until the next attempt; None when there is to be none.

        Args:
            was_live: Whether there was a connection, and not an attempt only. The pauses start
                small again after one that lasted at least as long as the pause before it.
        """
        policy = self._policy
        if policy is None:
            return None
        if was_live and time.monotonic() - self._opened_at >= self._last_delay:
            self._retries = 0
        if policy.attempts is not None and self._retries >= policy.attempts:
            return None
        self._last_delay = policy.delay(self._retries + 1)
        return self._last_delay

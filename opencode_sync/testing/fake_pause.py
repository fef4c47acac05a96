"""When a ``FakeIpcClient`` comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Self

from opencode_sync.reconnect import ReconnectPolicy

__all__ = ["PauseWhileDown"]


class PauseWhileDown(ReconnectPolicy):
    """The pauses of another policy while the backend is down, and none when it is not.

    So a client that is down behaves as in production, and a test does not wait for one that could
    be back.
    """

    _policy: ReconnectPolicy
    _is_down: Callable[[], bool]

    @classmethod
    def of(cls, policy: ReconnectPolicy, is_down: Callable[[], bool]) -> Self:
        """Return the policy with this exception.

        Args:
            policy: Whose pauses.
            is_down: Whether the backend is down. Called under a lock; returns at once.
        """
        made = cls(**{each.name: getattr(policy, each.name) for each in fields(ReconnectPolicy)})
        object.__setattr__(made, "_policy", policy)  # policies are frozen
        object.__setattr__(made, "_is_down", is_down)
        return made

    def delay(self, attempt: int) -> float:
        """See ``ReconnectPolicy``."""
        return self._policy.delay(attempt) if self._is_down() else 0.0

"""How a client comes back after its connection was lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opencode_sync.errors import IpcConfigError

__all__ = ["ReconnectPolicy"]


@dataclass(frozen=True, kw_only=True)
class ReconnectPolicy:
    """When to try again after a connection was lost, and what calls do meanwhile.

    The first ``connect`` is never repeated by itself: its caller gets the error. After it has once
    succeeded, a lost connection is restored in the background, with growing, jittered pauses.

    This is the client's circuit breaker, too. While the backend is known to be down there is at
    most one attempt at a time, however many threads call; ``IpcClient.retry_in`` and
    ``StateChange.retry_in`` say when the next one comes.
    """

    initial_delay: float = 0.1
    """Seconds before the first attempt, without jitter."""

    maximum_delay: float = 1.5
    """Seconds a pause never exceeds, but for its jitter: with the default, a client is back within
    two seconds of its backend, and an attempt on loopback costs little. The pauses start small
    again after a connection that lasted at least as long as the pause before it."""

    multiplier: float = 2.0
    """How much longer each pause is than the one before."""

    jitter: float = 0.1
    """Seconds, chosen at random up to this, added to each pause: clients of one backend do not all
    come back in the same instant."""

    attempts: int | None = None
    """Attempts in a row before giving up; None never gives up."""

    wait_while_down: bool = True
    """Whether calls made while the connection is down wait for it, for at most their own time-out.
    False: they fail at once, within microseconds and without touching the network; the error's
    ``retry_in`` says when the next attempt is."""

    def __post_init__(self) -> None:
        for field, low in (
            ("initial_delay", 0.0),
            ("maximum_delay", 0.0),
            ("multiplier", 1.0),
            ("jitter", 0.0),
        ):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise IpcConfigError(f"{field} is {value!r}; give a number", field=field)
            if not math.isfinite(value) or value < low:
                raise IpcConfigError(
                    f"{field} is {value!r}; give a finite number of at least {low:g}", field=field
                )
        if self.attempts is not None and (
            isinstance(self.attempts, bool)
            or not isinstance(self.attempts, int)
            or self.attempts < 1
        ):
            raise IpcConfigError(
                f"attempts is {self.attempts!r}; give a whole number of at least 1, or None to "
                "never give up",
                field="attempts",
            )

    def delay(self, attempt: int) -> float:
        """Return the pause before an attempt in seconds; chosen anew, with jitter, at each call.

        Args:
            attempt: 1 for the first attempt after the loss.
        """
        # Imported here because it brings asyncio along, which a light import must not.
        from tenacity import RetryCallState, Retrying, wait_exponential, wait_random

        pause = wait_exponential(
            multiplier=self.initial_delay, exp_base=self.multiplier, max=self.maximum_delay
        ) + wait_random(0, self.jitter)
        state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
        state.attempt_number = attempt
        return min(float(pause(state)), self.maximum_delay + self.jitter)

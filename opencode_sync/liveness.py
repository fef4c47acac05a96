"""Finding out that the other side is gone although the link still stands."""

from __future__ import annotations

import time
from collections.abc import Callable

from opencode_sync.errors import IpcConnectionError
from opencode_sync.keeper import Keeper, Timer
from opencode_sync.sender import Sender
from opencode_sync.transport.base import Transport

__all__ = ["Liveness"]


class Liveness:
    """Pings a link on which nothing comes in, and gives up on it when still nothing does.

    Any byte counts as life, so a busy or slow backend is never mistaken for a dead one as long as
    it sends. Costs one timer per ``interval`` and nothing per message.
    """

    def __init__(
        self,
        *,
        keeper: Keeper,
        transport: Transport,
        sender: Sender,
        interval: float,
        timeout: float,
        on_dead: Callable[[IpcConnectionError], None],
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the watch over one link.

        Args:
            keeper: Runs the timer.
            transport: Knows when it last received something.
            sender: Sends the pings.
            interval: Seconds of silence before a ping.
            timeout: Seconds of further silence before the link is given up.
            on_dead: Told so, on the keeper's thread.
            on_silence: Told of each silence that calls for a ping, on the same.
        """
        self._keeper = keeper
        self._transport = transport
        self._sender = sender
        self._interval = interval
        self._timeout = timeout
        self._on_dead = on_dead
        self._on_silence = on_silence
        self._pinged_at = 0.0
        self._stopped = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._plan(self._transport.last_received_at + self._interval)

    def stop(self) -> None:
        """End the watch. Any thread."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _plan(self, at: float) -> None:
        if not self._stopped:
            self._timer = self._keeper.call_at(at, self._check)

    def _check(self) -> None:
        if self._stopped:
            return
        heard = self._transport.last_received_at
        now = time.monotonic()
        if now < heard + self._interval:
            self._plan(heard + self._interval)
        elif self._pinged_at <= heard:
            self._pinged_at = now
            self._sender.ping()
            self._on_silence()
            self._plan(now + self._timeout)
        elif now >= self._pinged_at + self._timeout:
            self._on_dead(
                IpcConnectionError(
                    f"{self._transport.endpoint} has sent nothing for {now - heard:.1f} s and did "
                    "not answer a ping; the connection is taken for dead",
                    endpoint=self._transport.endpoint,
                )
            )
        else:
            self._plan(self._pinged_at + self._timeout)

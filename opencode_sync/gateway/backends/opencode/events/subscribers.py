"""Who gets a hub's events, and how they are called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.logger import logger

__all__ = ["Delivery", "HubSubscription", "Subscriber"]


class Subscriber(Protocol):
    """Gets a hub's events: on the hub's thread, one call at a time. Must not block."""

    def event(self, event: OpenCodeEvent) -> None:
        """One event."""

    def resubscribed(self) -> None:
        """Events may be missing before this; what can be read again follows, as ``replayed``."""

    def ended(self, reason: str) -> None:
        """The hub has let go; nothing follows. Comes once at most, on whichever thread."""


class HubSubscription:
    """One subscriber's place in a hub. Any thread may call ``close``."""

    def __init__(
        self,
        subscriber: Subscriber,
        leave: Callable[[HubSubscription], None],
        delivery: Delivery,
    ) -> None:
        """For ``EventHub.subscribe``."""
        self.subscriber = subscriber
        self._leave = leave
        self._delivery = delivery
        self._closed = False
        self._failed = False

    def close(self) -> None:
        """End it: once this returns the subscriber is not called any more.

        Called by the subscriber itself, within one of its methods, it does not wait for that
        method. Do not call it while holding a lock that the subscriber's methods take. More than
        once is fine.
        """
        self._closed = True  # a delivery that is going on leaves it out from here on
        self._leave(self)

    def in_turn(
        self, method: Callable[..., None], *arguments: Any, deadline: Deadline | None = None
    ) -> bool:
        """Call one of the subscriber's methods between two calls of the hub's own.

        Args:
            method: Must not block. What it raises comes out.
            arguments: Its own.
            deadline: For the wait until the hub's call has returned; None waits as long as that
                takes.

        Returns:
            Whether it was called: not once this is closed, or the hub has let go.

        Raises:
            BackendError: SERVER_ERROR: a subscriber blocks until then.
        """
        with self._delivery.held(deadline):
            if self._closed:
                return False
            method(*arguments)
            return True

    def call(self, method: Callable[..., None], *arguments: Any) -> None:
        """Call one of the subscriber's methods, for a thread that holds the delivery."""
        if self._closed:
            return
        try:
            method(*arguments)
        except Exception:  # noqa: BLE001 - one subscriber must not disturb the others
            if not self._failed:
                logger.exception("a subscriber to OpenCode's events failed; this is a bug")
            self._failed = True

    def end(self, reason: str) -> None:
        """Tell the subscriber that nothing follows, for a thread that holds the delivery."""
        self.call(self.subscriber.ended, reason)
        self._closed = True


class Delivery:
    """Held while subscribers are called, and while one comes or goes."""

    def __init__(self) -> None:
        # Guards the calls. A subscriber may come or go within one, so it can be taken twice.
        self._lock = threading.RLock()

    @contextmanager
    def held(self, deadline: Deadline | None = None) -> Iterator[None]:
        """Hold it for a block.

        Raises:
            BackendError: SERVER_ERROR: a subscriber blocks for longer than that.
        """
        left = None if deadline is None else deadline.remaining()
        if not self._lock.acquire(timeout=-1 if left is None else left):
            raise server_error("the gateway is busy with delivering events; try again")
        try:
            yield
        finally:
            self._lock.release()

"""The beginning of a subscription that is told first what is so already."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from contextlib import closing

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.current import read_current
from opencode_sync.gateway.backends.opencode.events.hub import HubSubscription
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.events.readings import Readings
from opencode_sync.gateway.backends.opencode.http.breaker import Breaker
from opencode_sync.gateway.backends.opencode.listener import Listener, SessionTree
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger

__all__ = ["Beginning"]

_TIMEOUT = 10.0
"""Seconds from the subscription until events are handed on in any case."""


class Beginning:
    """A ``Subscription`` of which one of the binding's threads reads the beginning.

    It holds up nobody: not the request, which is over, nor whoever ends the subscription, which
    breaks the reading off.
    """

    def __init__(
        self,
        binding: Binding,
        subscription: HubSubscription,
        listener: Listener,
        breaker: Breaker,
        folders: Callable[[Readings], Iterable[str]],
        types: EventTypes,
        sessions: SessionTree | None,
    ) -> None:
        """Do nothing; ``start`` it.

        Args:
            binding: The server.
            subscription: To its events.
            listener: The subscription's; it was opened.
            breaker: The listener's, which breaks the reading off.
            folders: Says which may have something going on, given a way to ask.
            types: Those that are wanted.
            sessions: Those that are wanted; None for all.
        """
        self._binding = binding
        self._subscription = subscription
        self._listener = listener
        self._breaker = breaker
        self._folders = folders
        self._types = types
        self._sessions = sessions
        self._deadline = Deadline.after(_TIMEOUT)
        self._context = contextvars.copy_context()  # the calls belong to the request's trace
        self._closed = False

    def start(self) -> None:
        """Have it read.

        Raises:
            BackendError: SERVER_ERROR: there is no thread for that.
        """
        if not self._binding.readers.submit(self._run):
            raise server_error("the gateway has no thread to look at what is so; try again")

    def close(self) -> None:
        """See ``Subscription``."""
        self._closed = True
        self._subscription.close()  # first, or what was read until then would still be told
        self._breaker.trip()
        self._binding.readers.withdraw(self._run)

    def _run(self) -> None:
        self._context.run(self._tell)

    def _tell(self) -> None:
        read: list[OpenCodeEvent] = []
        try:
            with closing(self._binding.http.breakable(self._breaker)) as http:
                read.extend(
                    read_current(
                        http,
                        self._binding.events,
                        self._folders,
                        types=self._types,
                        sessions=self._sessions,
                        deadline=self._deadline,
                        stopped=lambda: self._breaker.broken,
                        failed=self._log,
                    )
                )
        finally:  # whatever went wrong, events go on
            self._breaker.trip()
            self._subscription.in_turn(self._listener.release, read)

    def _log(self, why: str) -> None:
        if not self._closed:
            logger.warning("What is going on is not known in all project folders: {}", why)

"""Which of a hub's events one subscription wants, and what is kept until they may be handed on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.current import without_old_news
from opencode_sync.gateway.backends.opencode.events.reader import (
    RESUBSCRIBED,
    OpenCodeEvent,
    resubscribed_event,
)

__all__ = ["Listener", "SessionTree"]

_MOST_HELD = 10_000
"""Events that are kept."""


class SessionTree:
    """A session and those below it, as far as they are known. One thread at a time."""

    def __init__(self, session_ids: Iterable[str]) -> None:
        self._ids = set(session_ids)

    def add(self, session_ids: Iterable[str]) -> None:
        """Learn of more."""
        self._ids.update(session_ids)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ids

    def has(self, event: OpenCodeEvent) -> bool:
        """Return whether an event belongs to one of them; learns from it of new ones."""
        if event.session_id in self._ids:
            return True
        if event.type not in ("session.created", "session.updated"):
            return False
        info = event.properties.get("info")
        if not isinstance(info, dict) or info.get("parentID") not in self._ids:
            return False
        self._ids.add(event.session_id)
        return True


class Listener:
    """Hands on what is wanted. Called by the hub; ``open`` to ``release`` by who subscribes."""

    def __init__(
        self,
        sink: EventSink,
        types: EventTypes,
        *,
        directory: str | None = None,
        tree: SessionTree | None = None,
        held: bool = False,
    ) -> None:
        """Begin.

        Args:
            sink: Gets the events.
            types: Which types are wanted.
            directory: Only events of this project; None for those of all.
            tree: Only events of these sessions, wherever they are.
            held: Keep the events until ``release``.
        """
        self._sink = sink
        self._types = types
        self._directory = None if directory is None else os.path.normcase(directory)
        self._tree = tree
        self._lock = threading.Lock()  # guards the next three; the sink is called without it
        self._held: list[OpenCodeEvent | None] | None = [] if held else None
        self._lost = False
        self._end: str | None = None

    # What happens between the subscription and the first event, in this order...

    def open(self) -> None:
        """Tell the sink that the subscription has begun.

        Raises:
            BackendError: the hub has ended meanwhile, or there were too many events to keep.
        """
        with self._lock:
            self._check_complete()
            end = self._end
        if end is not None:
            raise server_error(f"the events have ended: {end}")
        self._sink.opened()

    @property
    def is_due(self) -> bool:
        """Whether it is time to release what is kept: there is much of it, or the end."""
        with self._lock:
            return self._end is not None or len(self._held or ()) >= _MOST_HELD // 2

    def tell(self, read: Iterable[OpenCodeEvent]) -> None:
        """Hand on what was read since the subscription, unless what is kept is newer."""
        with self._lock:
            heard = [event for event in self._held or () if event is not None]
        for event in without_old_news(read, heard):
            self._hand_on(event)

    def release(self) -> None:
        """Hand on what was kept, and have the hub hand on what comes from now on.

        Raises:
            BackendError: there were too many events to keep.
        """
        while True:
            with self._lock:
                self._check_complete()
                held, end = self._held or [], self._end
                self._held = [] if held else None
            if not held:
                break
            for event in held:
                self._hand_on(event)
        if end is not None:
            self._sink.ended(end)

    def _check_complete(self) -> None:
        """Raise if an event is missing. The caller holds the lock."""
        if self._lost:
            raise server_error(
                f"OpenCode sent more than {_MOST_HELD} events before it was known which of them "
                f"are wanted; try again"
            )

    # What the hub calls, one at a time...

    def event(self, event: OpenCodeEvent) -> None:
        """One event."""
        self._take(event)

    def resubscribed(self) -> None:
        """Events may be missing before this."""
        self._take(None)

    def ended(self, reason: str) -> None:
        """Nothing follows."""
        with self._lock:
            self._end = reason
            is_open = self._held is None
        if is_open:
            self._sink.ended(reason)

    def _take(self, event: OpenCodeEvent | None) -> None:
        with self._lock:
            if self._held is not None:
                if len(self._held) < _MOST_HELD:
                    self._held.append(event)
                else:
                    self._lost = True
                return
        self._hand_on(event)

    def _hand_on(self, event: OpenCodeEvent | None) -> None:
        """Hand on an event if it is wanted; None is that some may be missing."""
        if event is None:
            if RESUBSCRIBED in self._types:
                self._sink.event(resubscribed_event())
        elif self._is_ours(event) and event.type in self._types:
            self._sink.event(event.message)

    def _is_ours(self, event: OpenCodeEvent) -> bool:
        if self._tree is not None:
            return self._tree.has(event)
        if self._directory is None or not event.directory:
            return True  # of the whole server
        return os.path.normcase(event.directory) == self._directory

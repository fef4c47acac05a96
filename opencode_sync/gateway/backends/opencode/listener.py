"""Which of a hub's events one subscription wants, and what is kept until they may be handed on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.current import News
from opencode_sync.gateway.backends.opencode.events.reader import (
    RESUBSCRIBED,
    OpenCodeEvent,
    resubscribed_event,
)

__all__ = ["Listener", "SessionTree"]

_MOST_HELD = 10_000
"""Events that are kept."""

_BIRTHS = ("session.created", "session.updated")
"""The types that tell whose child a session is."""


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
        if event.type not in _BIRTHS:
            return False
        info = event.properties.get("info")
        if not isinstance(info, dict) or info.get("parentID") not in self._ids:
            return False
        self._ids.add(event.session_id)
        return True


class Listener:
    """Hands on what is wanted. The hub calls it, one call at a time.

    So has whoever subscribes: with ``HubSubscription.in_turn``.
    """

    def __init__(
        self,
        sink: EventSink,
        types: EventTypes,
        *,
        directory: str | None = None,
        tree: SessionTree | None = None,
        held: bool = False,
        hurry: Callable[[], object] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            sink: Gets the events.
            types: Which types are wanted.
            directory: Only events of this project; None for those of all.
            tree: Only events of these sessions, wherever they are; all known by ``open``.
            held: Keep the events until ``release``. Else ``open`` is not called either.
            hurry: Called when it is time for ``release``: there is much to keep, or the end.
        """
        self._sink = sink
        self._types = types
        self._directory = None if directory is None else os.path.normcase(directory)
        self._tree = tree
        self._hurry = hurry
        self._opened = not held
        self._held: list[OpenCodeEvent | None] | None = [] if held else None
        self._news = News()
        self._lost = False
        self.end = ""
        """Why nothing follows, once that is so."""

    # What happens between the subscription and the first event, in this order...

    def open(self) -> None:
        """Tell the sink that the subscription has begun.

        Raises:
            BackendError: there were too many events to keep.
        """
        if self._lost:
            raise server_error(
                f"OpenCode sent more than {_MOST_HELD} events before it was known which of them "
                f"are wanted; try again"
            )
        # In their order: some tell of sessions that others are about.
        self._held = [each for each in self._held or () if each is None or self._is_ours(each)]
        self._opened = True
        self._sink.opened()

    def release(self, read: Iterable[OpenCodeEvent] = ()) -> None:
        """Hand on what was kept, and from now on what comes. More than once does nothing.

        Args:
            read: What is so since before that; it is handed on first, unless what came is newer.
        """
        if self._held is None:
            return
        held, self._held = self._held, None
        for event in self._news.left_of(read):
            self._hand_on(event)
        for each in held:
            self._hand_on(each)

    # What the hub calls...

    def event(self, event: OpenCodeEvent) -> None:
        """One event."""
        if self._held is None:
            self._hand_on(event)
        elif self._is_kept(event):
            self._keep(self._held, event)

    def resubscribed(self) -> None:
        """Events may be missing before this."""
        if self._held is None:
            self._hand_on(None)
        else:
            self._keep(self._held, None)

    def ended(self, reason: str) -> None:
        """Nothing follows."""
        self.end = reason
        self._hurry()
        if self._opened:  # else who subscribes has nobody to tell
            self.release()
            self._sink.ended(reason)

    def _is_kept(self, event: OpenCodeEvent) -> bool:
        if not self._opened and self._tree is not None:  # which is not known yet
            self._news.hear(event)
            return bool(event.session_id) and (event.type in _BIRTHS or event.type in self._types)
        if not self._is_ours(event):
            return False
        self._news.hear(event)
        return event.type in self._types

    def _keep(self, held: list[OpenCodeEvent | None], event: OpenCodeEvent | None) -> None:
        if len(held) < _MOST_HELD:
            held.append(event)
            if len(held) == _MOST_HELD // 2:
                self._hurry()
        elif self._opened:
            # Whoever reads does not keep up, and what was read is old by now.
            self.release()
            self._hand_on(event)
        else:
            self._lost = True

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

"""One client's subscription: which of the server's events it wants, on their way to its sink."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import EventSink, Subscription, check_session_id
from opencode_sync.gateway.backends.opencode.checks import invalid
from opencode_sync.gateway.backends.opencode.errors import one_line, server_error
from opencode_sync.gateway.backends.opencode.events.reader import (
    RESUBSCRIBED,
    OpenCodeEvent,
    resubscribed_event,
)
from opencode_sync.gateway.backends.opencode.lookups import session_tree
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest

__all__ = ["EventTypes", "SessionTree", "subscribe"]

_NOISE = frozenset(
    {
        "server.connected",
        "server.heartbeat",
        "plugin.added",
        "catalog.updated",
        "integration.updated",
        "reference.updated",
        "models-dev.refreshed",
    }
)
"""Of the server's own life, dozens of them when it first looks at a folder."""

_MOST_HELD = 10_000
"""Events that wait until it is known which sessions belong to the one asked for."""


def subscribe(
    project: Project, request: IpcSubscribeRequest, sink: EventSink, deadline: Deadline
) -> Subscription:
    """See ``OpenCodeBackend.subscribe``."""
    types = EventTypes(request.types)
    binding = project.binding
    if not request.HasField("session_id"):
        listener = _Listener(sink, types, directory=project.directory)
        return binding.events.subscribe(listener, deadline=deadline, opened=sink.opened)
    session_id = check_session_id(request.session_id)
    # Subscribed first and asked then: a session that is created in between is not passed over.
    tree = SessionTree({session_id})
    listener = _Listener(sink, types, tree=tree, held=True)
    subscription = binding.events.subscribe(listener, deadline=deadline)
    try:
        tree.add(session_tree(binding, session_id, deadline))
        listener.open()
    except BaseException:
        subscription.close()
        raise
    return subscription


class EventTypes:
    """The types of events that are wanted. Immutable."""

    def __init__(self, types: Iterable[str]) -> None:
        """Check them.

        Args:
            types: Names, or beginnings of names that end in ``".*"``; none at all for all types
                but the server's noise.

        Raises:
            BackendError: INVALID_MESSAGE: one can be no type's name.
        """
        types = list(types)
        for each in types:
            if not each.removesuffix(".*").strip() or "*" in each.removesuffix(".*"):
                raise invalid(
                    f'types: "{one_line(each, 60)}" is no type of events; give names such as '
                    f'"session.updated", or "session.*" for all that begin so'
                )
        self._all = not types
        self._names = frozenset(each for each in types if not each.endswith(".*"))
        self._beginnings = tuple(each[:-1] for each in types if each.endswith(".*"))

    def __contains__(self, name: str) -> bool:
        if self._all:
            return name not in _NOISE
        return name in self._names or name.startswith(self._beginnings)


class SessionTree:
    """A session and those below it, as far as they are known. One thread at a time."""

    def __init__(self, session_ids: Iterable[str]) -> None:
        self._ids = set(session_ids)

    def add(self, session_ids: Iterable[str]) -> None:
        """Learn of more."""
        self._ids.update(session_ids)

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


class _Listener:
    """Hands on what is wanted. Called by the hub; ``open`` by whoever subscribes."""

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
            held: Keep the events until ``open``.
        """
        self._sink = sink
        self._types = types
        self._directory = None if directory is None else os.path.normcase(directory)
        self._tree = tree
        self._lock = threading.Lock()  # guards the next three; the sink is called without it
        self._held: list[OpenCodeEvent | None] | None = [] if held else None
        self._lost = False
        self._end: str | None = None

    def open(self) -> None:
        """Hand on what was kept, and have the hub hand on what comes from now on.

        Raises:
            BackendError: the hub has ended meanwhile, or there were too many events to keep.
        """
        is_open = False
        while True:
            with self._lock:
                held, end = self._held or [], self._end
                self._held = [] if held else None
                if self._lost:
                    raise server_error(
                        f"OpenCode sent more than {_MOST_HELD} events before it was known which of "
                        f"them are wanted; try again"
                    )
            if end is not None and not is_open:
                raise server_error(f"the events have ended: {end}")
            if not is_open:
                is_open = True
                self._sink.opened()
            if not held:
                break
            for event in held:
                self._hand_on(event)
        if end is not None:
            self._sink.ended(end)

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

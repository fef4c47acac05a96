"""The events of a ``FakeIpcClient``, and who has subscribed to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opencode_sync.deadline import NOW
from opencode_sync.errors import IpcArgumentError
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.testing.fake_store import FakeStore
from opencode_sync.testing.peer import ServedLink
from opencode_sync.wire.ext_event_pb2 import (
    IpcEvent,
    IpcEventPush,
    IpcSubscribed,
    IpcSubscribeRequest,
    IpcSubscriptionEnd,
)
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["FakeEvents", "Key", "add_properties", "busy_event"]

Key = tuple[ServedLink, int]
"""A request: its link and its id there."""


@dataclass(frozen=True)
class _Subscription:
    """Who wants which events."""

    types: EventTypes
    session_id: str
    directory: str


class FakeEvents:
    """Hands out events. One thread at a time; the backend has the lock."""

    def __init__(self) -> None:
        self.store = FakeStore(self._session_changed)
        """Whose changes are events."""
        self._subscriptions: dict[Key, _Subscription] = {}
        self._parents: dict[str, str] = {}  # of the sessions there are, and were

    def emit(self, event: IpcEvent) -> int:
        """Push an event to all who want it; returns to how many."""
        wanted = [key for key, each in self._subscriptions.items() if self._is_wanted(event, each)]
        for link, request_id in wanted:
            link.send(request_id, IpcEventPush(event=event))
        return len(wanted)

    def subscribe(
        self, key: Key, request: IpcSubscribeRequest, directory: str, current: Iterable[IpcEvent]
    ) -> None:
        """Begin a subscription, with what is so now if that is asked for.

        Raises:
            BackendError: what is asked for cannot be, or there is no such session.
        """
        types = EventTypes(request.types)
        if request.HasField("session_id"):
            self.store.get_session(request.session_id, deadline=NOW)
        wanted = _Subscription(types, request.session_id, directory)
        self._subscriptions[key] = wanted
        key[0].send(key[1], IpcSubscribed())
        for event in current if request.current else ():
            if self._is_wanted(event, wanted):
                key[0].send(key[1], IpcEventPush(event=event))

    def unsubscribe(self, key: Key, reason: str) -> bool:
        """End a subscription; returns whether there was one."""
        if self._subscriptions.pop(key, None) is None:
            return False
        key[0].send(key[1], IpcSubscriptionEnd(reason=reason))
        return True

    def end(self, reason: str) -> None:
        """End all subscriptions."""
        for key in list(self._subscriptions):
            self.unsubscribe(key, reason)

    def forget(self, link: ServedLink) -> None:
        """Forget the subscriptions of a link that has ended."""
        for key in [key for key in self._subscriptions if key[0] is link]:
            del self._subscriptions[key]

    def _session_changed(self, kind: str, session: OcSessionInfo) -> None:
        self._parents[session.id] = session.parent_id
        properties = {"sessionID": session.id, "info": {"id": session.id, "title": session.title}}
        event = IpcEvent(
            type=kind,
            session_id=session.id,
            directory=session.directory,
            properties_json=json.dumps(properties),
        )
        if kind == "session.deleted":
            event.event.session_deleted.session_id = session.id
        else:
            changed: Any = getattr(event.event, kind.replace(".", "_"))
            changed.session.CopyFrom(session)
        self.emit(event)

    def _is_wanted(self, event: IpcEvent, wanted: _Subscription) -> bool:
        if event.type not in wanted.types:
            return False
        if wanted.session_id:  # wherever it is, and those below it
            return self._is_below(event.session_id, wanted.session_id)
        return "" in (wanted.directory, event.directory) or wanted.directory == event.directory

    def _is_below(self, session_id: str, ancestor: str) -> bool:
        while session_id and session_id != ancestor:
            session_id = self._parents.get(session_id, "")
        return session_id == ancestor


def add_properties(event: IpcEvent, properties: Mapping[str, Any]) -> None:
    """Give an event its properties, and the session that they name if it has none.

    Raises:
        IpcArgumentError: JSON cannot hold them.
    """
    try:
        event.properties_json = json.dumps(dict(properties), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise IpcArgumentError(
            f"properties cannot be written as JSON ({error}); give a mapping of plain values",
            field="properties",
        ) from None
    session_id = properties.get("sessionID")
    if isinstance(session_id, str) and not event.session_id:
        event.session_id = session_id


def busy_event(session_id: str, directory: str) -> IpcEvent:
    """Return the event that says that a session is at work."""
    event = IpcEvent(type="session.status", session_id=session_id, directory=directory)
    add_properties(event, {"sessionID": session_id, "status": {"type": "busy"}})
    status = event.event.session_status
    status.type, status.session_id = event.type, session_id
    status.status.thinking.status = "thinking"
    return event

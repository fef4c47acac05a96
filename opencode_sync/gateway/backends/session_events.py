"""What changes in the embedded store, told to who has subscribed: in OpenCode's own shapes.

Told is what this gateway has changed, after it is on the disk and in the order in which it got
there. What another process changes in the same file comes with the next reading of the list.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from opencode_sync.gateway.backends.base import BackendError, EventSink, Subscription
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["SessionEvents"]

_Row = TypeVar("_Row")

_CLOSED = "the session store is closed"


class SessionEvents(Generic[_Row]):
    """Who wants to know of changes. Any thread may call any method; none waits for a client."""

    def __init__(self, info: Callable[[_Row], OcSessionInfo]) -> None:
        """Begin closed.

        Args:
            info: Makes a session of what ``committed`` gets.
        """
        self._info = info
        # Filled in the order of the commits, and emptied by whoever holds _delivery.
        self._changes: deque[tuple[str, _Row]] = deque()
        # Guards the rest, and is held while sinks are called: they do not block. One may come or go
        # within such a call, so it can be taken twice.
        self._delivery = threading.RLock()
        self._followers: tuple[_Follower, ...] = ()
        self._open = False

    def start(self) -> None:
        """Let subscribers come."""
        with self._delivery:
            self._open = True

    def close(self) -> None:
        """End all subscriptions; others may come after the next start."""
        with self._delivery:
            self._open = False
            followers, self._followers = self._followers, ()
            self._changes.clear()
            for each in followers:
                each.end(_CLOSED)

    def subscribe(
        self,
        types: EventTypes,
        session_id: str | None,
        sink: EventSink,
        check: Callable[[], object] = lambda: None,
    ) -> Subscription:
        """Have changes go to a sink from now on.

        Args:
            types: Which types are wanted.
            session_id: Only those of this session; None for all.
            sink: Gets them.
            check: Called when no change is passed over any more, and before the sink is opened.
                What it raises comes out, and there is no subscription.

        Raises:
            BackendError: the store is not open.
        """
        follower = _Follower(self, types, session_id, sink)
        with self._delivery:
            if not self._open:
                raise _closed()
            # First of all, for a change is told to those who are here when it is on the disk.
            self._followers += (follower,)
        try:
            check()  # may wait for the disk, so nothing is held
            with self._delivery:
                follower.open()
        except BaseException:
            follower.close()
            raise
        return follower

    def committed(self, kind: str, row: _Row) -> None:
        """Note a change that is on the disk; to be called in the order of the commits.

        Args:
            kind: ``"session.created"``, ``"session.updated"`` or ``"session.deleted"``.
            row: The session as it is by that, or was.
        """
        if self._followers:
            self._changes.append((kind, row))

    def deliver(self) -> None:
        """Hand out what was noted; once this returns all that was noted before is handed out."""
        with self._delivery:
            while self._changes:
                kind, row = self._changes.popleft()
                try:
                    event = _event(kind, self._info(row))
                except Exception:  # noqa: BLE001 - it is the bug of whoever changed that session
                    logger.exception("a change of the session store was not told; this is a bug")
                    continue
                for each in self._followers:
                    each.take(event)

    def leave(self, follower: _Follower) -> None:
        """Call a follower's sink no more."""
        with self._delivery:
            self._followers = tuple(each for each in self._followers if each is not follower)


class _Follower:
    """One subscription; a ``Subscription``."""

    def __init__(
        self, events: SessionEvents[Any], types: EventTypes, session_id: str | None, sink: EventSink
    ) -> None:
        self._events = events
        self._types = types
        self._session_id = session_id
        self._sink = sink
        self._kept: list[IpcEvent] | None = []  # until it is opened
        self._over = False

    def close(self) -> None:
        """See ``Subscription``."""
        self._over = True  # within a delivery of its own it is left out from here on
        self._events.leave(self)

    # With the delivery held...

    def open(self) -> None:
        """Tell the sink that it has begun, and what has come since.

        Raises:
            BackendError: the store was closed meanwhile.
        """
        if self._over:
            raise _closed()
        self._sink.opened()
        kept, self._kept = self._kept or (), None
        for event in kept:
            self._call(self._sink.event, event)

    def take(self, event: IpcEvent) -> None:
        """Hand on an event if it is wanted."""
        if event.type not in self._types or self._session_id not in (None, event.session_id):
            return
        if self._kept is None:
            self._call(self._sink.event, event)
        else:
            self._kept.append(event)

    def end(self, reason: str) -> None:
        """Tell that nothing follows."""
        if self._kept is None:  # else who subscribes gets to know
            self._call(self._sink.ended, reason)
        self._over = True

    def _call(self, method: Callable[[Any], object], argument: object) -> None:
        if self._over:
            return
        try:
            method(argument)
        except Exception:  # noqa: BLE001 - what was changed is changed, and others wait
            logger.exception("a subscriber to the session store failed; this is a bug")


def _closed() -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, _CLOSED)


def _event(kind: str, session: OcSessionInfo) -> IpcEvent:
    properties = {"sessionID": session.id, "info": _document(session)}
    event = IpcEvent(
        type=kind,
        directory=session.directory,
        session_id=session.id,
        properties_json=json.dumps(properties, ensure_ascii=False, separators=(",", ":")),
    )
    known = getattr(event.event, kind.replace(".", "_"))
    known.type = kind
    if kind == "session.deleted":
        known.session_id = session.id
    else:
        known.session.CopyFrom(session)
    return event


def _document(session: OcSessionInfo) -> dict[str, Any]:
    """Return a session as OpenCode's own JSON has it."""
    time: dict[str, int] = {"created": session.time.created, "updated": session.time.updated}
    if session.time.HasField("archived"):
        time["archived"] = session.time.archived
    return {
        "id": session.id,
        "projectID": session.project_id,
        "directory": session.directory,
        "title": session.title,
        "version": session.version,
        "time": time,
    }

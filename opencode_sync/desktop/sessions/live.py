"""Sessions that other programs change: told by the backend's events, shown a moment later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.activity import EVENT_TYPES, Activities
from opencode_sync.desktop.sessions.record import records_of
from opencode_sync.logger import logger
from opencode_sync.types import IpcEvent, OcSessionInfo

__all__ = ["LiveSessions"]

_RESUBSCRIBED: Final = "gateway.resubscribed"
_TYPES: Final = (
    "session.created",
    "session.updated",
    "session.deleted",
    _RESUBSCRIBED,
    *EVENT_TYPES,
)

_TOGETHER_MS: Final = 200
"""What comes within this time is shown together: a run changes its session many times a second."""


class LiveSessions(QObject):
    """Follows the backend's events while there is a connection.

    A backend without events is no error: its list is as new as the last refresh.
    """

    changed = Signal(object)
    """The records of sessions that have changed, by their ids."""

    removed = Signal(object)
    """The ids of sessions that are gone."""

    outdated = Signal()
    """There is something new that only reading the whole list can tell."""

    activities_changed = Signal(object)
    """In which sessions something goes on: an ``Activity`` for each id."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._stream: Delivery | None = None
        self._changed: dict[str, OcSessionInfo] = {}
        self._removed: set[str] = set()
        self._outdated = False
        self._activities = Activities()
        self._shown_activities = self._activities.all
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_TOGETHER_MS)
        self._timer.timeout.connect(self._tell)
        service.connected.connect(self._follow)

    def note_run(self, session_id: str, running: bool) -> None:
        """A run of this window's has begun or ended, which also a backend without events has."""
        self._activities.note_ours(session_id, running)
        self._tell_activities()

    def _follow(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._forget_told()
        client = self._service.client
        self._stream = self._service.dispatcher.follow(
            lambda: client.events(types=_TYPES), self._take, self._ended, missed=self._missed
        )

    def _take(self, events: Sequence[IpcEvent]) -> None:
        for each in events:
            self._note(each)
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._timer.isActive():  # or what never stops coming would put it off for ever
            self._timer.start()

    def _note(self, event: IpcEvent) -> None:
        self._activities.note(event)
        kind = event.event.WhichOneof("event")
        if kind == "session_updated":
            session = event.event.session_updated.session
            self._changed[session.id] = session
            self._activities.note_parent(session.id, session.parent_id)
        elif kind == "session_deleted":
            session_id = event.event.session_deleted.session_id
            self._changed.pop(session_id, None)
            self._removed.add(session_id)
        elif kind == "session_created" or event.type == _RESUBSCRIBED:
            # Whether a new session belongs to what is listed only the backend knows.
            self._outdated = True
            created = event.event.session_created.session
            self._activities.note_parent(created.id, created.parent_id)
            if event.type == _RESUBSCRIBED:  # what still goes on is told again
                self._activities.forget_told()

    def _missed(self, count: int) -> None:
        logger.debug("{} events of sessions are missing; the list is read anew", count)
        self._outdated = True
        self._activities.forget_told()
        self._tell_soon()

    def _ended(self, error: BaseException | None) -> None:
        # The next connection has another stream.
        logger.debug("the events of sessions have ended: {}", error)
        self._forget_told()

    def _forget_told(self) -> None:
        self._activities.forget_told()
        self._tell_activities()

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, set()
        outdated, self._outdated = self._outdated, False
        if changed:
            self._service.compute(lambda: records_of(changed.values()), self.changed.emit)
        if removed:
            self.removed.emit(list(removed))
        if outdated:
            self.outdated.emit()
        self._tell_activities()

    def _tell_activities(self) -> None:
        now = self._activities.all
        if now != self._shown_activities:
            self._shown_activities = now
            self.activities_changed.emit(now)

"""Sessions that other programs change: told by the backend's events, shown a moment later."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.activity.events import SessionChanged, SessionDeleted
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.activity import activities_of
from opencode_sync.desktop.sessions.record import SessionRecord, records_of
from opencode_sync.types import OcSessionInfo

__all__ = ["LiveSessions"]

_TOGETHER_MS: Final = 200
"""What comes within this time is shown together: a run changes its session many times a second."""


class LiveSessions(QObject):
    """What the list has to show of what the window's events tell. For the Qt thread.

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
        self._changed: dict[str, OcSessionInfo] = {}
        self._removed: set[str] = set()
        self._outdated = False
        self._shown_activities = activities_of(service.activity)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_TOGETHER_MS)
        self._timer.timeout.connect(self._tell)
        service.connected.connect(self._forget)
        service.activity.sessions_told.connect(self._take)
        service.activity.missed.connect(self._miss)
        service.activity.listening.connect(self._miss)
        service.activity.changed.connect(self._tell_soon)

    def _take(self, told: Sequence[SessionChanged | SessionDeleted]) -> None:
        for each in told:
            if isinstance(each, SessionDeleted):
                self._changed.pop(each.session_id, None)
                self._removed.add(each.session_id)
            elif each.is_new:
                # Whether a new session belongs to what is listed only the backend knows.
                self._outdated = True
            else:
                self._changed[each.session.id] = each.session
        self._tell_soon()

    def _miss(self) -> None:
        self._outdated = True
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._timer.isActive():  # or what never stops coming would put it off for ever
            self._timer.start()

    def _forget(self) -> None:
        """Have nothing wait that a backend has told before; the list is read anew."""
        self._changed, self._removed, self._outdated = {}, set(), False

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, set()
        outdated, self._outdated = self._outdated, False
        if removed:
            self.removed.emit(list(removed))
        if changed or outdated:
            self._service.compute(
                lambda: records_of(changed.values()), partial(self._tell_changed, outdated)
            )
        self._tell_activities()

    def _tell_changed(self, outdated: bool, records: dict[str, SessionRecord]) -> None:
        if records:
            self.changed.emit(records)
        # After all that was told before: what is told later is newer than the list that is read.
        if outdated:
            self.outdated.emit()

    def _tell_activities(self) -> None:
        now = activities_of(self._service.activity)
        if now != self._shown_activities:
            self._shown_activities = now
            self.activities_changed.emit(now)

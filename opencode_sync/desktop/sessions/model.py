"""One page of sessions for Qt's views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from PySide6.QtCore import (
    QAbstractListModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from opencode_sync.desktop.plain import plain_tooltip
from opencode_sync.desktop.sessions.activity import Activity
from opencode_sync.desktop.sessions.record import SessionRecord
from opencode_sync.desktop.sessions.titles import shown_title
from opencode_sync.desktop.times import Clock, relative_time

__all__ = ["MOST_TITLE", "Role", "SessionModel", "activity_text"]

MOST_TITLE: Final = 1000
"""Characters of a title that are edited: OpenCode's own limit is far below."""

_Index = QModelIndex | QPersistentModelIndex

_NOWHERE: Final = QModelIndex()


class Role(IntEnum):
    """What the model has beyond Qt's own roles."""

    RECORD = Qt.ItemDataRole.UserRole + 1
    """The ``SessionRecord``."""

    TIMES = Qt.ItemDataRole.UserRole + 2
    """When it was updated and created, for people."""

    ACTIVITY = Qt.ItemDataRole.UserRole + 3
    """What goes on in it now, an ``Activity``; None for nothing."""


class SessionModel(QAbstractListModel):
    """The rows of a page. Renaming only asks: the row changes when the backend has done it."""

    rename_wanted = Signal(str, str)
    """The id of a session, and the title it shall have."""

    def __init__(self, clock: Clock, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clock = clock
        self._rows: list[SessionRecord] = []
        self._activities: Mapping[str, Activity] = {}

    def show_rows(self, rows: Sequence[SessionRecord]) -> None:
        """Show these. Where only their contents differ, the view keeps its selection."""
        ids = [record.id for record in rows]
        if ids == [record.id for record in self._rows]:
            changed = [
                row
                for row, (old, new) in enumerate(zip(self._rows, rows, strict=True))
                if old is not new
            ]
            self._rows = list(rows)
            for row in changed:
                self.dataChanged.emit(self.index(row), self.index(row))
            return
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()

    def show_activities(self, activities: Mapping[str, Activity]) -> None:
        """Show in which sessions something goes on."""
        old, self._activities = self._activities, activities
        for row, record in enumerate(self._rows):
            if old.get(record.id) is not activities.get(record.id):
                self.dataChanged.emit(self.index(row), self.index(row))

    def row_of(self, session_id: str) -> QModelIndex:
        """Return where a session is; an invalid index when it is not on this page."""
        for row, record in enumerate(self._rows):
            if record.id == session_id:
                return self.index(row)
        return QModelIndex()

    def times_have_passed(self) -> None:
        """Have the relative times shown anew."""
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1), [int(Role.TIMES)])

    # --- Qt's interface ---

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """See ``QAbstractItemModel``."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See ``QAbstractItemModel``."""
        if not index.isValid():
            return None
        record = self._rows[index.row()]
        match role:
            case Role.RECORD:
                return record
            case Qt.ItemDataRole.DisplayRole:
                return self._title(record)
            case Qt.ItemDataRole.EditRole:
                return record.info.title[:MOST_TITLE]  # what is shown may be less
            case Role.TIMES:
                return self._times(record)
            case Role.ACTIVITY:
                return self._activities.get(record.id)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(self._title(record), record.id, record.info.directory)
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(record)
            case Qt.ItemDataRole.AccessibleDescriptionRole:
                return record.id
            case _:
                return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """See ``QAbstractItemModel``."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.isValid() else flags

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for a new title. A blank one, or the one it has, is no wish."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid():
            return False
        record, title = self._rows[index.row()], str(value).strip()
        if not title or title == record.info.title:
            return False
        self.rename_wanted.emit(record.id, title)
        return True

    # --- Texts ---

    def _title(self, record: SessionRecord) -> str:
        return shown_title(record.title) or self.tr("Untitled")

    def _times(self, record: SessionRecord) -> str:
        now = self._clock()
        return self.tr("Updated: {0}  ·  Created: {1}").format(
            relative_time(record.updated, now), relative_time(record.created, now)
        )

    def _spoken(self, record: SessionRecord) -> str:
        parts = [self._title(record), self._times(record).replace("  ·  ", ", ")]
        activity = self._activities.get(record.id)
        if activity is not None:
            parts.insert(1, activity_text(activity))
        if record.summary is not None and any(record.summary):
            added, deleted, files = record.summary
            parts.append(
                self.tr("{0} lines added, {1} deleted, {2} files").format(added, deleted, files)
            )
        return ", ".join(parts)


def activity_text(activity: Activity) -> str:
    """Say what goes on in a session."""
    translate = QCoreApplication.translate
    return {
        Activity.RUNNING: translate("SessionModel", "Running"),
        Activity.WAITING: translate("SessionModel", "Waiting for you"),
    }[activity]

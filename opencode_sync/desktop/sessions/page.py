"""The page of sessions: its parts, and what its buttons and keys do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from opencode_sync.desktop.actions import make_action
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.changes import SessionChanges
from opencode_sync.desktop.sessions.creation import SessionCreation
from opencode_sync.desktop.sessions.layout import PageParts, Shown
from opencode_sync.desktop.sessions.listing import Listing, SortOrder
from opencode_sync.desktop.sessions.live import LiveSessions
from opencode_sync.desktop.sessions.model import SessionModel
from opencode_sync.desktop.sessions.navigation import ListNavigation
from opencode_sync.desktop.sessions.reading import ListReading
from opencode_sync.desktop.sessions.record import SessionRecord, record_of
from opencode_sync.desktop.times import Clock, system_clock
from opencode_sync.types import OcSessionInfo

__all__ = ["SessionPage"]

_TIMES_MS: Final = 30_000
"""How often "5m ago" is looked at again."""


class SessionPage(QWidget):
    """Lists, finds, creates, renames and deletes sessions. It shows no errors: it tells of them."""

    session_chosen = Signal(object)
    """The ``OcSessionInfo`` of the session to open."""

    session_changed = Signal(object)
    """The ``OcSessionInfo`` of a listed session that is not as it was, such as renamed."""

    session_removed = Signal(str)
    """The id of a session that is gone."""

    failed = Signal(object, str)
    """An exception, and what was tried, as the beginning of a sentence; "" for loading."""

    acted = Signal()
    """Something else is tried now: to create, rename or delete."""

    connection_wanted = Signal()
    """The user wants the list, and there is no connection to read it by."""

    loaded = Signal()
    """The list is as new as the backend's."""

    def __init__(
        self,
        service: Service,
        *,
        page: int = 0,
        order: SortOrder = SortOrder.UPDATED,
        clock: Clock = system_clock,
        parent: QWidget | None = None,
    ) -> None:
        """Make the page; it loads when the service is connected, or when told to.

        Args:
            service: Makes the calls.
            page: What to show once there are that many, from 0 on.
            order: What the list begins with.
            clock: Tells the time that "5m ago" counts from.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.setAccessibleName(self.tr("Sessions"))
        self._service = service
        self._listing = Listing(order)
        self._listing.go_to(page)
        self._is_loaded = False
        self._has_failed = False
        # Whose selection others have ended, and where that was.
        self._left_row: tuple[Sequence[str], int, int] = ((), -1, -1)
        self._model = SessionModel(clock, self)
        self.parts = PageParts(self._model, order, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 6)
        column.addWidget(self.parts)
        self._timer = QTimer(self)
        self._timer.setInterval(_TIMES_MS)
        self._timer.timeout.connect(self._model.times_have_passed)
        self._way = ListNavigation(self._listing, self.parts, self)
        self.creation = SessionCreation(service, self)
        self.changes = SessionChanges(service, self)
        self._make_actions()
        self._connect_parts()
        self._connect_changes()
        self._reading = ListReading(service, self)
        self._reading.begun.connect(self._on_reading)
        self._reading.ended.connect(self._show_records)
        self._reading.failed.connect(self._on_load_failed)
        self._live = LiveSessions(service, self)
        self._live.changed.connect(self._on_changed_elsewhere)
        self._live.removed.connect(self._on_deleted_elsewhere)
        self._live.outdated.connect(self._reading.begin_or_repeat)
        self._live.activities_changed.connect(self._model.show_activities)
        self._refresh()

    @property
    def page(self) -> int:
        """The page shown, from 0 on."""
        return self._listing.page

    @property
    def order(self) -> SortOrder:
        """What the list begins with."""
        return self._listing.order

    @property
    def is_loading(self) -> bool:
        """Whether the list is being read."""
        return self._reading.is_active

    # --- Actions ---

    def _make_actions(self) -> None:
        view = self.parts.view
        self.refresh_action = make_action(self, self.tr("Refresh"), self.refresh, "F5")
        self.create_action = make_action(
            self, self.tr("New session"), self.create_session, "Ctrl+N"
        )
        self.find_action = make_action(self, self.tr("Search"), self._way.go_to_search, "Ctrl+F")
        self.open_action = make_action(self, self.tr("Open"), self._open, within=view)
        self.rename_action = make_action(self, self.tr("Rename"), self._rename, "F2", within=view)
        self.copy_action = make_action(self, self.tr("Copy id"), self._copy, "Ctrl+C", within=view)
        self.delete_action = make_action(self, self.tr("Delete"), self._delete, "Del", within=view)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    def _connect_parts(self) -> None:
        parts = self.parts
        parts.bind(parts.refresh, self.refresh_action)
        parts.bind(parts.new, self.create_action)
        parts.bind(parts.rename, self.rename_action)
        parts.bind(parts.copy, self.copy_action)
        parts.bind(parts.delete, self.delete_action)
        parts.empty.button.clicked.connect(self.create_action.trigger)
        self.create_action.enabledChanged.connect(parts.empty.button.setEnabled)
        parts.failed.button.clicked.connect(self.refresh)
        self._way.changed.connect(self._refresh)
        parts.view.chosen.connect(lambda record: self.session_chosen.emit(record.info))
        parts.view.selected.connect(self._update_actions)
        parts.view.renamed.connect(self._refresh)
        self._service.state_changed.connect(self._update_actions)

    def _connect_changes(self) -> None:
        changes, creation = self.changes, self.creation
        self._model.rename_wanted.connect(changes.rename)
        changes.begun.connect(self.acted)
        changes.renamed.connect(self._show_session)
        changes.deleted.connect(self._on_deleted)
        changes.failed.connect(self.failed)
        creation.opened.connect(self._open_created)
        creation.kept_aside.connect(self._list_created)
        creation.failed.connect(
            lambda error: self.failed.emit(error, self.tr("The session was not created"))
        )

    # --- Loading ---

    def refresh(self) -> None:
        """Read the list, or ask for the connection that this takes."""
        if self._service.client.is_connected:
            self.load()
        else:
            self.connection_wanted.emit()

    def load(self) -> None:
        """Read the list. An earlier reading that has not ended is given up."""
        self._reading.begin()

    def _on_reading(self) -> None:
        self._listing.begin_reading()
        self._refresh()

    def _show_records(self, records: dict[str, SessionRecord]) -> None:
        self._is_loaded, self._has_failed = True, False
        self._listing.replace(records)
        self._refresh()
        self.loaded.emit()

    def _on_load_failed(self, error: BaseException) -> None:
        self._listing.give_up_reading()
        self._has_failed = True
        self._refresh()
        self.failed.emit(error, "")

    def show_failure(self) -> None:
        """Show that there is no list, unless there is one from before."""
        self._has_failed = True
        self._refresh()

    def forget(self) -> None:
        """Show none of the sessions that were there: they were another backend's."""
        self._reading.give_up()
        self._listing.give_up_reading()
        self.creation.forget()
        if self._is_loaded:
            self._is_loaded = self._has_failed = False
            self._listing.replace({})
            self._way.begin_anew()
        self._refresh()

    def _on_changed_elsewhere(self, records: dict[str, SessionRecord]) -> None:
        self._show_changed(records.values())

    def _show_changed(self, records: Iterable[SessionRecord]) -> None:
        listed = self._listing.change(records)
        if listed:
            self._refresh()
        for record in listed:
            self.session_changed.emit(record.info)

    def _show_session(self, session: OcSessionInfo) -> None:
        self._show_changed([record_of(session)])

    def update_session(self, session_id: str) -> None:
        """Read one session anew, for it has changed."""
        before = self._listing.get(session_id)

        def read(session: OcSessionInfo) -> None:
            now = self._listing.get(session_id)
            # What was told since may be newer than this.
            if now is before or (now is not None and session.time.updated > now.updated):
                self._show_session(session)

        if before is not None:
            # That it is not to be had, its next use will tell.
            self._service.get_session(session_id, read)

    # --- Creating, renaming, deleting ---

    def create_session(self) -> None:
        """Create a session, and open it unless ``creation`` was left meanwhile."""
        if self.changes.may_begin(self.tr("The session was not created")):
            self._way.mark()
            self.creation.begin()

    def _open_created(self, session: OcSessionInfo) -> None:
        self._list_created(session)
        self._way.lead_to(session.id)
        self.session_chosen.emit(session)

    def _list_created(self, session: OcSessionInfo) -> None:
        self._listing.add(record_of(session))
        self._refresh()

    def _rename(self) -> None:
        self.parts.view.edit(self.parts.view.currentIndex())

    def _delete(self) -> None:
        record = self.parts.view.current
        if record is not None:
            self.changes.ask_and_delete(record)

    def _on_deleted(self, session_id: str) -> None:
        """The user has deleted a session: the one in its place is selected."""
        row = self._remove([session_id])
        told_ids, told_page, told_row = self._left_row
        is_here = session_id in told_ids and told_page == self.page
        if row < 0 and is_here and self.parts.view.current is None:
            row = told_row  # the backend has told everybody before it has answered
        if row >= 0:
            self.parts.view.select_row(row)
        self.session_removed.emit(session_id)

    def _on_deleted_elsewhere(self, session_ids: Sequence[str]) -> None:
        """Others have deleted sessions: none is selected that the user has not chosen."""
        row = self._remove(session_ids)
        if row >= 0:
            self._left_row = session_ids, self.page, row
            self.parts.view.deselect()
        for each in session_ids:
            self.session_removed.emit(each)

    def _remove(self, session_ids: Sequence[str]) -> int:
        """Return the row of the selected session if it was among these, or -1."""
        view = self.parts.view
        current = view.current
        row = view.currentIndex().row() if current and current.id in session_ids else -1
        if self._listing.remove(session_ids):
            self._refresh()
        return row

    # --- Opening ---

    def _open(self) -> None:
        record = self.parts.view.current
        if record is not None:
            self.session_chosen.emit(record.info)

    def _copy(self) -> None:
        record = self.parts.view.current
        if record is not None:
            QGuiApplication.clipboard().setText(record.id)

    def showEvent(self, event: QShowEvent) -> None:
        """See ``QWidget``."""
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """See ``QWidget``."""
        super().hideEvent(event)
        self._timer.stop()

    # --- Showing ---

    def _refresh(self) -> None:
        """Show what there is now; what changes under a rename waits until that has ended."""
        if self.parts.view.is_renaming:
            return
        self._model.show_rows(self._listing.rows)
        self.parts.show_state(self._shown(), loading=self.is_loading)
        self.parts.show_counts(self._listing.total, self._listing.matching)
        self.parts.pager.show_position(self._listing.page, self._listing.pages)
        self._update_actions()

    def _shown(self) -> Shown:
        if self._listing.matching:
            return Shown.LIST
        if self._listing.total:
            return Shown.NOTHING_FOUND
        if self._has_failed and not self.is_loading:
            return Shown.FAILED
        return Shown.EMPTY if self._is_loaded else Shown.LOADING

    def _update_actions(self) -> None:
        selected = self.parts.view.current is not None
        connected = self._service.client.is_connected
        for action in (self.open_action, self.copy_action):
            action.setEnabled(selected)
        for action in (self.rename_action, self.delete_action):
            action.setEnabled(selected and connected)
        self.create_action.setEnabled(connected)

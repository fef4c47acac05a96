"""The list widget: what keys and clicks in it mean."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemDelegate, QAbstractItemView, QListView, QWidget

from opencode_sync.desktop.sessions.delegate import SessionDelegate
from opencode_sync.desktop.sessions.model import Role, SessionModel
from opencode_sync.desktop.sessions.record import SessionRecord

__all__ = ["SessionView"]

_BY_KEY: Final = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


class SessionView(QListView):
    """Shows a page of sessions and keeps the same session selected when the page changes."""

    chosen = Signal(object)
    """The ``SessionRecord`` that was clicked, or on which Enter was pressed."""

    selected = Signal()
    """Another session is selected, or none."""

    renamed = Signal()
    """The field for a new title was closed, with or without one."""

    def __init__(self, model: SessionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sessions = model
        self._current = ""
        self._is_deselected = False
        self.setModel(model)
        model.modelReset.connect(self._restore)  # after the view itself has heard of it
        self.setItemDelegate(SessionDelegate(self))
        self.setAccessibleName(self.tr("Sessions"))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)  # an action has F2
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)  # the cards have a background of their own
        self.selectionModel().currentChanged.connect(self._on_current)
        self.clicked.connect(self._choose)

    @property
    def current(self) -> SessionRecord | None:
        """The selected session, if there is one on this page."""
        record = self.currentIndex().data(Role.RECORD)
        return record if isinstance(record, SessionRecord) else None

    @property
    def is_renaming(self) -> bool:
        """Whether the field for a new title is open."""
        return self.state() == QAbstractItemView.State.EditingState

    def select(self, session_id: str) -> None:
        """Select a session, now if it is on this page, or when it comes to be."""
        self._current = session_id
        self._is_deselected = False
        self._restore()

    def select_row(self, row: int) -> None:
        """Select the session in a row, or the last one."""
        index = self._sessions.index(min(row, self._sessions.rowCount() - 1))
        if index.isValid():
            self.setCurrentIndex(index)

    def deselect(self) -> None:
        """Have none selected until the user comes to one: by an arrow, a click, the tab key."""
        self._current = ""
        self._is_deselected = True
        if not self.is_renaming:  # whose end has the rows shown anew
            self._restore()

    def _restore(self) -> None:
        if self._is_deselected:
            self.setCurrentIndex(QModelIndex())  # or Qt makes the first row the current one
        index = self._sessions.row_of(self._current)
        # Qt makes the first row the current one when the list gets the keyboard, unselected.
        if index.isValid() and not self.selectionModel().isSelected(index):
            self.setCurrentIndex(index)
        self.selected.emit()

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        record = current.data(Role.RECORD)
        self._current = record.id if isinstance(record, SessionRecord) else ""
        self._is_deselected = self._is_deselected and not current.isValid()
        self.selected.emit()

    def _choose(self, index: QModelIndex) -> None:
        record = index.data(Role.RECORD)
        if isinstance(record, SessionRecord):
            self.chosen.emit(record)

    # --- Qt's interface ---

    def focusInEvent(self, event: QFocusEvent) -> None:
        """See ``QWidget``: what the keys would act on is seen to be selected."""
        super().focusInEvent(event)
        if self._is_deselected and event.reason() in _BY_KEY:
            self.select_row(0)
        current = self.currentIndex()
        by_mouse = event.reason() == Qt.FocusReason.MouseFocusReason  # which will select itself
        if current.isValid() and not by_mouse and not self.selectionModel().isSelected(current):
            self.setCurrentIndex(current)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """See ``QWidget``."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.is_renaming:
            self._choose(self.currentIndex())
            return
        super().keyPressEvent(event)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        """See ``QAbstractItemView``."""
        super().closeEditor(editor, hint)
        self.renamed.emit()

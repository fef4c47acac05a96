"""Where one writes what to look for in the list."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

__all__ = ["SearchField"]

_LONGEST: Final = 200
"""Characters of a search: each word looks through all sessions at each key."""


class SearchField(QLineEdit):
    """A field from which keys lead on: Down and Enter to what was found, Escape to all there is."""

    left = Signal()
    """The user wants to be in the list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty one."""
        super().__init__(parent)
        self.setPlaceholderText(self.tr("Search by title or id"))
        self.setAccessibleName(self.tr("Search sessions"))
        self.setClearButtonEnabled(True)
        self.setMaxLength(_LONGEST)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """See ``QWidget``."""
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.left.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.clear()
        else:
            super().keyPressEvent(event)

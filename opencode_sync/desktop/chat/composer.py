"""Where the user writes."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

__all__ = ["Composer"]

_FEWEST_LINES: Final = 2
_MOST_LINES: Final = 8


class Composer(QPlainTextEdit):
    """A field that grows with its text: Enter sends, Shift+Enter begins a line."""

    submitted = Signal()
    """Enter was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty one."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Message"))
        self.setPlaceholderText(self.tr("Ask something. Enter sends, Shift+Enter begins a line."))
        self.setToolTip(
            self.tr(
                "Enter sends, Shift+Enter begins a line. Esc stops a run. "
                "Ctrl+L, or Esc without a run, leads back to the sessions."
            )
        )
        self.setTabChangesFocus(True)
        self.textChanged.connect(self._fit)
        self._fit()

    @property
    def text(self) -> str:
        """What was written."""
        return self.toPlainText()

    def _fit(self) -> None:
        lines = min(max(math.ceil(self.document().size().height()), _FEWEST_LINES), _MOST_LINES)
        margins = 2 * math.ceil(self.document().documentMargin() + self.frameWidth())
        height = lines * self.fontMetrics().lineSpacing() + margins
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the lines that have become more, or fewer."""
        super().resizeEvent(event)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the keys that mean something."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.insertPlainText("\n")
            self.ensureCursorVisible()
        else:
            self.submitted.emit()

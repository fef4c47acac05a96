"""The number beside the heading."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget

from opencode_sync.desktop.theme import Tone, colours_of

__all__ = ["CountBadge"]


class CountBadge(QLabel):
    """Says how many sessions there are; hidden when there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setContentsMargins(8, 2, 8, 2)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hide()

    def show_counts(self, total: int, matching: int) -> None:
        """Show "12", or "3 of 12" while a search has found fewer."""
        text = str(total) if matching == total else self.tr("{0} of {1}").format(matching, total)
        self.setText(text)
        self.setAccessibleName(self.tr("{0} sessions").format(text))
        self.setVisible(total > 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """See ``QWidget``."""
        colours = colours_of(Tone.NEUTRAL, self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.background)
        round_ends = self.height() / 2
        painter.drawRoundedRect(self.rect(), round_ends, round_ends)
        painter.setPen(colours.text)
        painter.setFont(self.font())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()

"""A strip above the page that says what went wrong."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QPainter,
    QPaintEvent,
    QPalette,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from opencode_sync.desktop.errors import Problem
from opencode_sync.desktop.plain import plain_label, plain_tooltip, wrapped_label
from opencode_sync.desktop.symbols import Symbol, SymbolView
from opencode_sync.desktop.theme import Tone, colours_of

__all__ = ["Banner"]

_SIDE = 28
_ROUND = 6.0


class Banner(QFrame):
    """Symbol, title and text of a problem, what may help against it, and a way to close it."""

    retry_wanted = Signal()
    offer_taken = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tone = Tone.DANGER
        self._background = QColor()
        self._symbol = SymbolView(Symbol.EXCLAMATION, _SIDE)
        self.title = plain_label()
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.text = wrapped_label()
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.retry = QPushButton(self.tr("Retry"))
        self.retry.clicked.connect(self.retry_wanted)
        self.offer = QPushButton()
        self.offer.clicked.connect(self.offer_taken)
        self.dismiss = QPushButton(self.tr("Close"))
        self.dismiss.setAccessibleName(self.tr("Close this message"))
        self.dismiss.clicked.connect(self._close)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.text)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(12)
        row.addWidget(self._symbol)
        row.addLayout(words, 1)
        row.addWidget(self.offer)
        row.addWidget(self.retry)
        row.addWidget(self.dismiss)
        self.hide()

    def show_problem(self, problem: Problem) -> None:
        """Show a problem in the place of what was shown before, and have it read out."""
        self._symbol.show_symbol(problem.symbol)
        self._tone = problem.tone
        self.title.setText(problem.title)
        self.text.setText(problem.text)
        self.text.setToolTip(plain_tooltip(problem.text))  # in a low window it may be cut off
        self.text.setVisible(bool(problem.text))
        self.retry.setVisible(problem.retry)
        self.offer.setText(problem.offer)
        self.offer.setVisible(bool(problem.offer))
        self.setAccessibleName(f"{problem.title}. {problem.text}")
        self._colour()
        self.show()
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def _close(self) -> None:
        self.hide()
        self.closed.emit()

    def _colour(self) -> None:
        colours = colours_of(self._tone, self.palette())
        self._background = colours.background
        for widget in (self._symbol, self.title, self.text):
            palette = QPalette(self.palette())
            palette.setColor(QPalette.ColorRole.WindowText, colours.text)
            widget.setPalette(palette)
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        """See ``QWidget``: the colours follow those of the system."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour()

    def paintEvent(self, event: QPaintEvent) -> None:
        """See ``QWidget``."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._background)
        painter.drawRoundedRect(self.rect(), _ROUND, _ROUND)
        painter.end()

"""Small pictures, drawn with lines in whatever colour the palette has: sharp at any resolution."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

__all__ = ["Symbol", "SymbolView", "draw_symbol", "window_icon"]

_GRID: Final = 24.0
_STROKE: Final = 1.8


class Symbol(Enum):
    """What there is a picture of."""

    LOCK = auto()
    NO_LINK = auto()
    CLOCK = auto()
    EXCLAMATION = auto()
    INBOX = auto()
    SEARCH = auto()


def _lock() -> QPainterPath:
    path = QPainterPath()
    path.addRoundedRect(QRectF(5, 11, 14, 9), 2, 2)
    path.moveTo(8, 11)
    path.lineTo(8, 8)
    path.arcTo(QRectF(8, 4, 8, 8), 180, -180)
    path.lineTo(16, 11)
    return path


def _no_link() -> QPainterPath:
    path = QPainterPath()
    for size in (16, 10, 4):
        frame = QRectF(12 - size / 2, 16 - size / 2, size, size)
        path.arcMoveTo(frame, 40)
        path.arcTo(frame, 40, 100)
    path.moveTo(4, 4)
    path.lineTo(20, 20)
    return path


def _clock() -> QPainterPath:
    path = QPainterPath()
    path.addEllipse(QPointF(12, 12), 8, 8)
    path.moveTo(12, 7.5)
    path.lineTo(12, 12)
    path.lineTo(15.5, 14)
    return path


def _exclamation() -> QPainterPath:
    path = QPainterPath()
    path.addEllipse(QPointF(12, 12), 8.5, 8.5)
    path.moveTo(12, 7.5)
    path.lineTo(12, 13)
    path.addEllipse(QPointF(12, 16.4), 0.3, 0.3)
    return path


def _inbox() -> QPainterPath:
    path = QPainterPath(QPointF(3, 13))
    path.lineTo(6.5, 5)
    path.lineTo(17.5, 5)
    path.lineTo(21, 13)
    path.lineTo(21, 19)
    path.lineTo(3, 19)
    path.closeSubpath()
    path.moveTo(3, 13)
    path.lineTo(8.5, 13)
    path.lineTo(10, 15.5)
    path.lineTo(14, 15.5)
    path.lineTo(15.5, 13)
    path.lineTo(21, 13)
    return path


def _search() -> QPainterPath:
    path = QPainterPath()
    path.addEllipse(QPointF(10.5, 10.5), 6, 6)
    path.moveTo(15, 15)
    path.lineTo(20, 20)
    return path


_PATHS: Final = {
    Symbol.LOCK: _lock,
    Symbol.NO_LINK: _no_link,
    Symbol.CLOCK: _clock,
    Symbol.EXCLAMATION: _exclamation,
    Symbol.INBOX: _inbox,
    Symbol.SEARCH: _search,
}


def draw_symbol(painter: QPainter, symbol: Symbol, frame: QRectF, colour: QColor) -> None:
    """Draw a symbol into a square."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(frame.topLeft())
    painter.scale(frame.width() / _GRID, frame.height() / _GRID)
    pen = QPen(colour, _STROKE)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.drawPath(_PATHS[symbol]())
    painter.restore()


class SymbolView(QWidget):
    """Shows a symbol in the colour of its own text. Says nothing to screen readers: words do."""

    def __init__(self, symbol: Symbol, side: int, parent: QWidget | None = None) -> None:
        """Make a view.

        Args:
            symbol: What to show.
            side: Of the square, in device-independent pixels.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._symbol = symbol
        self._side = side
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_symbol(self, symbol: Symbol) -> None:
        """Show another one."""
        self._symbol = symbol
        self.update()

    def sizeHint(self) -> QSize:
        """See ``QWidget``."""
        return QSize(self._side, self._side)

    def paintEvent(self, event: QPaintEvent) -> None:
        """See ``QWidget``."""
        painter = QPainter(self)
        frame = QRectF(0, 0, self._side, self._side)
        draw_symbol(painter, self._symbol, frame, self.palette().windowText().color())
        painter.end()


def window_icon() -> QIcon:
    """Return the application's icon, in the sizes that systems ask for."""
    icon = QIcon()
    for side in (16, 32, 64, 128, 256):
        picture = QPixmap(side, side)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#2563c9"))
        painter.drawRoundedRect(QRectF(0, 0, side, side), side / 5, side / 5)
        inner = QRectF(side * 0.15, side * 0.15, side * 0.7, side * 0.7)
        draw_symbol(painter, Symbol.INBOX, inner, QColor("#ffffff"))
        painter.end()
        icon.addPixmap(picture)
    return icon

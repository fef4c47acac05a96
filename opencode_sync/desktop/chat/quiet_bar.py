"""A scroll bar that has its place all the time, and is seen when there is something to scroll."""

from __future__ import annotations

from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QScrollBar, QWidget

__all__ = ["QuietBar"]


class QuietBar(QScrollBar):
    """Looks like a part of the page while all of that is in sight.

    For pages that cost too much to be laid out again whenever a bar comes and takes of their width.
    """

    def __init__(self, page: QWidget) -> None:
        """Make one.

        Args:
            page: What it scrolls, of whose colour it is while it has nothing to do.
        """
        super().__init__()
        self._page = page

    def paintEvent(self, event: QPaintEvent) -> None:
        """See ``QWidget``."""
        if self.maximum() > self.minimum():
            super().paintEvent(event)
        else:
            painter = QPainter(self)
            painter.fillRect(self.rect(), self._page.palette().base())
            painter.end()

"""Previous, next, and where one is."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

__all__ = ["Pager"]


class Pager(QWidget):
    """Leafs through pages."""

    page_wanted = Signal(int)
    """From 0 on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._page = 0
        self.previous = QPushButton(self.tr("Previous"))
        self.previous.setAccessibleName(self.tr("Previous page"))
        self.previous.setShortcut(QKeySequence("Ctrl+PgUp"))
        self.previous.setToolTip(self.tr("Previous page (Ctrl+Page Up)"))
        self.previous.clicked.connect(lambda: self.page_wanted.emit(self._page - 1))
        self.next = QPushButton(self.tr("Next"))
        self.next.setAccessibleName(self.tr("Next page"))
        self.next.setShortcut(QKeySequence("Ctrl+PgDown"))
        self.next.setToolTip(self.tr("Next page (Ctrl+Page Down)"))
        self.next.clicked.connect(lambda: self.page_wanted.emit(self._page + 1))
        self.position = QLabel()
        self.position.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.previous)
        row.addWidget(self.position, 1)
        row.addWidget(self.next)
        self.show_position(0, 1)

    def show_position(self, page: int, pages: int) -> None:
        """Say where one is; a single page needs no pager.

        Args:
            page: From 0 on.
            pages: How many there are.
        """
        self._page = page
        self.previous.setEnabled(page > 0)
        self.next.setEnabled(page + 1 < pages)
        self.position.setText(self.tr("Page {0} of {1}").format(page + 1, pages))
        self.setVisible(pages > 1)

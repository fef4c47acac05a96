"""The question before a session is deleted."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from opencode_sync.desktop.sessions.record import SessionRecord
from opencode_sync.desktop.sessions.titles import shown_title

__all__ = ["DeleteQuestion"]


class DeleteQuestion:
    """Asks about one session at a time. For the Qt thread."""

    def __init__(self, parent: QWidget, delete: Callable[[SessionRecord], object]) -> None:
        """Make one that has not asked yet.

        Args:
            parent: What it stands before.
            delete: Gets the session once the user agrees.
        """
        self._parent = parent
        self._delete = delete
        self._box: QMessageBox | None = None  # as it stands on the screen

    def ask(self, record: SessionRecord) -> None:
        """Ask, unless another answer is awaited."""
        if self._box is not None:
            return
        translate = QCoreApplication.translate
        self._box = box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(translate("DeleteQuestion", "Delete session"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        title = shown_title(record.title[:80])
        box.setText(translate("DeleteQuestion", 'Delete the session "{0}"?').format(title))
        box.setInformativeText(
            translate("DeleteQuestion", "Its messages are deleted with it. This cannot be undone.")
        )
        agree = box.addButton(
            translate("DeleteQuestion", "Delete"), QMessageBox.ButtonRole.DestructiveRole
        )
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        agree.clicked.connect(lambda: self._delete(record))
        box.finished.connect(self._answered)
        box.open()

    def _answered(self) -> None:
        if self._box is not None:
            self._box.deleteLater()
            self._box = None

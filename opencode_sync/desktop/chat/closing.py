"""The question before runs are ended by closing the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QMessageBox, QWidget

__all__ = ["ClosingQuestion"]


class ClosingQuestion:
    """Asks at most once at a time, and never again after a yes. For the Qt thread."""

    def __init__(self, parent: QWidget) -> None:
        """Make one that has not asked yet."""
        self._parent = parent
        self._agreed = False
        self.box: QMessageBox | None = None
        """The question as it stands on the screen; None while there is none."""

    def may_close(self, close: Callable[[], object], *, running: bool, asking: bool) -> bool:
        """Return whether to close now. If not, ``close`` is called once the user agrees.

        Args:
            close: Tries it again.
            running: Whether an answer is being written.
            asking: Whether it waits for the user.
        """
        if self._agreed or not running:
            return True
        if self.box is None:
            self.box = self._ask(close, asking=asking)
        return False

    def _ask(self, close: Callable[[], object], *, asking: bool) -> QMessageBox:
        translate = QCoreApplication.translate
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(translate("ClosingQuestion", "Close the window"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(
            translate("ClosingQuestion", "The model waits for your answer; close and stop it?")
            if asking
            else translate("ClosingQuestion", "An answer is being written; close and stop it?")
        )
        agree = box.addButton(
            translate("ClosingQuestion", "Close and stop"), QMessageBox.ButtonRole.DestructiveRole
        )
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)

        def finished() -> None:
            self.box = None
            box.deleteLater()
            if box.clickedButton() is agree:
                self._agreed = True
                close()

        box.finished.connect(finished)
        box.open()
        return box

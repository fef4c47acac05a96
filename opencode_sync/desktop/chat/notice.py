"""A note above the conversation: why there is nothing to see or to send, and what to do."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from opencode_sync.desktop.chat.words import line
from opencode_sync.desktop.errors import problem_of
from opencode_sync.desktop.plain import wrapped_label

__all__ = ["Notice"]


class Notice(QFrame):
    """Hidden while there is nothing to say."""

    retry_wanted = Signal()
    """The user wants it tried again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one that says nothing."""
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.AlternateBase)
        self._text = wrapped_label(parent=self)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.retry = QPushButton(self.tr("Try a&gain"), self)
        self.retry.clicked.connect(self.retry_wanted)
        row = QHBoxLayout(self)
        row.addWidget(self._text, 1)
        row.addWidget(self.retry)
        self.hide()

    @property
    def text(self) -> str:
        """What it says; "" for nothing."""
        return self._text.text()

    def clear(self) -> None:
        """Say nothing."""
        self._text.clear()
        self.hide()

    def show_text(self, title: str, text: str) -> None:
        """Say this."""
        self._text.setText(f"{title}\n{text}")
        self.show()

    def show_error(self, error: BaseException) -> None:
        """Say that the messages could not be read, and why."""
        problem = problem_of(error)
        self.show_text(self.tr("The messages could not be read"), line(problem.text, 500))

    def show_no_backend(self) -> None:
        """Say that this backend keeps sessions only, and what to do about it."""
        self.show_text(
            self.tr("This backend has no model to talk to"),
            self.tr(
                "It keeps sessions only. To chat, start a gateway with OpenCode behind it "
                "(opencode-sync gateway --backend opencode) and connect to that."
            ),
        )

    def show_no_model(self) -> None:
        """Say that nobody has given OpenCode a model."""
        self.show_text(
            self.tr("No model can be used"),
            self.tr("Give OpenCode one (opencode auth login), and try again."),
        )

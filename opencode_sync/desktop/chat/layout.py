"""The pane's parts, and where they stand."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.chat.choices import Choices
from opencode_sync.desktop.chat.composer import Composer
from opencode_sync.desktop.chat.focus import Focus
from opencode_sync.desktop.chat.history_view import HistoryView
from opencode_sync.desktop.chat.notice import Notice
from opencode_sync.desktop.chat.question_area import QuestionArea
from opencode_sync.desktop.chat.run_bar import RunBar
from opencode_sync.desktop.plain import wrapped_label
from opencode_sync.desktop.service import Service

__all__ = ["PaneParts"]

_LOW: Final = 450
"""Below this height, in device-independent pixels, a question takes the place of the figures."""


class PaneParts(QWidget):
    """The widgets of a chat pane. What they do is for ``ChatPane`` to say."""

    def __init__(self, service: Service, settings: QSettings, parent: QWidget | None) -> None:
        """Make them, with nothing to show.

        Args:
            service: For the choosers, which read their lists.
            settings: Where those remember what was chosen.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.title = wrapped_label(parent=self)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.notice = Notice(self)
        self.history = HistoryView(self)
        # Whatever else there is has its room first; in a low window that may be all.
        self.history.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.history.setMinimumHeight(1)
        self.questions = QuestionArea(self)
        self.run_bar = RunBar(self)
        self.composer = Composer(self)
        self.choices = Choices(service, settings, self)
        self.models, self.agents = self.choices.models, self.choices.agents
        self.send_button = QPushButton(self.tr("&Send"), self)
        self.send_button.setToolTip(self.tr("Send (Enter)"))
        self.stop_button = QPushButton(self.tr("S&top"), self)
        self.stop_button.setToolTip(self.tr("Stop the run (Esc)"))
        self.usage = wrapped_label(parent=self)
        self.usage.setAccessibleName(self.tr("Tokens and cost"))
        self.choices.changed.connect(self.fit)
        self.focus = Focus(self.history, self.composer, self.questions, self.choices)
        self.placeholder = wrapped_label(parent=self)
        self.placeholder.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.placeholder)
        self._pages.addWidget(self._page())

    def _page(self) -> QWidget:
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.addWidget(self.title)
        column.addWidget(self.notice)
        column.addWidget(self.history, 1)
        column.addWidget(self.questions)
        column.addWidget(self.run_bar)
        column.addWidget(self.composer.note)
        column.addWidget(self.composer)
        row = QHBoxLayout()
        row.addWidget(self.choices, 1)
        row.addWidget(self.send_button)
        row.addWidget(self.stop_button)
        column.addLayout(row)
        column.addWidget(self.usage)
        return page

    def show_page(self, has_conversation: bool) -> None:
        """Show the conversation's parts, or that none is chosen."""
        self._pages.setCurrentIndex(1 if has_conversation else 0)

    def show_placeholder(self, text: str = "") -> None:
        """Have this stand where there is no conversation; "" for what to do about that."""
        self.placeholder.setText(text or self.tr("Choose a session to see its conversation."))

    def fit(self) -> None:
        """Leave a question the room that it needs, and say what was used where anything can be."""
        has_room = self.questions.isHidden() or self.height() >= _LOW
        self.usage.setVisible(has_room and not self.choices.refused)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See ``QWidget``."""
        super().resizeEvent(event)
        self.fit()

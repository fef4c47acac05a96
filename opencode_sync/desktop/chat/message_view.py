"""One message: who says it, what it is made of, and whether it failed."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.folds import NoteView, ReasoningView, ToolView
from opencode_sync.desktop.chat.texts import MarkdownText
from opencode_sync.desktop.chat.transcript import Entry, Note, Part, TextPart
from opencode_sync.desktop.chat.words import line

__all__ = ["MessageView"]

_View = MarkdownText | ReasoningView | ToolView | NoteView


class MessageView(QFrame):
    """Shows an ``Entry`` and keeps up with it."""

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        """Make a view that shows nothing yet; see ``sync``."""
        super().__init__(parent)
        self.entry: Final = entry
        self._views: dict[str, _View] = {}
        self.setAutoFillBackground(True)
        self.setBackgroundRole(
            QPalette.ColorRole.AlternateBase if entry.role == "user" else QPalette.ColorRole.Base
        )
        self._speaker = _label(self)
        font = self._speaker.font()
        font.setBold(True)
        self._speaker.setFont(font)
        self._model = _label(self)
        self._model.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.copy_button = QToolButton(self)
        self.copy_button.setText(self.tr("Copy"))
        self.copy_button.setAutoRaise(True)
        self.copy_button.setAccessibleName(self.tr("Copy this message"))
        self.copy_button.setToolTip(self.tr("Copy this message"))
        self.copy_button.clicked.connect(self._copy_text)
        head = QHBoxLayout()
        head.addWidget(self._speaker)
        head.addWidget(self._model, 1)
        head.addWidget(self.copy_button)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(10, 4, 10, 8)
        self._column.setSpacing(4)
        self._column.addLayout(head)
        self._parts = QVBoxLayout()
        self._parts.setSpacing(2)
        self._column.addLayout(self._parts)
        self._error = _label(self)
        self._error.setWordWrap(True)
        self._error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._error.setFont(font)
        self._error.hide()
        self._column.addWidget(self._error)

    @property
    def labels(self) -> list[QLabel]:
        """Who speaks, with which model and agent, and why it failed."""
        return [self._speaker, self._model, self._error]

    def sync(self, budget: Budget) -> bool:
        """Show the entry as it is now, as far as there is time.

        Returns:
            False when some of it is not shown yet. Call it again then.
        """
        entry = self.entry
        user = entry.role == "user"
        self._speaker.setText(self.tr("You") if user else self.tr("Assistant"))
        about = "" if user else " · ".join(filter(None, (line(entry.model), line(entry.agent))))
        self._model.setText(about)
        self.copy_button.setVisible(bool(entry.parts))
        self._error.setText(self.tr("Failed: {0}").format(line(entry.error or "", 500)))
        self._error.setVisible(entry.error is not None)
        self._drop_old()
        complete = True
        for position, (part_id, part) in enumerate(entry.parts.items()):
            view = self._views.get(part_id)
            if view is None:
                if budget.over and position:
                    return False
                view = self._views[part_id] = _view_of(part, self)
            if self._parts.indexOf(view) != position:
                self._parts.insertWidget(position, view)
            complete = _show(view, part, budget) and complete
        return complete

    def _drop_old(self) -> None:
        for part_id in list(self._views):
            view, part = self._views[part_id], self.entry.parts.get(part_id)
            if part is None or not _fits(view, part):
                self._parts.removeWidget(view)
                view.deleteLater()
                del self._views[part_id]

    def _copy_text(self) -> None:
        QGuiApplication.clipboard().setText(self.entry.text)


def _label(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _view_of(part: Part, parent: QWidget) -> _View:
    if isinstance(part, TextPart):
        return ReasoningView(parent) if part.reasoning else MarkdownText(parent)
    if isinstance(part, Note):
        return NoteView(parent)
    return ToolView(parent)


def _fits(view: _View, part: Part) -> bool:
    if isinstance(part, TextPart):
        return isinstance(view, ReasoningView if part.reasoning else MarkdownText)
    return isinstance(view, NoteView if isinstance(part, Note) else ToolView)


def _show(view: _View, part: Part, budget: Budget) -> bool:
    """Bring a part's view up to date; False when there was no time for all of it."""
    if isinstance(view, MarkdownText | ReasoningView):
        assert isinstance(part, TextPart)
        return view.show_text(part.text, budget)
    if isinstance(view, NoteView):
        assert isinstance(part, Note)
        view.show_note(part)
    else:
        assert not isinstance(part, TextPart | Note)
        view.show_call(part.call)
    return True

"""One message: who says it, what it is made of, and whether it failed."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.column import Column, Stack
from opencode_sync.desktop.chat.entry import Entry, Note, Part, TextPart
from opencode_sync.desktop.chat.failures import answer_failure
from opencode_sync.desktop.chat.folds import NoteView, ReasoningView, ToolView
from opencode_sync.desktop.chat.texts import MarkdownText
from opencode_sync.desktop.chat.words import line
from opencode_sync.desktop.plain import plain_label, wrapped_label

__all__ = ["MessageView"]

_View = MarkdownText | ReasoningView | ToolView | NoteView


class MessageView(QFrame):
    """Shows an ``Entry`` and keeps up with it."""

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        """Make a view that shows nothing yet; see ``sync``."""
        super().__init__(parent)
        self.entry: Final = entry
        self._views: dict[str, _View] = {}
        self._order: list[str] = []  # of the views in the column
        self._next = 0  # the first part that has not been looked at since it may have changed
        self.setAutoFillBackground(True)
        self.setBackgroundRole(
            QPalette.ColorRole.AlternateBase if entry.role == "user" else QPalette.ColorRole.Base
        )
        self._speaker = plain_label(parent=self)
        font = self._speaker.font()
        font.setBold(True)
        self._speaker.setFont(font)
        self._model = plain_label(parent=self)
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
        column = Stack(self, spacing=4)
        column.setContentsMargins(10, 4, 10, 8)
        column.addLayout(head)
        self._parts = Column(2)
        column.addLayout(self._parts)
        self._error = wrapped_label(parent=self)
        self._error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._error.hide()
        column.addWidget(self._error)

    @property
    def labels(self) -> list[QLabel]:
        """Who speaks, with which model and agent, and why it failed."""
        return [self._speaker, self._model, self._error]

    def look_again(self) -> None:
        """Have the next ``sync`` look at all parts: the entry has changed."""
        self._next = 0

    def wait(self) -> None:
        """Have long texts follow the width no sooner than by the next ``sync``."""
        for view in self._views.values():
            if isinstance(view, MarkdownText | ReasoningView):
                view.wait()
        self.look_again()

    def sync(self, budget: Budget) -> bool:
        """Show the entry as it is now, as far as there is time; at least one part of it.

        Returns:
            False when some of it is not shown yet. Call it again then: it goes on where it stopped.
        """
        parts = list(self.entry.parts.items())
        if self._next == 0:
            self._show_head()
            self._drop_old()
            self._arrange([part_id for part_id, _ in parts if part_id in self._views])
        for position in range(self._next, len(parts)):
            part_id, part = parts[position]
            view = self._views.get(part_id)
            if view is None:
                view = self._views[part_id] = _view_of(part, self, plain=self.entry.role == "user")
                if position >= len(self._order):
                    self._order.append(part_id)
                    self._parts.append(view)
                else:
                    self._arrange([*self._order[:position], part_id, *self._order[position:]])
            # What has changed its kind without anybody's telling comes to its own when they do.
            if _fits(view, part) and not _show(view, part, budget):
                self._next = position
                return False
            self._next = position + 1
            if budget.over and self._next < len(parts):
                return False
        self._next = 0
        return True

    def _show_head(self) -> None:
        entry = self.entry
        user = entry.role == "user"
        self._speaker.setText(self.tr("You") if user else self.tr("Assistant"))
        about = "" if user else " · ".join(filter(None, (line(entry.model), line(entry.agent))))
        self._model.setText(about)
        self.copy_button.setVisible(bool(entry.parts))
        self._show_end()

    def _show_end(self) -> None:
        """Say how the message ended, if it is not whole."""
        entry = self.entry
        said = ""
        if entry.error is not None:
            said = answer_failure(entry.error_kind, entry.error)
        elif entry.cut:
            said = self.tr("Cut off: the connection was lost while this was written.")
        elif entry.left and entry.unfinished:
            said = self.tr("Not finished: cut off, or another program is still writing it.")
        font = self._error.font()
        font.setBold(entry.error is not None and entry.error_kind != "aborted")
        self._error.setFont(font)
        self._error.setText(said)
        self._error.setVisible(bool(said))

    def _drop_old(self) -> None:
        for part_id, view in list(self._views.items()):
            part = self.entry.parts.get(part_id)
            if part is None or not _fits(view, part):
                view.hide()
                view.deleteLater()
                del self._views[part_id]

    def _arrange(self, order: list[str]) -> None:
        """Have the views in this order."""
        if order != self._order:
            self._order = order
            self._parts.fill(self._views[part_id] for part_id in order)

    def _copy_text(self) -> None:
        QGuiApplication.clipboard().setText(self.entry.text)


def _view_of(part: Part, parent: QWidget, *, plain: bool) -> _View:
    if isinstance(part, TextPart):
        return ReasoningView(parent) if part.reasoning else MarkdownText(parent, plain=plain)
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
        view.show_call(part.call, waits=part.waits)
    return True

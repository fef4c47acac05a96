"""What an answer has besides its text: reasoning and tool calls, folded, and notes."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.column import Stack
from opencode_sync.desktop.chat.entry import Note
from opencode_sync.desktop.chat.excerpt import json_excerpt
from opencode_sync.desktop.chat.texts import MarkdownText, PlainText
from opencode_sync.desktop.chat.words import caption, hint, line
from opencode_sync.messages import ToolCall

__all__ = ["Fold", "NoteView", "ReasoningView", "ToolView", "tool_title"]

_TELLING: Final = ("command", "filePath", "path", "pattern", "query", "url", "description")
"""What tells tool calls apart, of their arguments: the first that there is."""

_GIVEN: Final = 16_000
"""Characters of a call's input, about."""

_INDENT: Final = 18

_TURN_SECONDS: Final = 0.008
"""Of the Qt thread's time, for what was opened, before other events get theirs."""


class Fold(QWidget):
    """A line that opens and closes what is below it. Closed at first, and costs nothing then."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a closed one."""
        super().__init__(parent)
        self.handle: Final = QToolButton(self)
        self.handle.setCheckable(True)
        self.handle.setAutoRaise(True)
        self.handle.setArrowType(Qt.ArrowType.RightArrow)
        self.handle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.handle.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # A long line must not make the window wide.
        self.handle.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.handle.toggled.connect(self._toggled)
        self._column = Stack(self, spacing=2)
        self._column.addWidget(self.handle)
        self._inside: QWidget | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is inside is shown."""
        return self.handle.isChecked()

    def set_title(self, title: str) -> None:
        """Say what is inside."""
        shown = caption(title)
        if shown != self.handle.text():
            self.handle.setText(shown)
            self.handle.setAccessibleName(line(title))

    def _toggled(self, is_open: bool) -> None:
        self.handle.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        if is_open and self._inside is None:
            self._inside = self._build()
            self._column.addWidget(self._inside)
        if self._inside is not None:
            self._inside.setVisible(is_open)
        if is_open:
            self._fill()

    def _build(self) -> QWidget:
        """Return what is inside; called once, when it is first opened."""
        raise NotImplementedError

    def _fill(self) -> None:
        """Bring what is inside up to date; called whenever it may be seen."""
        raise NotImplementedError


class ReasoningView(Fold):
    """What the model thought."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one that says nothing."""
        super().__init__(parent)
        self._text = ""
        self._body: MarkdownText | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._fill)
        self.set_title(self.tr("Reasoning"))

    def wait(self) -> None:
        """Do not follow the width before the next ``show_text``."""
        if self._body is not None:
            self._body.wait()

    def show_text(self, text: str, budget: Budget) -> bool:
        """Show this as the reasoning, once somebody opens it.

        Returns:
            False when there was no time for all of it. Call it again then.
        """
        self._text = text
        if not self.is_open:
            return True
        assert self._body is not None
        return self._body.show_text(text, budget)

    def _build(self) -> QWidget:
        self._body = MarkdownText(self)
        self._body.setContentsMargins(_INDENT, 0, 0, 0)
        return self._body

    def _fill(self) -> None:
        if not self.show_text(self._text, Budget(_TURN_SECONDS)):
            self._rest.start()


class ToolView(Fold):
    """A tool call: what it does and how it stands, and inside what went in and what came out."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one that shows nothing."""
        super().__init__(parent)
        self._call: ToolCall | None = None
        self._waits = False
        self._boxes: tuple[PlainText, QLabel, PlainText] | None = None

    def show_call(self, call: ToolCall, *, waits: bool = False) -> None:
        """Show the call as it is now.

        Args:
            call: What is called, and what has come of it.
            waits: Whether it goes on only when the user has answered.
        """
        if call == self._call and waits == self._waits:
            return
        self._call, self._waits = call, waits
        status = self.tr("waiting for you") if waits else _status(call.status)
        self.set_title(f"{tool_title(call)} — {status}")
        self.handle.setToolTip(hint(tool_title(call)))
        if self.is_open:
            self._fill()

    def _build(self) -> QWidget:
        inside = QWidget(self)
        column = QVBoxLayout(inside)
        column.setContentsMargins(_INDENT, 0, 0, 0)
        column.setSpacing(2)
        given, came = PlainText(self.tr("Input"), inside), PlainText(self.tr("Output"), inside)
        result = QLabel(inside)
        self.copy_button = QToolButton(inside)
        self.copy_button.setText(self.tr("Copy"))
        self.copy_button.setAutoRaise(True)
        self.copy_button.setAccessibleName(self.tr("Copy the output"))
        self.copy_button.clicked.connect(self._copy)
        head = QHBoxLayout()
        head.addWidget(result, 1)
        head.addWidget(self.copy_button)
        column.addWidget(QLabel(self.tr("Input"), inside))
        column.addWidget(given)
        column.addLayout(head)
        column.addWidget(came)
        self._boxes = given, result, came
        return inside

    def _fill(self) -> None:
        assert self._call is not None
        assert self._boxes is not None
        given, result, came = self._boxes
        call = self._call
        given.show_text(json_excerpt(call.input, _GIVEN, indent=2))
        result.setText(self.tr("Output") if call.error is None else self.tr("Error"))
        for each in (result, self.copy_button, came):
            each.setVisible(self._output is not None)
        came.show_text(self._output or "")

    @property
    def _output(self) -> str | None:
        call = self._call
        return None if call is None else call.output if call.error is None else call.error

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._output or "")


class NoteView(QLabel):
    """A line about something that is no text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty one."""
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_note(self, note: Note) -> None:
        """Show this."""
        translate = QCoreApplication.translate
        said = {
            "file": translate("NoteView", "File"),
            "patch": translate("NoteView", "Changed"),
            "agent": translate("NoteView", "Agent"),
            "subtask": translate("NoteView", "Handed to another agent"),
            "compaction": translate("NoteView", "Older messages were summed up"),
            "retry": translate("NoteView", "The provider refused, and was asked again"),
        }.get(note.kind, note.kind)
        self.setText(f"{said}: {line(note.text, 300)}" if note.text else said)


def tool_title(call: ToolCall) -> str:
    """Return a tool call in a few words: ``"bash: ls -la"``."""
    told = call.title or next(
        (call.input[name] for name in _TELLING if isinstance(call.input.get(name), str)), ""
    )
    return f"{call.name}: {line(told, 90)}" if told else call.name


def _status(status: str) -> str:
    translate = QCoreApplication.translate
    return {
        "pending": translate("ToolView", "waiting"),
        "running": translate("ToolView", "running…"),
        "completed": translate("ToolView", "done"),
        "error": translate("ToolView", "failed"),
    }.get(status, translate("ToolView", "unknown"))

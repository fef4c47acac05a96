"""What a run waits for, as buttons: permissions, and the model's own questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.chat.excerpt import json_excerpt, shortened
from opencode_sync.desktop.chat.texts import PlainText
from opencode_sync.desktop.chat.words import caption, hint, line
from opencode_sync.printable import printable_block
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem

__all__ = ["PermissionForm", "QuestionForm"]

_HIGHEST: Final = 260
"""Of what is asked, in device-independent pixels; more than that scrolls."""

_QUESTION: Final = (4_000, 100)
"""Characters and lines of a question that are shown."""

_OPTIONS: Final = 50
"""Possible answers of a question that are shown."""

_QUESTIONS: Final = 20
"""Questions that are shown at once."""

_DETAILS: Final = 20_000
"""Characters of what a tool says about its request."""


class PermissionForm(QFrame):
    """Whether a tool may do something."""

    replied = Signal(str, str)
    """``"once"``, ``"always"`` or ``"reject"``, and what the model is told of it; may be ""."""

    def __init__(self, asked: PermissionAsked, parent: QWidget | None = None) -> None:
        """Ask."""
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        column = QVBoxLayout(self)
        said = self.tr("The model asks for permission: {0}").format(line(asked.permission))
        column.addWidget(_title(said, self))
        self.about = PlainText(self.tr("What is asked for"), self)
        self.about.show_text(_permission_text(asked))
        column.addWidget(self.about)
        self.once = QPushButton(self.tr("Allow &once"), self)
        self.always = QPushButton(self.tr("&Always allow"), self)
        self.always.setToolTip(self.tr("From now on, in every session of the project"))
        self.reject = QPushButton(self.tr("&Reject"), self)
        self.why = QLineEdit(self)
        self.why.setPlaceholderText(self.tr("Or write what to do instead, and press Enter"))
        self.why.setAccessibleName(self.tr("What the model is told when you reject"))
        row = QHBoxLayout()
        for each in (self.once, self.always, self.reject):
            each.setAutoDefault(False)
            row.addWidget(each)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.why)  # a line of its own, or the hint in it is cut
        self.once.clicked.connect(lambda: self._reply("once"))
        self.always.clicked.connect(lambda: self._reply("always"))
        self.reject.clicked.connect(lambda: self._reply("reject"))
        self.why.returnPressed.connect(lambda: self._reply("reject"))

    def _reply(self, reply: Literal["once", "always", "reject"]) -> None:
        self.replied.emit(reply, self.why.text().strip() if reply == "reject" else "")
        self.setEnabled(False)  # until the answer has got through, or has not


class QuestionForm(QFrame):
    """What the model asks."""

    replied = Signal(object)
    """For each question the list of its answers; None when they were dismissed."""

    def __init__(self, asked: QuestionAsked, parent: QWidget | None = None) -> None:
        """Ask."""
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        inside = QWidget(self)
        items = QVBoxLayout(inside)
        items.setContentsMargins(0, 0, 0, 0)
        self.items: Final = [_Item(item, inside) for item in asked.items[:_QUESTIONS]]
        self._left_out = len(asked.items) - len(self.items)
        for each in self.items:
            items.addWidget(each)
            each.changed.connect(self._check)
        if self._left_out:
            more = self.tr("{0} questions more are not shown, and stay without an answer.")
            items.addWidget(_label(more.format(self._left_out), inside))
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what is in it scrolls it
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        area.setFixedHeight(min(inside.sizeHint().height() + 4, _HIGHEST))
        self.answer = QPushButton(self.tr("&Answer"), self)
        self.answer.setAutoDefault(False)
        self.dismiss = QPushButton(self.tr("&Dismiss"), self)
        self.dismiss.setAutoDefault(False)
        self.dismiss.setToolTip(self.tr("The run ends without an answer"))
        row = QHBoxLayout()
        row.addWidget(self.answer)
        row.addWidget(self.dismiss)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.addWidget(_title(self.tr("The model asks"), self))
        column.addWidget(area)
        column.addLayout(row)
        self.answer.clicked.connect(lambda: self._reply(self._answers()))
        self.dismiss.clicked.connect(lambda: self._reply(None))
        self._check()

    def _check(self) -> None:
        self.answer.setEnabled(all(each.answers for each in self.items))

    def _answers(self) -> list[list[str]]:
        return [each.answers for each in self.items] + [[] for _ in range(self._left_out)]

    def _reply(self, answers: Sequence[Sequence[str]] | None) -> None:
        self.replied.emit(answers)
        self.setEnabled(False)


class _Item(QGroupBox):
    """One question and its possible answers."""

    changed = Signal()

    def __init__(self, item: QuestionItem, parent: QWidget) -> None:
        super().__init__(caption(item.header), parent)
        column = QVBoxLayout(self)
        column.addWidget(_label(printable_block(shortened(item.question, *_QUESTION)), self))
        self._several = item.multiple
        options = item.options[:_OPTIONS]
        self._labels = [option.label for option in options]
        self.buttons: list[QAbstractButton] = []
        for option in options:
            shown = f"{option.label} — {option.description}" if option.description else option.label
            button: QAbstractButton
            button = (QCheckBox if item.multiple else QRadioButton)(caption(shown), self)
            button.setToolTip(hint(option.description or option.label))
            button.toggled.connect(self.changed)
            self.buttons.append(button)
            column.addWidget(button)
        if len(item.options) > len(options):
            more = self.tr("{0} possible answers more are not shown.")
            column.addWidget(_label(more.format(len(item.options) - len(options)), self))
        self.other: QLineEdit | None = None
        if item.custom or not item.options:
            self.other = QLineEdit(self)
            self.other.setPlaceholderText(self.tr("An answer of your own"))
            self.other.setAccessibleName(self.tr("An answer of your own"))
            self.other.textChanged.connect(self._written)
            column.addWidget(self.other)

    def _written(self, text: str) -> None:
        if not self._several:  # then it takes the place of the others
            for button in self.buttons:
                button.setEnabled(not text.strip())
        self.changed.emit()

    @property
    def answers(self) -> list[str]:
        """What is chosen, or written in its place."""
        chosen = [
            label
            for label, button in zip(self._labels, self.buttons, strict=True)
            if button.isChecked()
        ]
        other = "" if self.other is None else self.other.text().strip()
        if not other:
            return chosen
        return [*chosen, other] if self._several else [other]


def _label(text: str, parent: QWidget) -> QLabel:
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def _title(text: str, parent: QWidget) -> QLabel:
    label = _label(text, parent)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


_PATHS: Final = ("filepath", "filePath", "path")
_ITSELF: Final = ("command", *_PATHS)
"""Under these names tools say what they want to do or to touch: that needs no name."""


def _permission_text(asked: PermissionAsked) -> str:
    """Return what is asked for, each thing once, with whatever else the tool says about it."""
    lines: list[str] = []
    others: list[str] = []
    for name, value in asked.metadata.items():
        said = value if isinstance(value, str) else json_excerpt(value, _DETAILS)
        if not said or said in asked.patterns:
            continue
        shown = printable_block(shortened(said, _DETAILS))
        if name in _ITSELF:
            lines.append(shown)
        else:
            others.append(f"{line(name)}:{chr(10) if chr(10) in shown else ' '}{shown}")
    patterns = [each for each in asked.patterns if not _is_said(each, asked.metadata)]
    lines[:0] = [printable_block(shortened(each, _DETAILS)) for each in dict.fromkeys(patterns)]
    return "\n".join([*(lines or ["*"]), *others])


def _is_said(pattern: str, metadata: Mapping[str, Any]) -> bool:
    """Return whether the tool says in full what a pattern says in part.

    Commands come in their pieces as well, and a path in the form that permissions are kept in.
    """
    command = metadata.get("command")
    if isinstance(command, str) and pattern != command and pattern in _pieces(command[:_DETAILS]):
        return True
    paths = (metadata.get(name) for name in _PATHS)
    return any(isinstance(each, str) and each.endswith(f"/{pattern}") for each in paths)


def _pieces(command: str) -> set[str]:
    """Return the commands that a line of the shell is put together of."""
    return {each.strip() for each in re.split(r"&&|\|\||[;|&\n]", command)}

"""What a run waits for, as buttons: permissions, and the model's own questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

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

from opencode_sync.desktop.chat.texts import PlainText
from opencode_sync.desktop.chat.words import caption, hint, line
from opencode_sync.printable import printable_block
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem

__all__ = ["PermissionForm", "QuestionForm"]

_HIGHEST: Final = 260
"""Of what is asked, in device-independent pixels; more than that scrolls."""

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
        about = PlainText(self.tr("What is asked for"), self)
        about.show_text(_permission_text(asked))
        column.addWidget(about)
        self.once = QPushButton(self.tr("Allow &once"), self)
        self.always = QPushButton(self.tr("&Always allow"), self)
        self.always.setToolTip(self.tr("From now on, in every session of the project"))
        self.reject = QPushButton(self.tr("&Reject"), self)
        self.why = QLineEdit(self)
        self.why.setPlaceholderText(self.tr("Instead… (the run goes on with what you write here)"))
        self.why.setAccessibleName(self.tr("What the model is told when you reject"))
        row = QHBoxLayout()
        for each in (self.once, self.always, self.reject):
            each.setAutoDefault(False)
            row.addWidget(each)
        row.addWidget(self.why, 1)
        column.addLayout(row)
        self.once.clicked.connect(lambda: self._reply("once"))
        self.always.clicked.connect(lambda: self._reply("always"))
        self.reject.clicked.connect(lambda: self._reply("reject"))
        self.why.returnPressed.connect(lambda: self._reply("reject"))

    def _reply(self, reply: Literal["once", "always", "reject"]) -> None:
        self.setEnabled(False)
        self.replied.emit(reply, self.why.text().strip() if reply == "reject" else "")


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
        self.items: Final = [_Item(item, inside) for item in asked.items]
        for each in self.items:
            items.addWidget(each)
            each.changed.connect(self._check)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
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
        self.answer.clicked.connect(lambda: self._reply([each.answers for each in self.items]))
        self.dismiss.clicked.connect(lambda: self._reply(None))
        self._check()

    def _check(self) -> None:
        self.answer.setEnabled(all(each.answers for each in self.items))

    def _reply(self, answers: Sequence[Sequence[str]] | None) -> None:
        self.setEnabled(False)
        self.replied.emit(answers)


class _Item(QGroupBox):
    """One question and its possible answers."""

    changed = Signal()

    def __init__(self, item: QuestionItem, parent: QWidget) -> None:
        super().__init__(caption(item.header), parent)
        column = QVBoxLayout(self)
        column.addWidget(_label(printable_block(item.question), self))
        self._several = item.multiple
        self._labels = [option.label for option in item.options]
        self.buttons: list[QAbstractButton] = []
        for option in item.options:
            shown = f"{option.label} — {option.description}" if option.description else option.label
            button: QAbstractButton
            button = (QCheckBox if item.multiple else QRadioButton)(caption(shown), self)
            button.setToolTip(hint(option.description or option.label))
            button.toggled.connect(self.changed)
            self.buttons.append(button)
            column.addWidget(button)
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


def _permission_text(asked: PermissionAsked) -> str:
    """Return what is asked for, with whatever the tool says about it."""
    lines = [printable_block(each) for each in asked.patterns] or ["*"]
    for name, value in asked.metadata.items():
        said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if said and said not in asked.patterns:
            lines.append(f"{line(name)}: {printable_block(said[:_DETAILS])}")
    return "\n".join(lines)

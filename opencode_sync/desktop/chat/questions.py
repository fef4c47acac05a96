"""What a run waits for, as buttons: permissions, and the model's own questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QFrame,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.chat.excerpt import shortened
from opencode_sync.desktop.chat.form import Form, Stage
from opencode_sync.desktop.chat.permission_text import permission_text
from opencode_sync.desktop.chat.texts import PlainText
from opencode_sync.desktop.chat.words import caption, hint, line
from opencode_sync.desktop.plain import wrapped_label
from opencode_sync.printable import printable_block
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem

__all__ = ["PermissionForm", "QuestionForm"]

_HIGHEST: Final = 260
"""Of what is asked, in device-independent pixels; more than that scrolls."""

_LOWEST: Final = 45
"""Of the same, in a window that is too low for more."""

_QUESTIONS: Final = 20
"""Questions that are shown at once."""

_CHARACTERS: Final = 4_000
"""Of these questions that are shown, all together."""

_LINES: Final = 100
"""Likewise."""

_OPTIONS: Final = 50
"""Possible answers of a question that are shown."""

_ALL_OPTIONS: Final = 100
"""Likewise, of all of them together."""


class PermissionForm(Form):
    """Whether a tool may do something."""

    replied = Signal(str, str)
    """``"once"``, ``"always"`` or ``"reject"``, and what the model is told of it; may be ""."""

    def __init__(self, asked: PermissionAsked, parent: QWidget | None = None) -> None:
        """Ask."""
        super().__init__(asked, parent)
        column = self.column
        said = self.tr("The model asks for permission: {0}").format(line(asked.permission))
        column.addWidget(_title(said, self))
        self.about = _Box(self.tr("What is asked for"), self)
        shown = permission_text(asked)
        self.about.show_text(shown.text)
        self.about.setMinimumHeight(min(self.about.maximumHeight(), _LOWEST))
        column.addWidget(self.about)
        for count, left_out in (
            (shown.patterns, self.tr("Also asked for, and not shown: {0} more.")),
            (shown.details, self.tr("Also said by the tool, and not shown: {0} more.")),
        ):
            if count:
                column.addWidget(wrapped_label(left_out.format(count), self))
        self.once = QPushButton(self.tr("Allow &once"), self)
        self.always = QPushButton(self.tr("&Always allow"), self)
        self.always.setToolTip(self.tr("From now on, in every session of the project"))
        self.reject = QPushButton(self.tr("&Reject"), self)
        self.why = QLineEdit(self)
        self.why.setPlaceholderText(self.tr("Or write what to do instead, and press Enter"))
        self.why.setAccessibleName(self.tr("What the model is told when you reject"))
        self.fields = [self.why]
        self.add_buttons(self.once, self.always, self.reject)
        column.addWidget(self.buttons)
        column.addWidget(self.why)  # a line of its own, or the hint in it is cut
        column.addWidget(self.over)
        self.once.clicked.connect(lambda: self._reply("once"))
        self.always.clicked.connect(lambda: self._reply("always"))
        self.reject.clicked.connect(lambda: self._reply("reject"))
        self.why.returnPressed.connect(lambda: self._reply("reject"))

    def set_stage(self, stage: Stage) -> None:
        """See ``Form``; what is left of it is small."""
        super().set_stage(stage)
        self.about.setVisible(stage is not Stage.OVER)

    def _reply(self, reply: Literal["once", "always", "reject"]) -> None:
        if self.takes_answer:
            message = self.why.text().strip() if reply == "reject" else ""
            self.answering.emit()
            self.set_stage(Stage.SENT)
            self.replied.emit(reply, message)


class QuestionForm(Form):
    """What the model asks."""

    replied = Signal(object)
    """For each question the list of its answers; None when they were dismissed."""

    def __init__(self, asked: QuestionAsked, parent: QWidget | None = None) -> None:
        """Ask."""
        super().__init__(asked, parent)
        inside = QWidget(self)
        items = QVBoxLayout(inside)
        items.setContentsMargins(0, 0, 0, 0)
        shown = asked.items[:_QUESTIONS]
        room = _Room(
            _share([len(item.question) for item in shown], _CHARACTERS),
            _share([item.question.count("\n") + 1 for item in shown], _LINES),
            min(_share([len(item.options) for item in shown], _ALL_OPTIONS), _OPTIONS),
        )
        self.items: Final = [_Item(item, room, inside) for item in shown]
        self._left_out = len(asked.items) - len(self.items)
        for each in self.items:
            items.addWidget(each)
            each.changed.connect(self._check)
        if self._left_out:
            more = self.tr("{0} questions more are not shown, and stay without an answer.")
            items.addWidget(wrapped_label(more.format(self._left_out), inside))
        self.area = _Area(inside, self)
        self.answer = QPushButton(self.tr("&Answer"), self)
        self.dismiss = QPushButton(self.tr("&Dismiss"), self)
        self.dismiss.setToolTip(self.tr("The run ends without an answer"))
        self.fields = [each.other for each in self.items if each.other is not None]
        self.add_buttons(self.answer, self.dismiss)
        column = self.column
        column.addWidget(_title(self.tr("The model asks"), self))
        column.addWidget(self.area)
        column.addWidget(self.buttons)
        column.addWidget(self.over)
        self.answer.clicked.connect(lambda: self._reply(self._answers()))
        self.dismiss.clicked.connect(lambda: self._reply(None))
        self._check()

    @property
    def is_touched(self) -> bool:
        """See ``Form``."""
        return any(each.answers for each in self.items)

    def _check(self) -> None:
        self.answer.setEnabled(all(each.answers for each in self.items))

    def _answers(self) -> list[list[str]]:
        return [each.answers for each in self.items] + [[] for _ in range(self._left_out)]

    def _reply(self, answers: Sequence[Sequence[str]] | None) -> None:
        if self.takes_answer:
            self.answering.emit()
            self.set_stage(Stage.SENT)
            self.replied.emit(answers)


class _Box(PlainText):
    """As high as its text, or lower where there is less room."""

    def sizeHint(self) -> QSize:
        """See ``QWidget``."""
        return QSize(super().sizeHint().width(), self.maximumHeight())


class _Area(QScrollArea):
    """As high as what is in it, or lower where there is less room; then it scrolls."""

    def __init__(self, inside: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what is in it scrolls it
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setWidget(inside)
        self._inside = inside

    def sizeHint(self) -> QSize:
        """See ``QWidget``."""
        hint = self._inside.sizeHint()
        needed = max(self._inside.heightForWidth(self.viewport().width()), hint.height())
        return QSize(hint.width(), min(needed + 4, _HIGHEST))

    def minimumSizeHint(self) -> QSize:
        """See ``QWidget``."""
        return QSize(40, min(self.sizeHint().height(), _LOWEST))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Be as high as the text is at the new width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()


class _Said(QLabel):
    """Words that stay as they are: laid out once for a width, not each time that Qt asks."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self._heights: dict[int, int] = {}

    def heightForWidth(self, width: int) -> int:
        """See ``QWidget``."""
        if width not in self._heights:
            self._heights[width] = super().heightForWidth(width)
        return self._heights[width]

    def changeEvent(self, event: QEvent) -> None:
        """Another font needs other room."""
        self._heights = {}
        super().changeEvent(event)


class _Room(NamedTuple):
    """How much of each question is shown, at most."""

    characters: int
    lines: int
    options: int


def _share(sizes: Sequence[int], room: int) -> int:
    """Return how large each may be shown, so that all together have no more than the room.

    What small ones leave is there for the large. Of few enough sizes each has something.
    """
    for place, size in enumerate(sorted(sizes)):
        share = room // (len(sizes) - place)
        if size > share:
            return share
        room -= size
    return max(sizes, default=0)


class _Item(QGroupBox):
    """One question and its possible answers."""

    changed = Signal()

    def __init__(self, item: QuestionItem, room: _Room, parent: QWidget) -> None:
        super().__init__(caption(item.header), parent)
        column = QVBoxLayout(self)
        question = shortened(item.question, room.characters, room.lines)
        column.addWidget(_Said(printable_block(question), self))
        self._several = item.multiple
        options = item.options[: room.options]
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
            column.addWidget(wrapped_label(more.format(len(item.options) - len(options)), self))
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


def _title(text: str, parent: QWidget) -> QLabel:
    label = wrapped_label(text, parent)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label

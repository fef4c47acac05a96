"""What a form for the user's answer has, whatever is asked."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.activity.events import Asked
from opencode_sync.desktop.plain import wrapped_label

__all__ = ["GUARD_MS", "Form", "Stage"]

GUARD_MS: Final = 500
"""For which buttons that have just come do nothing: a click may be meant for what was there."""


class Stage(Enum):
    """What can be done with a form."""

    OPEN = auto()
    """It can be answered."""

    SENT = auto()
    """Nothing, until the answer has got through, or has not."""

    OVER = auto()
    """Nobody waits for the answer any more; what was written for it is still there."""


class Form(QFrame):
    """One question, and what the user has chosen and written so far."""

    answering = Signal()
    """An answer is about to be given, and all of this to be disabled."""

    moved = Signal(str)
    """The user wants to have this text, to which nobody listens here any more, in the message."""

    discarded = Signal()
    """The user wants to have done with what nobody listens to any more."""

    def __init__(self, asked: Asked, parent: QWidget | None) -> None:
        """Make one that shows nothing yet.

        Args:
            asked: The question.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.hide()  # or Qt takes it for shown in a parent that is hidden
        self.asked: Final = asked
        """The question."""
        self.session_id = ""
        """Of the conversation in which it is shown."""
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.stage = Stage.OPEN
        """What can be done with it; see ``set_stage``."""
        self.fields: list[QLineEdit] = []
        """Where the user may write."""
        self.column = QVBoxLayout(self)
        self.buttons = QWidget(self)
        """Those by which it is answered, in a row."""
        row = QHBoxLayout(self.buttons)
        row.setContentsMargins(0, 0, 0, 0)
        self.over = self._make_over()
        self._sent = ""  # what was written, when it was answered last
        self._guard = QTimer(self)
        self._guard.setSingleShot(True)
        self._guard.timeout.connect(self._end_guard)

    def _make_over(self) -> QWidget:
        over = QWidget(self)
        column = QVBoxLayout(over)
        column.setContentsMargins(0, 0, 0, 0)
        self._why_over = wrapped_label("", over)
        column.addWidget(self._why_over)
        self.move_button = QPushButton(self.tr("Put into the &message"), over)
        self.move_button.clicked.connect(lambda: self.moved.emit(self.text))
        self.discard_button = QPushButton(self.tr("&Discard"), over)
        self.discard_button.clicked.connect(self.discarded)
        row = QHBoxLayout()
        for each in (self.move_button, self.discard_button):
            each.setAutoDefault(False)
            row.addWidget(each)
        row.addStretch(1)
        column.addLayout(row)
        over.hide()
        return over

    def add_buttons(self, *buttons: QPushButton) -> None:
        """Take those by which it is answered."""
        row = self.buttons.layout()
        assert isinstance(row, QHBoxLayout)
        for each in buttons:
            each.setAutoDefault(False)
            row.addWidget(each)
        row.addStretch(1)

    @property
    def stops(self) -> list[QWidget]:
        """What the tab key leads to while it can be answered, from its top."""
        places = (self.column.itemAt(place) for place in range(self.column.count()))
        rows = (None if each is None else each.widget() for each in places)
        shown = [each for each in rows if each is not None and each is not self.over]
        inside = [each for row in shown for each in (row, *row.findChildren(QWidget))]
        return [each for each in inside if each.focusPolicy() & Qt.FocusPolicy.TabFocus]

    # --- What the user has done ---

    @property
    def text(self) -> str:
        """What was written, a line for each field that has something."""
        return "\n".join(each.text() for each in self.fields if each.text().strip())

    @property
    def is_touched(self) -> bool:
        """Whether something was written, or chosen."""
        return bool(self.text)

    # --- What can be done with it ---

    @property
    def takes_answer(self) -> bool:
        """Whether it can be answered now."""
        return self.stage is Stage.OPEN and not self._guard.isActive()

    def set_stage(self, stage: Stage) -> None:
        """Have it be so from now on. Where one can write, the keyboard stays."""
        if stage is self.stage:
            return
        is_swapped = Stage.OVER in (stage, self.stage)
        self.stage = stage
        if stage is Stage.SENT:
            self._sent = self.text
        self.setEnabled(stage is not Stage.SENT)
        if is_swapped:  # other buttons in the same place
            self._keep_keyboard()
            self.guard()
        self.buttons.setVisible(stage is not Stage.OVER)
        self.over.setVisible(stage is Stage.OVER)

    def end(self, *, unclear: bool) -> None:
        """Have it be over, and say what is known of the answer.

        Args:
            unclear: Whether nobody knows what became of the answer that was given last.
        """
        said = self.tr("Nobody waits for this answer any more. What you wrote was not sent.")
        if unclear and self.text == self._sent:
            said = self.tr("It is not known whether this answer arrived. It cannot be sent again.")
        self._why_over.setText(said)
        self.set_stage(Stage.OVER)

    def bring(self) -> None:
        """Show it, and guard it where something else was."""
        if self.isHidden():
            self.show()
            self.guard()

    def guard(self) -> None:
        """Have the buttons do nothing for a moment: they have just come to where they are."""
        self.buttons.setEnabled(False)
        self.over.setEnabled(False)
        self._guard.start(GUARD_MS)

    def _end_guard(self) -> None:
        self.buttons.setEnabled(True)
        self.over.setEnabled(True)

    def _keep_keyboard(self) -> None:
        """Have it where one can write, if it is here: no key does any harm there."""
        at = self.window().focusWidget()
        if at is not None and self.isAncestorOf(at) and at not in self.fields:
            written = (each for each in self.fields if each.text().strip())
            next(written, self.fields[0]).setFocus()

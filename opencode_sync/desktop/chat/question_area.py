"""Where the questions of runs stand, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from opencode_sync.desktop.activity.events import Asked
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.run_events import PermissionAsked, QuestionAsked

__all__ = ["QuestionArea"]


class QuestionArea(QWidget):
    """Shows one question at a time. Hidden while there is none.

    Nothing here takes the keyboard: what is being typed must not become an answer. See
    ``focus_stops`` for whoever knows that nothing is.
    """

    answered = Signal()
    """The user has answered; what was used for it is about to be disabled."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one without a question."""
        super().__init__(parent)
        self._asked: Asked | None = None
        self.form: PermissionForm | QuestionForm | None = None
        """What the user answers by; None while nothing is asked."""
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    @property
    def focus_stops(self) -> list[QWidget]:
        """What the tab key leads to, in its order; the first answers nothing by itself."""
        inside = [] if self.form is None else self.form.findChildren(QWidget)
        return [each for each in inside if each.focusPolicy() & Qt.FocusPolicy.TabFocus]

    def show_questions(self, questions: Questions | None) -> None:
        """Show the oldest of these as it is now."""
        asked = questions.items[0] if questions is not None and questions.items else None
        if asked is self._asked and self.form is not None:
            self.form.setEnabled(True)  # the answer to it did not get through
            return
        if self.form is not None:
            self._column.removeWidget(self.form)
            self.form.hide()
            self.form.deleteLater()
            self.form = None
        self._asked = asked
        if asked is not None and questions is not None:
            self.form = self._form(questions, asked)
            self._column.addWidget(self.form)
        self.setVisible(asked is not None)

    def _form(self, questions: Questions, asked: Asked) -> PermissionForm | QuestionForm:
        if isinstance(asked, PermissionAsked):
            return self._permission_form(questions, asked)
        return self._question_form(questions, asked)

    def _permission_form(self, questions: Questions, asked: PermissionAsked) -> PermissionForm:
        def reply(word: Literal["once", "always", "reject"], message: str) -> None:
            questions.reply_permission(asked, word, message or None)
            self.answered.emit()

        form = PermissionForm(asked, self)
        form.replied.connect(reply)
        return form

    def _question_form(self, questions: Questions, asked: QuestionAsked) -> QuestionForm:
        def reply(answers: Sequence[Sequence[str]] | None) -> None:
            questions.reply_question(asked, answers)
            self.answered.emit()

        form = QuestionForm(asked, self)
        form.replied.connect(reply)
        return form

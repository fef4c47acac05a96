"""Where the questions of runs stand, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from opencode_sync.desktop.activity.answers import Answers
from opencode_sync.desktop.activity.events import Asked
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.form import Stage
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.run_events import PermissionAsked, QuestionAsked

__all__ = ["QuestionArea"]


class QuestionArea(QWidget):
    """Shows one question at a time. Hidden while there is none.

    Nothing here takes the keyboard: what is being typed must not become an answer. See
    ``focus_stops`` for whoever knows that nothing is.

    A form in which the user has begun waits, also while another session is shown, or its question
    is not known to be open. What was written in it stays to be seen until the user has done with
    it. No form can be answered in the moment in which it comes: who clicks then may mean what was
    there before, be it another form or the history.
    """

    answered = Signal()
    """The user has answered; what was used for it is about to be disabled."""

    going = Signal(bool)
    """The keyboard is with what is about to go, and whether that is a field for text."""

    unsent = Signal(str)
    """The user wants to have this in the message: nobody waits for it as an answer any more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one without a question."""
        super().__init__(parent)
        self._questions: Questions | None = None
        self._answers: Answers | None = None  # to whatever was shown here
        self._forms: dict[str, PermissionForm | QuestionForm] = {}  # by their questions' ids
        self.form: PermissionForm | QuestionForm | None = None
        """What the user answers by; None while nothing is asked."""
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    @property
    def focus_stops(self) -> list[QWidget]:
        """What the tab key leads to, in its order; the first answers nothing by itself."""
        return [] if self.form is None else self.form.stops

    def show_questions(self, questions: Questions | None) -> None:
        """Show the oldest of these as it is now, or the one that the user has begun to answer."""
        self._questions = questions
        if questions is not None:
            self._answers = questions.answers
        self.form = form = self._wanted()
        if form is not None:
            form.set_stage(Stage.SENT if self._is_on_its_way(form) else Stage.OPEN)
            form.bring()
        for each in list(self._forms.values()):
            if each is not form:
                self._put_away(each)
        self._show_if_needed()

    def _show_if_needed(self) -> None:
        self.setVisible(any(not each.isHidden() for each in self._forms.values()))

    @property
    def _session_id(self) -> str | None:
        return None if self._questions is None else self._questions.session_id

    def _wanted(self) -> PermissionForm | QuestionForm | None:
        if self._questions is None or not self._questions.items:
            return None
        items = self._questions.items
        asked = next((each for each in items if each.id in self._forms), items[0])
        form = self._forms.get(asked.id)
        if form is None:
            form = self._forms[asked.id] = self._form(asked)
            self._column.addWidget(form)
        form.session_id = self._questions.session_id
        return form

    def _put_away(self, form: PermissionForm | QuestionForm) -> None:
        """Take one away that is not answered now, but for what the user would miss."""
        is_here = form.session_id == self._session_id
        is_sent = self._is_on_its_way(form)
        if is_here and form.text and not is_sent and not self._has_got_through(form):
            form.end(unclear=self._may_have_got_through(form))
            form.bring()
            return
        at = self.window().focusWidget()
        if at is not None and form.isAncestorOf(at):
            self.going.emit(isinstance(at, QLineEdit))
        form.hide()
        if not is_sent and (not form.is_touched or self._has_got_through(form)):
            self._drop(form)

    def forget(self, session_id: str) -> str:
        """Drop the forms of a session that is not shown and does not exist any more.

        Returns:
            What was written in them; see ``unsent_texts``.
        """
        text = self.unsent_texts().get(session_id, "")
        for each in [each for each in self._forms.values() if each.session_id == session_id]:
            self._drop(each)
        return text

    def unsent_texts(self) -> dict[str, str]:
        """Return what was written and is not known to have got through, by ids of sessions.

        Also what is on its way: whoever does not wait for the end of it keeps it rather twice than
        loses it.
        """
        texts: dict[str, str] = {}
        for each in self._forms.values():
            if each.text and not self._has_got_through(each):
                before = texts.get(each.session_id)
                texts[each.session_id] = f"{before}\n\n{each.text}" if before else each.text
        return texts

    def _drop(self, form: PermissionForm | QuestionForm) -> None:
        form.hide()
        del self._forms[form.asked.id]
        self._column.removeWidget(form)
        form.deleteLater()

    def _is_on_its_way(self, form: PermissionForm | QuestionForm) -> bool:
        return self._answers is not None and self._answers.is_on_its_way(form.asked.id)

    def _has_got_through(self, form: PermissionForm | QuestionForm) -> bool:
        return self._answers is not None and self._answers.has_got_through(form.asked.id)

    def _may_have_got_through(self, form: PermissionForm | QuestionForm) -> bool:
        return self._answers is not None and self._answers.may_have_got_through(form.asked.id)

    # --- Forms ---

    def _form(self, asked: Asked) -> PermissionForm | QuestionForm:
        form: PermissionForm | QuestionForm
        if isinstance(asked, PermissionAsked):
            form = self._permission_form(asked)
        else:
            form = self._question_form(asked)
        form.answering.connect(self.answered)
        form.moved.connect(lambda text: self._end(form, text))
        form.discarded.connect(lambda: self._end(form, ""))
        return form

    def _permission_form(self, asked: PermissionAsked) -> PermissionForm:
        def reply(word: Literal["once", "always", "reject"], message: str) -> None:
            if self._questions is not None:
                self._questions.reply_permission(asked, word, message or None)

        form = PermissionForm(asked, self)
        form.replied.connect(reply)
        return form

    def _question_form(self, asked: QuestionAsked) -> QuestionForm:
        def reply(answers: Sequence[Sequence[str]] | None) -> None:
            if self._questions is not None:
                self._questions.reply_question(asked, answers)

        form = QuestionForm(asked, self)
        form.replied.connect(reply)
        return form

    def _end(self, form: PermissionForm | QuestionForm, text: str) -> None:
        """Have done with what was written for an answer to which nobody listens."""
        self.answered.emit()  # the keyboard goes where it goes after an answer
        if self.form is not None:
            self.form.guard()  # it may move to where this was
        self._drop(form)
        self._show_if_needed()
        if text:
            self.unsent.emit(text)

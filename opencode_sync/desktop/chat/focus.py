"""Where the keyboard is: in the message box, or with what the model asks."""

from __future__ import annotations

import itertools

import shiboken6
from PySide6.QtWidgets import QApplication, QWidget

from opencode_sync.desktop.chat.choices import Choices
from opencode_sync.desktop.chat.composer import Composer
from opencode_sync.desktop.chat.question_area import QuestionArea

__all__ = ["Focus"]


class Focus:
    """Moves the keyboard where the user expects it, and nowhere else. For the Qt thread."""

    def __init__(
        self, history: QWidget, composer: Composer, questions: QuestionArea, choices: Choices
    ) -> None:
        """Look after these.

        Args:
            history: Takes no text, and no key in it does anything but scroll.
            composer: The first of those that follow each other by the tab key.
            questions: The next.
            choices: The last.
        """
        self._history = history
        self._composer = composer
        self._questions = questions
        self._choices = choices
        self._form: QWidget | None = None
        self._taken_from: QWidget | None = None  # until it is known whether there is a model
        questions.answered.connect(composer.setFocus)
        questions.going.connect(self._leave)

    def take(self) -> None:
        """Have the keyboard in the message box, at once: whoever has chosen a session types."""
        self._taken_from = None if self._choices.usable else QApplication.focusWidget()
        self._composer.setFocus()

    def give_back(self) -> None:
        """Have it where it was, unless the user has gone on: there is no model to write to."""
        taken_from, self._taken_from = self._taken_from, None
        if taken_from is not None and self._composer.hasFocus() and shiboken6.isValid(taken_from):
            taken_from.setFocus()

    def question_changed(self, *, of_ours: bool) -> None:
        """Have what is asked come next, or now if a run of ours asks and nothing is being written.

        Args:
            of_ours: Whether a run of ours asks. Who looks on at others' has not asked for it.
        """
        if self._questions.form is self._form:
            return
        self._form = self._questions.form
        stops = self._questions.focus_stops
        for one, following in itertools.pairwise([self._composer, *stops, self._choices.models]):
            QWidget.setTabOrder(one, following)
        # What is being typed must not become an answer, nor what is done elsewhere in the window.
        if of_ours and stops and self._composer.hasFocus() and not self._composer.text:
            stops[0].setFocus()

    def _leave(self, is_writing: bool) -> None:
        """Leave a form that goes by itself. What is being typed must not be sent as a prompt."""
        stops = self._questions.focus_stops
        if is_writing:
            self._history.setFocus()
        elif stops:
            stops[0].setFocus()
        elif self._composer.isEnabled() and not self._composer.text:
            self._composer.setFocus()
        else:
            self._history.setFocus()

"""What runs wait for in a session, and the way of the user's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.activity.events import Asked, answered_question
from opencode_sync.desktop.service import Service
from opencode_sync.messages import ToolCall
from opencode_sync.run_events import OtherEvent, PermissionAsked, QuestionAsked

__all__ = ["Questions"]

_GOES_ON: Final = frozenset({"pending", "running"})
_ASKS: Final = "question"
"""The tool by which the model asks."""
_TASK: Final = "task"
"""The tool by which it has another agent work."""


class Questions(QObject):
    """The open questions of one conversation, the oldest first. For the Qt thread.

    Our own run tells of its questions, and the backend's events of everybody's, one a little after
    the other.
    """

    changed = Signal()
    """Which there are, or what became of an answer to one."""

    def __init__(self, service: Service, session_id: str, parent: QObject | None = None) -> None:
        """Begin with none.

        Args:
            service: Has the answers, and knows what is over.
            session_id: Of the conversation.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._activity = service.activity
        self.answers: Final = service.activity.answers
        """Those that are on their way, or were taken."""
        self.session_id: Final = session_id
        """Of the conversation."""
        self._own: dict[str, Asked] = {}
        self._told: Sequence[Asked] = ()
        self.items: list[Asked] = []
        self.answers.changed.connect(self._on_answers)

    def add(self, asked: Asked) -> None:
        """Take a question of our run's; what was read again after a loss of events may come again.

        It is open, then, also if it was thought to be answered.
        """
        self._activity.reopen_question(asked.id)
        self._own.setdefault(asked.id, asked)
        self._update()

    def look(self, other: OtherEvent) -> None:
        """Forget a question that somebody else has answered, if the event says so."""
        answered = answered_question(other.event)
        if answered is not None:
            self._close(answered)

    def show_told(self, told: Sequence[Asked]) -> None:
        """Have these as well: all that events say to be open, whoever runs what asks."""
        self._told = told
        self._update()

    @property
    def are_ours(self) -> bool:
        """Whether a run of ours asks one of them."""
        return bool(self._own)

    def is_ours(self, asked: Asked) -> bool:
        """Return whether a run of ours asks this one."""
        return asked.id in self._own

    def waits(self, session_id: str) -> Callable[[ToolCall], bool]:
        """Return what tells of a session's tool calls whether they wait for an answer to these."""
        ids = {each.tool_call_id for each in self.items if isinstance(each, PermissionAsked)}
        names = {_ASKS for each in self.items if isinstance(each, QuestionAsked)}
        # Of a session below it the whole task waits.
        names |= {_TASK for each in self.items if each.session_id != session_id}
        asking, named = frozenset(ids - {""}), frozenset(names)

        def waits(call: ToolCall) -> bool:
            goes_on = call.status in _GOES_ON
            return goes_on and (call.call_id in asking or call.name in named)

        return waits

    def clear(self, *, unclear: bool = False) -> None:
        """Forget those of our run's: it is over, and nobody waits for their answers any more.

        Args:
            unclear: Whether nobody knows what became of the run. Then it may still wait, and who
                tells so is right.
        """
        own, self._own = self._own, {}
        if not unclear:
            for question_id in own:
                self._activity.close_question(question_id)
        self._update()

    def _close(self, question_id: str) -> None:
        self._activity.close_question(question_id)
        self._update()

    def _on_answers(self) -> None:
        self._update()
        self.changed.emit()

    def _update(self) -> None:
        is_over = self._activity.is_over
        self._own = {key: each for key, each in self._own.items() if not is_over(key)}
        open_now = {each.id: each for each in self._told if not is_over(each.id)} | self._own
        # In their place, so that nothing changes under the hand of somebody who is answering.
        items = [each for each in self.items if open_now.pop(each.id, None) is not None]
        items += open_now.values()
        if items != self.items:
            self.items = items
            self.changed.emit()

    # --- Answers ---

    def reply_permission(
        self,
        asked: PermissionAsked,
        reply: Literal["once", "always", "reject"],
        message: str | None = None,
    ) -> None:
        """Answer a permission question; the run goes on, or ends, by its own events."""
        self.answers.give(
            asked,
            lambda futures: futures.reply_permission(
                asked.id, reply, message=message, directory=asked.directory or None
            ),
        )

    def reply_question(self, asked: QuestionAsked, answers: Sequence[Sequence[str]] | None) -> None:
        """Answer what the model asks; None dismisses it."""
        self.answers.give(
            asked,
            lambda futures: futures.reply_question(
                asked.id, answers, directory=asked.directory or None
            ),
        )

    def close(self) -> None:
        """Hear of nothing any more. Answers go on their way all the same."""
        self.answers.changed.disconnect(self._on_answers)

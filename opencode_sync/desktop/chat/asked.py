"""What runs wait for in a session, and the way of the user's answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Literal

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.activity.events import Asked, answered_question
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.errors import IpcServerError
from opencode_sync.futures import IpcFutures
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
    """Which there are, or that one can be answered again."""

    failed = Signal(object)
    """The exception that an answer has ended with."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        """Begin with none."""
        super().__init__(parent)
        self._service = service
        self._calls: dict[str, Delivery] = {}
        self._own: list[Asked] = []
        self._told: Sequence[Asked] = ()
        self._over: set[str] = set()
        self.items: list[Asked] = []

    def add(self, asked: Asked) -> None:
        """Take a question of our run's; what was read again after a loss of events may come again.

        It is open, then, also if it was thought to be answered.
        """
        self._over.discard(asked.id)
        if not any(each.id == asked.id for each in self._own):
            self._own.append(asked)
        self._update()

    def look(self, other: OtherEvent) -> None:
        """Forget a question that somebody else has answered, if the event says so."""
        answered = answered_question(other.event)
        if answered is not None:
            self._forget(answered)

    def show_told(self, told: Sequence[Asked]) -> None:
        """Have these as well: all that events say to be open, whoever runs what asks."""
        self._told = told
        self._update()

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

    def clear(self) -> None:
        """Forget all of them: nobody waits for an answer any more."""
        self._over.update(each.id for each in self.items)
        self._update()

    def _forget(self, question_id: str) -> None:
        self._over.add(question_id)
        self._update()

    def _update(self) -> None:
        self._own = [each for each in self._own if each.id not in self._over]
        open_now = {each.id: each for each in (*self._own, *self._told)}
        # In their place, so that nothing changes under the hand of somebody who is answering.
        items = [each for each in self.items if open_now.pop(each.id, None) is not None]
        items = [each for each in (*items, *open_now.values()) if each.id not in self._over]
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
        self._reply(
            asked,
            lambda futures: futures.reply_permission(
                asked.id, reply, message=message, directory=asked.directory or None
            ),
        )

    def reply_question(self, asked: QuestionAsked, answers: Sequence[Sequence[str]] | None) -> None:
        """Answer what the model asks; None dismisses it."""
        self._reply(
            asked,
            lambda futures: futures.reply_question(
                asked.id, answers, directory=asked.directory or None
            ),
        )

    def _reply(self, asked: Asked, begin: Callable[[IpcFutures], Future[None]]) -> None:
        self._calls[asked.id] = self._service.call(
            begin,
            lambda _: self._replied(asked),
            functools.partial(self._reply_failed, asked),
        )

    def _replied(self, asked: Asked) -> None:
        self._calls.pop(asked.id, None)
        self._settled(asked)

    def _reply_failed(self, asked: Asked, error: BaseException) -> None:
        self._calls.pop(asked.id, None)
        if isinstance(error, IpcServerError):
            self._settled(asked)  # it came too late
        else:
            self.changed.emit()
        self.failed.emit(error)

    def _settled(self, asked: Asked) -> None:
        self._forget(asked.id)
        self._service.activity.answered(asked.id)

    def close(self) -> None:
        """Hear of nothing any more."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

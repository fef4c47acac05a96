"""The user's answers to what runs ask, on their way to the backend."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.activity.events import Asked, is_refusal
from opencode_sync.desktop.arrival import cannot_have_arrived
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.futures import IpcFutures

if TYPE_CHECKING:
    from opencode_sync.desktop.service import Service

__all__ = ["Answers"]


class Answers(QObject):
    """One for each question, wherever that is shown meanwhile, or not at all. For the Qt thread."""

    changed = Signal()
    """What the methods return."""

    over = Signal(str)
    """The id of a question to which nobody waits for an answer any more: this one has got through,
    or it came too late."""

    failed = Signal(object)
    """The exception that an answer has ended with."""

    def __init__(self, service: Service, parent: QObject) -> None:
        """Have none.

        Args:
            service: Which brings them to the backend.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._service = service
        self._calls: dict[str, Delivery] = {}
        self._given: set[str] = set()
        self._unclear: set[str] = set()

    def is_on_its_way(self, question_id: str) -> bool:
        """Return whether an answer was given here, of which nobody knows what came of it."""
        return question_id in self._calls

    def has_got_through(self, question_id: str) -> bool:
        """Return whether an answer was given here and taken."""
        return question_id in self._given

    def may_have_got_through(self, question_id: str) -> bool:
        """Return whether an answer was given here that nobody has confirmed, or refused."""
        return question_id in self._unclear

    def give(self, asked: Asked, begin: Callable[[IpcFutures], Future[None]]) -> None:
        """Answer a question; does nothing while an answer to it is on its way.

        Args:
            asked: The question.
            begin: Makes the call.
        """
        if asked.id not in self._calls:
            self._calls[asked.id] = self._service.call(
                begin, lambda _: self._through(asked.id), partial(self._refused, asked.id)
            )
            self.changed.emit()

    def _through(self, question_id: str) -> None:
        self._calls.pop(question_id, None)
        self._given.add(question_id)
        self._unclear.discard(question_id)
        self.over.emit(question_id)
        self.changed.emit()

    def _refused(self, question_id: str, error: BaseException) -> None:
        self._calls.pop(question_id, None)
        if not cannot_have_arrived(error):
            self._unclear.add(question_id)
        if is_refusal(error):
            self.over.emit(question_id)
        self.changed.emit()
        self.failed.emit(error)

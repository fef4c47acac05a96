"""The window's one stream of the backend's events, and what becomes known by it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.activity.answers import Answers
from opencode_sync.desktop.activity.book import ActivityBook
from opencode_sync.desktop.activity.events import (
    EVENT_TYPES,
    Answered,
    Asked,
    Gap,
    Reading,
    SessionChanged,
    SessionDeleted,
    Told,
    Worked,
)
from opencode_sync.desktop.activity.lookups import Lookups
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.errors import IpcUnsupportedOperationError
from opencode_sync.logger import logger

if TYPE_CHECKING:
    from opencode_sync.desktop.service import Service

__all__ = ["ActivityFeed"]

_SETTLE_MS: Final = 700
"""The end of a run of ours may reach us so long before what OpenCode told in it."""

_ANEW_MS: Final = 2_000
"""From a loss of events to the stream that begins with what is so now; a flood brings many."""

_TOLD_MS: Final = 100
"""In which such a stream has told it: until then nothing that is shown has to go."""

_DOUBT_MS: Final = 3_000
"""In which it has told all questions, which have to be read: those not among them are over."""


class ActivityFeed(QObject):
    """Tells what goes on in the backend's sessions, whoever began it. For the Qt thread.

    ``Service`` has one and says when it begins and ends. A backend without events is no error: of
    its sessions only this window's own runs are known.
    """

    changed = Signal()
    """What the methods return, for any session."""

    worked = Signal(str, bool)
    """A session's id, and whether it is at work now. Also told when it was known, and of a session
    that is at work once all that was told of a run of ours in it must have come."""

    sessions_told = Signal(object)
    """A list of ``SessionChanged`` and ``SessionDeleted``, as they came."""

    missed = Signal()
    """Anything may have changed unseen."""

    listening = Signal()
    """From here on all is told: what was read before may be older than the first of it."""

    def __init__(self, service: Service) -> None:
        """Know nothing yet. Does no I/O.

        Args:
            service: Which this belongs to.
        """
        super().__init__(service)
        self._service = service
        self._book = ActivityBook()
        self._stream: Delivery | None = None
        self._streams = 0  # how many there have been
        self._is_cut = False  # the backend has ended the stream, and might have another
        self.answers: Final = Answers(service, self)
        """The user's, to what runs ask."""
        self.answers.over.connect(self.close_question)
        self._lookups = Lookups(service, self)
        self._lookups.found.connect(self._place)
        self._lookups.wanted.connect(self._look_up)
        self._doubt = QTimer(self)
        self._doubt.setSingleShot(True)
        self._doubt.setInterval(_DOUBT_MS)
        self._doubt.timeout.connect(self._end_doubt)
        self._anew = QTimer(self)
        self._anew.setSingleShot(True)
        self._anew.setInterval(_ANEW_MS)
        self._anew.timeout.connect(self._follow)

    # --- What is known ---

    @property
    def at_work(self) -> frozenset[str]:
        """The ids of the sessions at work."""
        return self._book.at_work

    @property
    def waiting(self) -> frozenset[str]:
        """The ids of those that wait for an answer."""
        return self._book.waiting

    def is_ours(self, session_id: str) -> bool:
        """Return whether a run of this window's goes on in a session."""
        return self._book.is_ours(session_id)

    def others_at_work(self, session_id: str) -> bool:
        """Return whether another program has a session at work, as far as anybody has said."""
        return self._book.others_at_work(session_id)

    def questions_of(self, session_id: str) -> tuple[Asked, ...]:
        """Return what waits for an answer in a session, its subagents' questions included."""
        return self._book.questions_of(session_id)

    def is_over(self, question_id: str) -> bool:
        """Return whether a question was answered here, or has ended with a run of ours."""
        return self._book.is_over(question_id)

    # --- What this window does itself, which a backend without events does not tell ---

    def run_began(self, session_id: str) -> None:
        """A run of this window's has begun."""
        self._book.begin_ours(session_id)
        self.changed.emit()

    def run_ended(self, session_id: str) -> None:
        """It has ended."""
        self._book.end_ours(session_id)
        QTimer.singleShot(_SETTLE_MS, self, partial(self._settle, session_id))
        self.changed.emit()

    def _settle(self, session_id: str) -> None:
        self._book.settle(session_id)
        if self._book.others_at_work(session_id):
            self.worked.emit(session_id, True)
        self.changed.emit()

    def close_question(self, question_id: str) -> None:
        """Nobody waits for the answer to a question any more, whatever is still told of it."""
        self._book.close_question(question_id)
        self._look_whether_all()
        self.changed.emit()

    def reopen_question(self, question_id: str) -> None:
        """A run of ours tells of a question, which is open then."""
        self._book.reopen_question(question_id)

    def watch(self, session_id: str) -> None:
        """Somebody looks at a session: its questions are kept, however many others ask."""
        self._book.watch(session_id)

    def unwatch(self, session_id: str) -> None:
        """Nobody does any more: once for each ``watch``."""
        self._book.unwatch(session_id)

    # --- The stream ---

    def begin(self) -> None:
        """Follow a connection that has just been made, and know nothing of any before."""
        self.end()
        self._follow()

    def end(self) -> None:
        """Hear of nothing any more, and know nothing. Does not wait."""
        self._is_cut = False
        self._anew.stop()
        self._doubt.stop()
        self._streams += 1
        if self._stream is not None:
            self._stream.cancel()
        self._stream = None
        self._lookups.cancel()
        self._book.forget_backend()
        self.changed.emit()

    def resume(self) -> None:
        """Listen again, soon, if the backend has ended the stream: it has just answered a call.

        Not sooner, for a gateway ends it with its OpenCode, which to ask for events would start
        again.
        """
        if self._is_cut and not self._anew.isActive():
            self._anew.start()

    def _follow(self) -> None:
        self._is_cut = False
        if self._stream is not None:
            self._stream.cancel()
        self._streams += 1
        number = self._streams
        client, dispatcher = self._service.client, self._service.dispatcher

        def opened() -> None:
            if number == self._streams:
                self._book.doubt_told()
                self._doubt.start()
                self.listening.emit()
                QTimer.singleShot(_TOLD_MS, self, self.changed.emit)

        def begin() -> closing[Reading]:
            reading = Reading(client.events(types=EVENT_TYPES, current=True))
            dispatcher.post(opened)  # before all that comes of it
            return closing(reading)

        try:
            self._stream = dispatcher.follow(begin, self._take, self._ended, missed=self._missed)
        except RuntimeError as error:  # no thread to spare: one can do without
            logger.warning("what other programs do in the sessions is not shown: {}", error)
            self._forget()

    def _take(self, batch: Sequence[Told]) -> None:
        sessions: list[SessionChanged | SessionDeleted] = []
        for told in batch:
            if isinstance(told, SessionChanged):
                self._book.place(told.session.id, told.session.parent_id)
                sessions.append(told)
            elif isinstance(told, SessionDeleted):
                self._book.remove(told.session_id)
                sessions.append(told)
            elif isinstance(told, Worked):
                self._book.work(told.session_id, told.busy)
                self.worked.emit(told.session_id, told.busy)
            elif isinstance(told, Answered):
                self._book.answer(told.question_id)
            elif isinstance(told, Gap):
                self._book.doubt_told()
                self._doubt.start()
                self.missed.emit()
            else:
                self._book.ask(told)
        if sessions:
            self.sessions_told.emit(sessions)
        self._look_whether_all()
        self.changed.emit()
        self._look_up()

    def _end_doubt(self) -> None:
        self._book.drop_doubtful()
        self._look_whether_all()
        self.changed.emit()

    def _look_whether_all(self) -> None:
        """Ask anew for questions of which there were too many, once there is room for them."""
        if self._book.lacks_questions and not self._anew.isActive():
            self._anew.start()

    def _missed(self, count: int) -> None:
        logger.debug("{} events about sessions are missing; what goes on is asked anew", count)
        self.missed.emit()
        if not self._anew.isActive():  # or a flood would put it off for ever
            self._anew.start()

    def _ended(self, error: BaseException | None) -> None:
        logger.debug("the events about sessions have ended: {}", error)
        self._is_cut = not isinstance(error, IpcUnsupportedOperationError)
        self._forget()

    def _forget(self) -> None:
        self._book.forget_told()
        self.changed.emit()

    # --- Whose question it is ---

    def _look_up(self) -> None:
        self._lookups.look_up(self._book.unplaced)

    def _place(self, session_id: str, parent_id: str) -> None:
        self._book.place(session_id, parent_id)
        self.changed.emit()

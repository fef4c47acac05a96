"""What other programs do in a session, and when to look what has come of it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.activity.events import Asked
from opencode_sync.desktop.chat.aborts import Aborts
from opencode_sync.desktop.service import Service

__all__ = ["Elsewhere"]

_PAUSE_MS: Final = 250
"""Until a question is shown: many are answered at once by the program that runs."""

_AGAIN_MS: Final = 3_000
"""Between two looks at what it has done so far."""

_LATER_MS: Final = (1_000, 4_000)
"""After its end, once more: what OpenCode writes of a run that was aborted comes after that."""


class Elsewhere(QObject):
    """Tells the runs of other programs in one session from our own. For the Qt thread."""

    changed = Signal()
    """``active``."""

    asked = Signal()
    """``questions``."""

    read_wanted = Signal()
    """There may be more in the session than there was."""

    stop_changed = Signal()
    """``stopping``, or ``stop_error``."""

    def __init__(
        self, service: Service, session_id: str, aborts: Aborts, parent: QObject | None = None
    ) -> None:
        """Begin with what is known of the session."""
        super().__init__(parent)
        self._activity = activity = service.activity
        self._session_id = session_id
        self.active = activity.others_at_work(session_id)
        """Whether another program is known to have it at work."""
        self.questions: tuple[Asked, ...] = activity.questions_of(session_id)
        """What was told to wait for an answer, whoever runs it; the oldest first."""
        activity.watch(session_id)
        self.stop_error: BaseException | None = None
        """Why it was not; None once that does not matter any more."""
        self._have_worked = self.active
        self._again = QTimer(self)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self.read_wanted)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._show_questions)
        if self.active:
            self._again.start()
        activity.worked.connect(self._worked)
        activity.changed.connect(self._look)
        activity.missed.connect(self.read_wanted)
        self._aborts = aborts
        aborts.begun.connect(self._stop_begun)
        aborts.ended.connect(self._stop_ended)

    def close(self) -> None:
        """Hear of nothing any more."""
        self._activity.unwatch(self._session_id)
        self._again.stop()
        self._pause.stop()
        self._activity.worked.disconnect(self._worked)
        self._activity.changed.disconnect(self._look)
        self._activity.missed.disconnect(self.read_wanted)
        self._aborts.begun.disconnect(self._stop_begun)
        self._aborts.ended.disconnect(self._stop_ended)

    def _worked(self, session_id: str, busy: bool) -> None:
        if session_id != self._session_id or self._activity.is_ours(session_id):
            return  # a run of ours tells itself all there is to know
        had_worked, self._have_worked = self._have_worked, busy
        if had_worked and not busy:
            self.read_wanted.emit()
            for later in _LATER_MS:
                QTimer.singleShot(later, self, self.read_wanted.emit)

    def _look(self) -> None:
        active = self._activity.others_at_work(self._session_id)
        if active != self.active:
            self.active, self.stop_error = active, None
            self.changed.emit()
            if active:
                self._again.start()
                self.read_wanted.emit()
            else:
                self._again.stop()
        open_ids = {each.id for each in self._activity.questions_of(self._session_id)}
        still = tuple(each for each in self.questions if each.id in open_ids)
        self._set_questions(still)
        if len(open_ids) > len(still) and not self._pause.isActive():
            self._pause.start()

    def _show_questions(self) -> None:
        self._set_questions(self._activity.questions_of(self._session_id))

    def _set_questions(self, questions: tuple[Asked, ...]) -> None:
        if questions != self.questions:
            self.questions = questions
            self.asked.emit()

    # --- Ending it ---

    @property
    def stopping(self) -> bool:
        """Whether it is being ended by us."""
        return self._aborts.under_way(self._session_id)

    def stop(self) -> None:
        """Abort what another program has running; does nothing where nothing is known of it."""
        if self.active:
            self._aborts.begin(self._session_id)

    def _stop_begun(self, session_id: str) -> None:
        if session_id == self._session_id:
            self.stop_error = None
            self.stop_changed.emit()

    def _stop_ended(self, session_id: str, error: BaseException | None) -> None:
        if session_id == self._session_id:
            self.stop_error = error if self.active else None
            self.stop_changed.emit()

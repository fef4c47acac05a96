"""The conversations of a pane: the one that is shown, and those in which a run goes on."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.chat.aborts import Aborts
from opencode_sync.desktop.chat.conversation import Conversation
from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.desktop.service import Service
from opencode_sync.types import OcSessionInfo

__all__ = ["Talks"]


class Talks(QObject):
    """Begins conversations, and ends those that nobody needs any more. For the Qt thread."""

    state_changed = Signal()
    """Of the shown one: any of its properties."""

    transcript_changed = Signal()
    """Of the shown one: any of its entries."""

    entry_changed = Signal(object)
    """Of the shown one: this ``Entry``."""

    questions_changed = Signal(object)
    """What is asked in this ``Conversation``."""

    prompt_returned = Signal(str, str)
    """The id of a session, and the text of a prompt in it that has reached nobody."""

    run_changed = Signal(str, bool)
    """The id of a session, and whether a run of ours goes on in it."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        """Begin without any."""
        super().__init__(parent)
        self._service = service
        self._aborts = Aborts(service, self)
        self.shown: Conversation | None = None
        self.running: dict[str, Conversation] = {}
        """By the ids of their sessions."""

    def show(self, session: OcSessionInfo | None) -> Conversation | None:
        """Have a session's conversation be the shown one; it may have gone on out of sight."""
        old, self.shown = self.shown, None
        if old is not None:
            self._leave(old)
        if session is not None:
            self.shown = self.running.get(session.id) or self._begin(session)
            self.shown.session = session
        return self.shown

    def _begin(self, session: OcSessionInfo) -> Conversation:
        talk = Conversation(self._service, session, self._aborts, self)
        talk.state_changed.connect(lambda: self._on_state(talk))
        talk.transcript_changed.connect(lambda: self._on_transcript(talk))
        talk.entry_changed.connect(lambda entry: self._on_entry(talk, entry))
        talk.questions.changed.connect(lambda: self.questions_changed.emit(talk))
        talk.prompt_returned.connect(lambda text: self.prompt_returned.emit(talk.session.id, text))
        return talk

    def _leave(self, talk: Conversation) -> None:
        if not talk.running:
            talk.close()
            talk.deleteLater()

    def update(self, session: OcSessionInfo) -> None:
        """Take a session as it is now, if it is known here."""
        talk = self.shown
        if talk is None or session.id != talk.session.id:
            talk = self.running.get(session.id)
        if talk is not None:
            talk.session = session
            self._on_state(talk)

    def end_run(self, session_id: str) -> None:
        """End what goes on in a session that is not shown, and drop it."""
        talk = self.running.get(session_id)
        if talk is not None:
            talk.close()
            self._on_state(talk)

    def close(self) -> None:
        """End all of them. Does not wait."""
        talks = {id(talk): talk for talk in self.running.values()}
        if self.shown is not None:
            talks[id(self.shown)] = self.shown
        for talk in talks.values():
            talk.close()
        self.running.clear()
        self._aborts.close()

    def _on_state(self, talk: Conversation) -> None:
        session_id = talk.session.id
        if talk.running != (session_id in self.running):
            if talk.running:
                self.running[session_id] = talk
            else:
                del self.running[session_id]
            self.run_changed.emit(session_id, talk.running)
        if talk is self.shown:
            self.state_changed.emit()
        else:
            self._leave(talk)

    def _on_transcript(self, talk: Conversation) -> None:
        if talk is self.shown:
            self.transcript_changed.emit()

    def _on_entry(self, talk: Conversation, entry: Entry) -> None:
        if talk is self.shown:
            self.entry_changed.emit(entry)

"""One session's conversation: what was said, the run that goes on, and what it asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.chat.aborts import Aborts
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.elsewhere import Elsewhere
from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.desktop.chat.failures import NoConnection, NoThread
from opencode_sync.desktop.chat.prompt_run import PromptRun
from opencode_sync.desktop.chat.reading import HistoryReading
from opencode_sync.desktop.chat.sent import SentPrompt
from opencode_sync.desktop.chat.transcript import Transcript
from opencode_sync.desktop.chat.usage import Usage
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.errors import IpcCancelledError, IpcConnectionError, IpcPromptError
from opencode_sync.prompts import PromptResult
from opencode_sync.run_events import (
    OtherEvent,
    PermissionAsked,
    QuestionAsked,
    RetryScheduled,
    RunEvent,
)
from opencode_sync.types import OcSessionInfo

__all__ = ["Conversation"]


class Conversation(QObject):
    """What there is to see of one session, whether or not it is shown. For the Qt thread.

    A run goes on while another conversation is shown.
    """

    entry_changed = Signal(object)
    """One ``Entry`` of the transcript, new or changed."""

    transcript_changed = Signal()
    """Any of them, and which there are."""

    state_changed = Signal()
    """Any of the properties."""

    prompt_returned = Signal(str)
    """The text of a prompt of which nobody knows that OpenCode has it."""

    def __init__(
        self,
        service: Service,
        session: OcSessionInfo,
        aborts: Aborts,
        parent: QObject | None = None,
    ) -> None:
        """Make a conversation that knows nothing yet; see ``load``."""
        super().__init__(parent)
        self._service = service
        self.session = session
        self.transcript: Final = Transcript(session.id)
        self.reading: Final = HistoryReading(service, session.id, self)
        self.reading.changed.connect(self.state_changed)
        self.reading.ended.connect(self._loaded)
        self.elsewhere: Final = Elsewhere(service, session.id, aborts, self)
        """What other programs do in the session."""
        self.elsewhere.changed.connect(self._on_elsewhere)
        self.elsewhere.stop_changed.connect(self.state_changed)
        self.elsewhere.read_wanted.connect(self.load_again)
        self.questions: Final = Questions(service, session.id, self)
        self.questions.changed.connect(self._mark_waiting)
        self.elsewhere.asked.connect(self._show_told_questions)
        self._show_told_questions()
        self.run_error: BaseException | None = None
        """Why the last run failed; None while one goes on, and where it did not."""
        self.retry: RetryScheduled | None = None
        self.missed = 0
        """How many events of the run are missing."""
        self.began = 0.0
        """When the last run did, by ``time.monotonic``; 0.0 before the first."""
        self._is_stale = False
        self._closed = False
        self._refresh: Delivery | None = None
        self._run: PromptRun | None = None
        self._prompt: SentPrompt | None = None
        self._unsure: list[SentPrompt] = []  # what the session's messages have to say of them
        self._ran: dict[int, Entry] = {}
        service.state_changed.connect(self._on_link)

    # --- The history ---

    def load(self) -> None:
        """Read the session's messages, unless a run tells of them as they come."""
        if not self.running and not self._closed:
            self.reading.begin()

    def load_again(self) -> None:
        """Read the messages as they are from now on, also if they are being read."""
        if not self.running and not self._closed:
            self.reading.begin_or_repeat()

    def load_earlier(self) -> None:
        """Read more of the session's messages."""
        if not self.running and not self._closed:
            self.reading.begin_earlier()

    def _loaded(self, entries: list[Entry]) -> None:
        self._is_stale = False
        if isinstance(self.run_error, NoConnection):
            self.run_error = None
        unsure, self._unsure = self._unsure, []
        self.transcript.load(entries)
        self._on_elsewhere()
        for prompt in unsure:
            if not prompt.is_among(entries):
                self.prompt_returned.emit(prompt.text)

    def _on_elsewhere(self) -> None:
        self.transcript.mark_left(at_work=self.elsewhere.active)
        self.transcript_changed.emit()
        self.state_changed.emit()

    def _show_told_questions(self) -> None:
        self.questions.show_told(self.elsewhere.questions)

    def refresh_session(self) -> None:
        """Ask what the session costs now."""
        if self._closed:
            return
        before = self.session

        def read(session: OcSessionInfo) -> None:
            # What was told since may be newer than this.
            if self.session is before or session.time.updated > self.session.time.updated:
                self._take_session(session)

        self._refresh = self._service.get_session(self.session.id, read, lambda error: None)

    def _take_session(self, session: OcSessionInfo) -> None:
        self.session = session
        self.state_changed.emit()

    # --- A run ---

    @property
    def running(self) -> bool:
        """Whether a prompt of this window's is being answered."""
        return self._run is not None

    @property
    def stopping(self) -> bool:
        """Whether a run is being ended, whoever has begun it."""
        if self._run is not None:
            return self._run.stopping
        return self.elsewhere.stopping

    @property
    def ready(self) -> bool:
        """Whether a prompt can be sent now: not before what it answers to is there.

        Nor while another program's run is being ended, or it might be ended as well.
        """
        is_read = self.reading.was_successful or not self.reading.active
        return is_read and not self.running and not self.stopping

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self.began

    def send(self, text: str, *, model: str | None, agent: str | None) -> bool:
        """Send a prompt, if ``ready``.

        Returns:
            False when nothing was sent; ``run_error`` says why, unless it has to wait.
        """
        if not self.ready:
            return False
        if not self._service.client.is_connected:
            # It would wait for a connection, and go out when nobody thinks of it any more.
            return self._refuse(NoConnection())
        try:
            self._run = PromptRun(
                self._service,
                self.session.id,
                text,
                model=model,
                agent=agent,
                took=self._take,
                missed=self._miss,
                ended=self._ended,
            )
        except RuntimeError:  # what follows of it needs a thread, and there is none
            return self._refuse(NoThread())
        if self.reading.give_up():  # what the run says is newer, and the rest can wait for its end
            self._is_stale = True
        self._service.activity.run_began(self.session.id)
        before = tuple(self.transcript.entries)
        self._prompt = SentPrompt(self.transcript.add_prompt(text), before)
        self._ran = {}
        self.run_error, self.retry, self.missed = None, None, 0
        self.began = self._run.began
        self.transcript_changed.emit()
        self.state_changed.emit()
        return True

    def _refuse(self, why: Exception) -> bool:
        self.run_error = why
        self.state_changed.emit()
        return False

    def stop(self) -> None:
        """Abort the run, whoever has begun it; what it has said stays.

        Does nothing where none is known. One of our own goes first: another program's, which waits
        until that has ended, is ended with it.
        """
        if self.stopping:
            return
        if self._run is None:
            self.elsewhere.stop()
        else:
            self._run.stop()
            self.questions.clear()
            self.state_changed.emit()

    def _on_link(self) -> None:
        # What was not sent by now would wait for the next connection, and for another backend's.
        if self._run is not None and not self._service.client.is_connected:
            self._run.cancel()

    def _miss(self, number: int) -> None:
        self.missed += number
        self.state_changed.emit()

    def _take(self, items: Sequence[RunEvent]) -> None:
        changed: dict[int, Entry] = {}
        retry = self.retry
        for item in items:
            if isinstance(item, RetryScheduled):
                self.retry = item
            elif isinstance(item, PermissionAsked | QuestionAsked):
                if not self.stopping:
                    self.questions.add(item)
            else:
                entry = self.transcript.apply(item)
                if entry is not None:
                    changed[entry.key] = entry
                    self.retry = None
                elif isinstance(item, OtherEvent):
                    self.questions.look(item)
                    self._look(item)
        self._ran |= changed
        for entry in changed.values():
            self.entry_changed.emit(entry)
        if changed or self.retry is not retry:
            self.state_changed.emit()

    def _mark_waiting(self) -> None:
        for entry in self.transcript.mark_waiting(self.questions.waits(self.session.id)):
            self.entry_changed.emit(entry)

    def _look(self, other: OtherEvent) -> None:
        """Take the session as it is now, if the event says so: OpenCode gives it a title."""
        event = other.event.event
        if event.WhichOneof("event") == "session_updated":
            session = event.session_updated.session
            if session.id == self.session.id and session.title != self.session.title:
                self._take_session(session)

    def _ended(self, result: PromptResult | None, error: BaseException | None) -> None:
        stopped = self.stopping
        self._run = self.retry = None
        self.questions.clear(unclear=error is not None and not isinstance(error, IpcPromptError))
        self._service.activity.run_ended(self.session.id)
        prompt, self._prompt = self._prompt, None
        # As events say it: the id that a result names the gateway has given to it itself.
        arrived = prompt is not None and prompt.arrived
        if isinstance(error, IpcPromptError):
            result = error.partial
        if result is not None:
            settled = self.transcript.settle(result.messages, result.user_message_id)
            self._ran |= {entry.key: entry for entry in settled}
        if error is not None:
            if not stopped:
                # Not by the user, so by ``_on_link``.
                unsent = isinstance(error, IpcCancelledError) and not error.request_sent
                self.run_error = NoConnection() if unsent else error
                if result is None:
                    self._mark_cut()
            if prompt is not None and not (arrived or (result is not None and result.messages)):
                self._look_for(prompt, error)
        self.transcript_changed.emit()
        self.state_changed.emit()
        # What became of a run that was aborted only OpenCode can tell.
        unclear = error is not None and not isinstance(error, IpcConnectionError)
        if (unclear and (self._ran or self._unsure)) or self._is_stale:
            self.load()
        self.refresh_session()

    def _mark_cut(self) -> None:
        """Remember that the rest of the answer was lost, for the history may have less of it."""
        answers = [each for each in self._ran.values() if each.role == "assistant"]
        for entry in answers[-1:]:
            entry.cut = not entry.complete

    def _look_for(self, prompt: SentPrompt, error: BaseException) -> None:
        """Return a prompt that OpenCode cannot have, or look for it where it has to be."""
        if prompt.cannot_have_arrived(error, was_answered=bool(self._ran)):
            self.transcript.remove(prompt.entry)
            self.prompt_returned.emit(prompt.text)
        else:
            self._unsure.append(prompt)

    @property
    def run_usage(self) -> Usage:
        """What the last run took, so far."""
        return Usage.of_entries(self._ran.values())

    @property
    def session_usage(self) -> Usage:
        """What the whole session took, as far as anybody knows."""
        seen = Usage.of_entries(self.transcript.entries)
        told = Usage.of_session(self.session)
        # What is told may be from before the run, and what was seen may not be all there is.
        newer = told is not None and told.tokens.total >= seen.tokens.total
        return told if told is not None and newer else seen

    # --- The end ---

    def close(self) -> None:
        """Abort the run, if there is one, and hear of nothing any more. Does not wait."""
        if self._closed:
            return
        self._closed = True
        if self._refresh is not None:
            self._refresh.cancel()
        self.reading.give_up()
        self.questions.close()
        self.elsewhere.close()
        if self._run is not None:
            self._run.close()
            self._run = None
            self._service.activity.run_ended(self.session.id)
        if self._prompt is not None and not self._prompt.arrived:
            self._unsure.append(self._prompt)
        for prompt in self._unsure:  # rather kept twice than lost
            self.prompt_returned.emit(prompt.text)

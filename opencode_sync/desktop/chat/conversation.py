"""One session's conversation: what was said, the run that goes on, and what it asks."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from opencode_sync.cancel import CancelToken
from opencode_sync.desktop.chat.activity import Activity
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.elsewhere import Elsewhere
from opencode_sync.desktop.chat.entry import Entry, entry_of
from opencode_sync.desktop.chat.failures import NoThread
from opencode_sync.desktop.chat.transcript import Transcript
from opencode_sync.desktop.chat.usage import Usage
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.errors import (
    IpcArgumentError,
    IpcCancelledError,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
)
from opencode_sync.prompts import PromptResult
from opencode_sync.run_events import (
    OtherEvent,
    PermissionAsked,
    QuestionAsked,
    RetryScheduled,
    RunEvent,
)
from opencode_sync.streams import PromptStream
from opencode_sync.types import OcMessage, OcSessionInfo

__all__ = ["Conversation"]

_RUN_SECONDS: Final = 24 * 3600.0
"""How long a run may take: somebody sits there, who can stop it, or may come back to a question."""

_FIRST_PAGE: Final = 200
"""Messages that are read at first."""

_NEXT_PAGE: Final = 5
"""How many times as many are read when somebody wants to see earlier ones."""


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
    """The text of a prompt that has reached nobody."""

    def __init__(
        self,
        service: Service,
        session: OcSessionInfo,
        activity: Activity,
        parent: QObject | None = None,
    ) -> None:
        """Make a conversation that knows nothing yet; see ``load``."""
        super().__init__(parent)
        self._service = service
        self.session = session
        self.transcript: Final = Transcript(session.id)
        self.questions: Final = Questions(service, self)
        self.questions.changed.connect(self._mark_waiting)
        self.elsewhere: Final = Elsewhere(activity, session.id, self)
        """What other programs do in the session."""
        self.elsewhere.changed.connect(self._on_elsewhere)
        self.elsewhere.read_wanted.connect(self.load_again)
        self.loading = False
        self.stopping = False
        self.has_earlier = False
        """Whether the session has messages that were not read."""
        self.load_error: BaseException | None = None
        self.run_error: BaseException | None = None
        """Why the last run failed; None while one goes on, and where it did not."""
        self.retry: RetryScheduled | None = None
        self.missed = 0
        """How many events of the run are missing."""
        self.began = 0.0
        """When the run did, by ``time.monotonic``; 0.0 before the first."""
        self._limit = _FIRST_PAGE
        self._was_read = self._is_stale = False
        self._loads_again = False
        self._closed = False
        self._calls: dict[
            str, Delivery
        ] = {}  # the newest of each kind; a newer one takes its place
        self._run: Delivery | None = None
        self._stop = CancelToken()
        self._prompt: Entry | None = None
        self._ran: dict[int, Entry] = {}

    # --- The history ---

    def load(self) -> None:
        """Read the session's messages, unless a run tells of them as they come."""
        if self.running or self.loading or self._closed:
            return
        self.loading = True
        limit = self._limit
        self._calls["load"] = self._service.list_messages(
            self.session.id,
            functools.partial(self._received, limit),
            self._load_failed,
            limit=limit,
        )
        self.state_changed.emit()

    def load_again(self) -> None:
        """Read the messages as they are from now on, also if they are being read."""
        self._loads_again = self.loading
        self.load()

    def load_earlier(self) -> None:
        """Read more of the session's messages."""
        if self.has_earlier and not self.running:
            self._limit *= _NEXT_PAGE
            self.load()

    def _received(self, limit: int, messages: Sequence[OcMessage]) -> None:
        self.has_earlier = len(messages) >= limit

        def read() -> list[Entry]:
            return [entry_of(message) for message in messages]

        self._calls["load"] = self._service.compute(read, self._loaded, self._load_failed)

    def _loaded(self, entries: list[Entry]) -> None:
        self.loading, self.load_error = False, None
        self._was_read, self._is_stale = True, False
        self.transcript.load(entries)
        self._on_elsewhere()
        if self._loads_again:
            self._loads_again = False
            self.load()

    def _load_failed(self, error: BaseException) -> None:
        self.loading, self.load_error = False, error
        self._loads_again = False
        self.state_changed.emit()

    def _on_elsewhere(self) -> None:
        self.transcript.mark_left(at_work=self.elsewhere.active)
        self.transcript_changed.emit()
        self.state_changed.emit()

    def refresh_session(self) -> None:
        """Ask what the session costs now."""
        if self._closed:
            return
        self._calls["session"] = self._service.get_session(
            self.session.id, self._session_read, lambda error: None
        )

    def _session_read(self, session: OcSessionInfo) -> None:
        self.session = session
        self.state_changed.emit()

    # --- A run ---

    @property
    def running(self) -> bool:
        """Whether a prompt of this window's is being answered."""
        return self._run is not None

    @property
    def ready(self) -> bool:
        """Whether a prompt can be sent now: not before what it answers to is there."""
        return not self.running and (self._was_read or not self.loading)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self.began

    def send(self, text: str, *, model: str | None, agent: str | None) -> None:
        """Send a prompt; does nothing unless ``ready``."""
        if not self.ready:
            return
        stop = CancelToken()
        client, session_id = self._service.client, self.session.id

        opened: list[PromptStream] = []

        def begin() -> PromptStream:
            stream = client.stream_prompt(
                session_id,
                text,
                model=model,
                agent=agent,
                on_permission="ask",
                on_question="ask",
                timeout=_RUN_SECONDS,
                cancel=stop,
            )
            opened.append(stream)
            return stream

        def ended(error: BaseException | None) -> None:
            self._ended(opened[0].result() if error is None else None, error)

        try:
            run = self._service.dispatcher.follow(begin, self._take, ended, missed=self._miss)
        except RuntimeError:  # what follows of it needs a thread, and there is none
            self.run_error = NoThread()
            self.state_changed.emit()
            self.prompt_returned.emit(text)
            return
        self._run = run
        if self.loading:  # again: what the run says is newer, and the rest can wait for its end
            self._calls["load"].cancel()
            self.loading, self._is_stale = False, True
            self._loads_again = False
        self.elsewhere.run_began()
        self._stop = stop
        self._prompt = self.transcript.add_prompt(text)
        self._ran = {}
        self.run_error, self.retry, self.missed = None, None, 0
        self.began, self.stopping = time.monotonic(), False
        self.transcript_changed.emit()
        self.state_changed.emit()

    def stop(self) -> None:
        """Abort the run, if there is one; what it has said stays."""
        if self.running and not self.stopping:
            self.stopping = True
            self._stop.cancel()
            self.questions.clear()
            self.state_changed.emit()

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
                self._session_read(session)

    def _ended(self, result: PromptResult | None, error: BaseException | None) -> None:
        self._run, stopped = None, self.stopping
        self.stopping, self.retry = False, None
        self.questions.clear()
        self.elsewhere.run_ended()
        if isinstance(error, IpcPromptError):
            result = error.partial
        if result is not None:
            settled = self.transcript.settle(result.messages, result.user_message_id)
            self._ran |= {entry.key: entry for entry in settled}
        if error is not None and not stopped:
            self.run_error = error
            self._give_back(error)
            if result is None:
                self._mark_cut()
        self._prompt = None
        self.transcript_changed.emit()
        self.state_changed.emit()
        # What became of a run that was aborted only OpenCode can tell.
        unclear = error is not None and not isinstance(error, IpcConnectionError) and self._ran
        if unclear or self._is_stale:
            self.load()
        self.refresh_session()

    def _mark_cut(self) -> None:
        """Remember that the rest of the answer was lost, for the history may have less of it."""
        answers = [each for each in self._ran.values() if each.role == "assistant"]
        for entry in answers[-1:]:
            entry.cut = not entry.complete

    def _give_back(self, error: BaseException) -> None:
        """Return a prompt that cannot have reached OpenCode to whoever wrote it."""
        unsent = isinstance(error, IpcArgumentError) or (
            isinstance(error, IpcConnectionError | IpcTimeoutError | IpcCancelledError)
            and not error.request_sent
        )
        prompt = self._prompt
        # An error of the gateway's is a refusal as long as nothing has come of the prompt.
        refused = isinstance(error, IpcServerError) and not self._ran
        if prompt is not None and not prompt.id and (unsent or refused):
            self.transcript.remove(prompt)
            self.prompt_returned.emit(prompt.text)

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
        self._closed = True
        self._stop.cancel()
        for call in [*self._calls.values(), *filter(None, [self._run])]:
            call.cancel()
        self._calls.clear()
        self.questions.close()
        self.elsewhere.forget()
        self._run = None
        self.loading = False

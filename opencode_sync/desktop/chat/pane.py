"""The pane itself: which session it shows, what the user does, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QTextCursor
from PySide6.QtWidgets import QApplication, QWidget

from opencode_sync.desktop.chat.closing import ClosingQuestion
from opencode_sync.desktop.chat.conversation import Conversation
from opencode_sync.desktop.chat.layout import PaneParts
from opencode_sync.desktop.chat.talks import Talks
from opencode_sync.desktop.chat.words import line
from opencode_sync.desktop.chat.written import NEW, Written
from opencode_sync.desktop.service import Service
from opencode_sync.errors import IpcUnsupportedOperationError
from opencode_sync.state import ConnectionState
from opencode_sync.types import OcSessionInfo

__all__ = ["ChatPane"]


class ChatPane(PaneParts):
    """The conversation of one session at a time, or of one that is being created.

    A run goes on while another session is shown, and until the pane is shut down; whoever comes
    back to its session finds it as it is then.
    """

    failed = Signal(object)
    """Why an answer to a question did not get through. All other errors the pane shows itself."""

    busy_changed = Signal(bool)
    """Whether a run goes on, in any session."""

    session_busy_changed = Signal(str, bool)
    """A session's id, and whether a run of this pane's goes on in it."""

    left = Signal()
    """The user wants the keyboard to be where it was before: with the list of sessions."""

    def __init__(
        self, service: Service, parent: QWidget | None = None, *, settings: QSettings | None = None
    ) -> None:
        """Make a pane that shows no session.

        Args:
            service: Connected or not.
            parent: The Qt parent.
            settings: Where the chosen model and agent and what was not sent yet are remembered;
                None for the application's.
        """
        settings = QSettings() if settings is None else settings
        super().__init__(service, settings, parent)
        self._service = service
        self._talks = Talks(service, self)
        self._written = Written(self.composer, settings)
        self._before: OcSessionInfo | None = None  # what was shown before a session to come
        self._sends_soon = False  # as soon as it can, unless something else is typed or shown
        self._closed = False
        self.closing = ClosingQuestion(self)
        self._connect()
        self._show(None)
        if service.state is ConnectionState.CONNECTED:
            self.choices.fill()

    def _connect(self) -> None:
        self.composer.submitted.connect(self.send)
        self.composer.textChanged.connect(self._on_text)
        self.send_button.clicked.connect(self.send)
        self.stop_button.clicked.connect(self.stop)
        self.run_bar.stop_button.clicked.connect(self.stop)
        self.history.earlier_wanted.connect(self._load_earlier)
        self.notice.retry_wanted.connect(self.reload)
        self.choices.changed.connect(self._show_state)
        self._service.connected.connect(self.reload)
        talks = self._talks
        talks.state_changed.connect(self._on_state)
        talks.transcript_changed.connect(self._show_transcript)
        talks.entry_changed.connect(self.history.update_entry)
        talks.questions_changed.connect(self._on_questions)
        talks.prompt_returned.connect(self._written.give_back)
        talks.run_changed.connect(self._on_run)
        self.questions.unsent.connect(self._take_unsent)
        self._service.activity.answers.failed.connect(self.failed)
        for key, act in ((Qt.Key.Key_Escape, self._escape), ("Ctrl+L", self.left.emit)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    # --- Which session ---

    @property
    def session_id(self) -> str | None:
        """The id of the session that is shown; None also while it is being created."""
        return None if self._talks.shown is None else self._talks.shown.session.id

    @property
    def running_sessions(self) -> tuple[str, ...]:
        """The ids of the sessions in which a run of this pane's goes on."""
        return tuple(self._talks.running)

    def show_session(self, session: OcSessionInfo | None) -> None:
        """Show the conversation of a session, or that none is chosen.

        The session that is shown already stays as it is, with its newer title. What was written
        since ``begin_new`` stays in the message box; without a session it waits for the next one.
        """
        if self._closed:
            return
        if session is not None and session.id == self.session_id:
            self._talks.update(session)
        elif session is not None and self._is_new:
            self._written.bring_to(session.id)
            self._show(session)
        else:
            self._leave_for(session)

    def begin_new(self) -> bool:
        """Show the empty conversation of a session that is being created, to be written to.

        It can be sent to once ``show_session`` has brought the session. The message box has what
        was written to one that came to nothing; see ``give_up_new``.

        Returns:
            False when nothing has changed: the backend has no model to write to.
        """
        if self._closed or self._no_model:
            return False
        if not self._is_new:
            shown = self._talks.shown
            self._before = None if shown is None else shown.session
            self._written.move_to(NEW)
            self._show(None)
        return True

    def give_up_new(self) -> None:
        """Show what was shown before ``begin_new``: there will be no session, or not here.

        What was written is kept for the next one. Does nothing unless a session is being created.
        """
        if self._is_new and not self._closed:
            self._leave_for(self._before)

    def adopt_new(self, session_id: str) -> None:
        """Have what was written before ``give_up_new`` wait in a session that has come after all.

        Args:
            session_id: Of which the draft is left alone if there is one.
        """
        self._written.adopt(session_id)

    @property
    def _is_new(self) -> bool:
        """Whether a session is shown that is being created."""
        return self._written.session_id == NEW

    def _leave_for(self, session: OcSessionInfo | None) -> None:
        self._sends_soon = False
        self._written.move_to(None if session is None else session.id)
        self._show(session)

    def _show(self, session: OcSessionInfo | None) -> None:
        """Show a session's conversation, one to come, or none."""
        if not self._is_new:
            self._before = None
        talk = self._talks.show(session)
        self.show_page(self._is_new or talk is not None)
        self.show_placeholder()
        self.history.show_transcript(None if talk is None else talk.transcript)
        self._show_questions()
        self._show_state()
        if talk is not None:
            talk.load()

    def update_session(self, session: OcSessionInfo) -> None:
        """Take a session as it is now, such as with another title, if it is known here."""
        if self._before is not None and session.id == self._before.id:
            self._before = session
        self._talks.update(session)

    def forget_session(self, session_id: str) -> None:
        """End and drop whatever there is of a session that does not exist any more.

        What was written for it is in the message box of the next new one. Whoever was writing it
        is told so, and what they go on to type does nothing.
        """
        if self._before is not None and session_id == self._before.id:
            self._before = None
        is_shown = self.session_id == session_id
        had_keyboard = self.isAncestorOf(self.window().focusWidget() or self)
        if is_shown:
            self.show_session(None)
        self._talks.end_run(session_id)  # which may return its prompt
        unsent = self.questions.forget(session_id)
        if unsent:
            self._written.give_back(session_id, unsent)
        was_written = self._written.leave_behind(session_id)
        if is_shown:
            self.show_placeholder(self._gone(was_written=was_written))
            if had_keyboard:
                self.placeholder.setFocus()

    def _gone(self, *, was_written: bool) -> str:
        said = self.tr("This session was deleted.")
        if was_written:
            offer = self.tr("What you had written is in the next new session (Ctrl+N), not sent.")
            said = f"{said}\n{offer}"
        return said

    def reload(self) -> None:
        """Read the shown session's messages again, and what there is to choose."""
        if self._talks.shown is not None:
            self._talks.shown.load()
        self.choices.fill()

    def _load_earlier(self) -> None:
        if self._talks.shown is not None:
            self._talks.shown.load_earlier()

    # --- What the user does ---

    def send(self) -> None:
        """Send what is written, or as soon as there is a session whose messages are known.

        A run that goes on, or is being ended, is not waited for.
        """
        talk = self._talks.shown
        text = self.composer.text
        if self._no_model or not text.strip():
            return
        if talk is None or not talk.ready:
            reads = talk is not None and not talk.running and not talk.stopping
            self._sends_soon = self._is_new or reads
            self._show_state()
            return
        self._sends_soon = False
        if talk.send(text, model=self.models.value, agent=self.agents.value):
            self.composer.clear()
            self.history.show_end()

    def _send_now(self) -> None:
        if self._sends_soon:
            self._sends_soon = False
            self.send()

    def _on_text(self) -> None:
        if self._sends_soon:
            self._sends_soon = False
            self._show_state()
        else:  # with each key: no more than that
            self._show_buttons()

    def stop(self) -> None:
        """Abort the run in the shown session, whoever has begun it."""
        if self._talks.shown is not None:
            self._talks.shown.stop()

    def _escape(self) -> None:
        # Others' runs are ended by their button alone, which says so: this key also leads back.
        if self._talks.shown is not None and self._talks.shown.running:
            self.stop()
        else:
            self.left.emit()

    def take_focus(self) -> None:
        """Have the keyboard in the message box, unless there is no model to write to."""
        if self._written.session_id is not None and not self._no_model:
            self.focus.take()

    def may_close(self, close: Callable[[], object]) -> bool:
        """Return whether the window may close now.

        Args:
            close: Tries it again, once the user has agreed to end what is running.
        """
        running = self._talks.running.values()
        asking = any(talk.questions.are_ours for talk in running)
        return self.closing.may_close(close, running=bool(running), asking=asking)

    # --- What a conversation says ---

    def _on_state(self) -> None:
        talk = self._talks.shown
        if self._load_error is not None and talk is not None and not talk.reading.active:
            self._sends_soon = False  # who sees that may want something else
        elif self._sends_soon and talk is not None and talk.ready:
            QTimer.singleShot(0, self, self._send_now)  # not while others hear of the same
        self._show_state()

    def _on_run(self, session_id: str, goes_on: bool) -> None:
        self.session_busy_changed.emit(session_id, goes_on)
        if len(self._talks.running) == goes_on:  # the first has begun, or the last has ended
            self.busy_changed.emit(goes_on)

    def _on_questions(self, talk: Conversation) -> None:
        if talk is self._talks.shown:
            self._show_questions()
            self._show_state()
        if talk.questions.are_ours:
            QApplication.alert(self.window())

    # --- Showing it ---

    def _show_transcript(self) -> None:
        if self._talks.shown is not None:
            self.history.refresh(has_earlier=self._talks.shown.reading.has_earlier)

    def _show_state(self) -> None:
        talk = self._talks.shown
        if self._is_new:
            self.run_bar.show_creating(sends=self._sends_soon)
            self.title.setText(self.tr("New session"))
            self.usage.clear()
        else:
            self.run_bar.show_conversation(talk)
        self._show_buttons()
        if talk is not None:
            self.title.setText(line(talk.session.title) or self.tr("Untitled session"))
            said = [self.tr("Session: {0}").format(talk.session_usage.text())]
            if talk.began:
                said.insert(0, self.tr("Run: {0}").format(talk.run_usage.text()))
            self.usage.setText(" · ".join(said))
        self._show_notice()

    def _show_buttons(self) -> None:
        talk = self._talks.shown
        if self._no_model:
            self.focus.give_back()  # before Qt hands it to whatever is next
        self.composer.setEnabled(not self._no_model)
        running = talk is not None and talk.running
        self.send_button.setVisible(not running)
        self.send_button.setEnabled(
            talk is not None
            and talk.ready
            and not self._no_model
            and bool(self.composer.text.strip())
        )
        self.stop_button.setVisible(running)
        self.stop_button.setEnabled(talk is not None and not talk.stopping)

    def _show_questions(self) -> None:
        talk = self._talks.shown
        self.questions.show_questions(None if talk is None else talk.questions)
        self.fit()
        form = self.questions.form
        is_ours = form is not None and talk is not None and talk.questions.is_ours(form.asked)
        self.focus.question_changed(of_ours=is_ours)

    def _take_unsent(self, text: str) -> None:
        """Have in the message what was written for an answer to which nobody listens any more."""
        there = self.composer.text
        self.composer.setPlainText(f"{there}\n\n{text}" if there.strip() else text)
        self.composer.moveCursor(QTextCursor.MoveOperation.End)
        self.fit()

    @property
    def _no_model(self) -> bool:
        """Whether the backend keeps sessions and nothing else."""
        return self.choices.refused or isinstance(self._load_error, IpcUnsupportedOperationError)

    @property
    def _load_error(self) -> BaseException | None:
        return None if self._talks.shown is None else self._talks.shown.reading.error

    def _show_notice(self) -> None:
        if self._no_model:
            self.notice.show_no_backend()
        elif self._load_error is not None:
            self.notice.show_error(self._load_error)
        elif self.choices.empty:
            self.notice.show_no_model()
        else:
            self.notice.clear()

    # --- The end ---

    def shutdown(self) -> None:
        """Abort all runs, remember what was not sent, and hear of nothing any more.

        Does not wait. What is remembered reaches the disk with the settings. Idempotent.
        """
        if self._closed:
            return
        self._closed = True
        for session_id, text in self.questions.unsent_texts().items():
            self._written.give_back(session_id, text)
        self._talks.close()  # which may return prompts
        self._written.save()
        self.choices.close_calls()
        self.run_bar.show_conversation(None)
        self.setEnabled(False)

"""The pane itself: the history, what a run asks, and where the user writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QSettings, Qt, Signal
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from opencode_sync.desktop.chat.activity import Activity
from opencode_sync.desktop.chat.choices import Choices
from opencode_sync.desktop.chat.closing import ClosingQuestion
from opencode_sync.desktop.chat.composer import Composer
from opencode_sync.desktop.chat.conversation import Conversation
from opencode_sync.desktop.chat.drafts import Drafts
from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.desktop.chat.focus import Focus
from opencode_sync.desktop.chat.history_view import HistoryView
from opencode_sync.desktop.chat.notice import Notice
from opencode_sync.desktop.chat.question_area import QuestionArea
from opencode_sync.desktop.chat.run_bar import RunBar
from opencode_sync.desktop.chat.words import line
from opencode_sync.desktop.service import Service
from opencode_sync.errors import IpcUnsupportedOperationError
from opencode_sync.state import ConnectionState
from opencode_sync.types import OcSessionInfo

__all__ = ["ChatPane"]

_LOW: Final = 450
"""Below this height, in device-independent pixels, a question takes the place of the figures."""


class ChatPane(QWidget):
    """The conversation of one session at a time.

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
        super().__init__(parent)
        self._service = service
        self._conversation: Conversation | None = None
        self._running: dict[str, Conversation] = {}
        self._closed = False
        self.closing = ClosingQuestion(self)
        settings = QSettings() if settings is None else settings
        self._drafts = Drafts(settings)
        self._activity = Activity(service, self)
        self._build(settings)
        self._connect()
        self.show_session(None)
        if service.state is ConnectionState.CONNECTED:
            self.choices.fill()

    # --- Its parts ---

    def _build(self, settings: QSettings) -> None:
        self.title = QLabel(self)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.notice = Notice(self)
        self.history = HistoryView(self)
        # Whatever else there is has its room first; in a low window that may be all.
        self.history.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.history.setMinimumHeight(1)
        self.run_bar = RunBar(self)
        self.composer = Composer(self)
        self.send_button = QPushButton(self.tr("&Send"), self)
        self.send_button.setToolTip(self.tr("Send (Enter)"))
        self.stop_button = QPushButton(self.tr("S&top"), self)
        self.stop_button.setToolTip(self.tr("Stop the run (Esc)"))
        self.choices = Choices(self._service, settings, self)
        self.models, self.agents = self.choices.models, self.choices.agents
        self.usage = QLabel(self)
        self.usage.setTextFormat(Qt.TextFormat.PlainText)
        self.usage.setWordWrap(True)
        self.usage.setAccessibleName(self.tr("Tokens and cost"))
        self.questions = QuestionArea(self)
        self._focus = Focus(self.composer, self.questions, self.choices)
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.addWidget(self.title)
        column.addWidget(self.notice)
        column.addWidget(self.history, 1)
        column.addWidget(self.questions)
        column.addWidget(self.run_bar)
        column.addWidget(self.composer.note)
        column.addWidget(self.composer)
        row = QHBoxLayout()
        row.addWidget(self.choices, 1)
        row.addWidget(self.send_button)
        row.addWidget(self.stop_button)
        column.addLayout(row)
        column.addWidget(self.usage)
        self.placeholder = QLabel(self.tr("Choose a session to see its conversation."), self)
        self.placeholder.setTextFormat(Qt.TextFormat.PlainText)
        self.placeholder.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.placeholder.setWordWrap(True)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.placeholder)
        self._pages.addWidget(page)

    def _connect(self) -> None:
        self.composer.submitted.connect(self.send)
        self.composer.textChanged.connect(self._show_buttons)
        self.send_button.clicked.connect(self.send)
        self.stop_button.clicked.connect(self.stop)
        self.history.earlier_wanted.connect(self._load_earlier)
        self.notice.retry_wanted.connect(self.reload)
        self.choices.changed.connect(self._show_state)
        self._service.connected.connect(self.reload)
        escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        escape.activated.connect(self._escape)
        leave = QShortcut(QKeySequence("Ctrl+L"), self)
        leave.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        leave.activated.connect(self.left)

    # --- Which session ---

    @property
    def session_id(self) -> str | None:
        """The id of the session that is shown."""
        return None if self._conversation is None else self._conversation.session.id

    @property
    def running_sessions(self) -> tuple[str, ...]:
        """The ids of the sessions in which a run of this pane's goes on."""
        return tuple(self._running)

    def show_session(self, session: OcSessionInfo | None) -> None:
        """Show the conversation of a session, or that none is chosen.

        The session that is shown already stays as it is, with its newer title.
        """
        if self._closed:
            return
        old = self._conversation
        if old is not None and session is not None and session.id == old.session.id:
            old.session = session
            self._show_state()
            return
        if old is not None:
            self._drafts.keep(old.session.id, self.composer.text)
            self._leave(old)
        self._conversation = None
        if session is not None:
            talk = self._running.get(session.id)
            self._conversation = talk = self._begin(session) if talk is None else talk
            talk.session = session
        self._pages.setCurrentIndex(0 if self._conversation is None else 1)
        talk = self._conversation
        self.composer.setPlainText("" if session is None else self._drafts.take(session.id))
        self.history.show_transcript(None if talk is None else talk.transcript)
        self._show_questions()
        self._show_state()
        if talk is not None:
            talk.load()

    def update_session(self, session: OcSessionInfo) -> None:
        """Take a session as it is now, such as with another title, if it is known here."""
        talk = self._conversation
        if talk is None or session.id != talk.session.id:
            talk = self._running.get(session.id)
        if talk is not None:
            talk.session = session
            self._show_state()

    def _begin(self, session: OcSessionInfo) -> Conversation:
        talk = Conversation(self._service, session, self._activity, self)
        talk.state_changed.connect(lambda: self._on_state(talk))
        talk.transcript_changed.connect(lambda: self._on_transcript(talk))
        talk.entry_changed.connect(lambda entry: self._on_entry(talk, entry))
        talk.questions.changed.connect(lambda: self._on_questions(talk))
        talk.prompt_returned.connect(lambda text: self._on_returned(talk, text))
        talk.questions.failed.connect(self.failed)
        return talk

    def _leave(self, talk: Conversation) -> None:
        if not talk.running:
            talk.close()
            talk.deleteLater()

    def forget_session(self, session_id: str) -> None:
        """End and drop whatever there is of a session that does not exist any more."""
        if self.session_id == session_id:
            self.show_session(None)
        self._drafts.take(session_id)
        talk = self._running.get(session_id)
        if talk is not None:
            talk.close()
            self._on_state(talk)

    def reload(self) -> None:
        """Read the shown session's messages again, and what there is to choose."""
        if self._conversation is not None:
            self._conversation.load()
        self.choices.fill()

    def _load_earlier(self) -> None:
        if self._conversation is not None:
            self._conversation.load_earlier()

    # --- What the user does ---

    def send(self) -> None:
        """Send what is written, unless that has to wait."""
        talk = self._conversation
        text = self.composer.text
        if talk is None or not talk.ready or self._no_model or not text.strip():
            return
        self.composer.clear()
        self.history.show_end()
        talk.send(text, model=self.models.value, agent=self.agents.value)

    def stop(self) -> None:
        """Abort the shown session's run, if there is one."""
        if self._conversation is not None:
            self._conversation.stop()

    def _escape(self) -> None:
        if self._conversation is not None and self._conversation.running:
            self.stop()
        else:
            self.left.emit()

    # --- The keyboard ---

    def take_focus(self) -> None:
        """Have the keyboard in the message box, unless there is no model to write to."""
        if self._conversation is not None and not self._no_model:
            self._focus.take()

    def may_close(self, close: Callable[[], object]) -> bool:
        """Return whether the window may close now.

        Args:
            close: Tries it again, once the user has agreed to end what is running.
        """
        asking = any(talk.questions.items for talk in self._running.values())
        return self.closing.may_close(close, running=bool(self._running), asking=asking)

    # --- What a conversation says ---

    def _on_state(self, talk: Conversation) -> None:
        session_id = talk.session.id
        was_busy, known = bool(self._running), session_id in self._running
        if talk.running != known:
            if talk.running:
                self._running[session_id] = talk
            else:
                del self._running[session_id]
            self.session_busy_changed.emit(session_id, talk.running)
            if bool(self._running) != was_busy:
                self.busy_changed.emit(bool(self._running))
        if talk is self._conversation:
            self._show_state()
        elif not talk.running:
            self._leave(talk)

    def _on_transcript(self, talk: Conversation) -> None:
        if talk is self._conversation:
            self.history.refresh(has_earlier=talk.has_earlier)

    def _on_entry(self, talk: Conversation, entry: Entry) -> None:
        if talk is self._conversation:
            self.history.update_entry(entry)

    def _on_questions(self, talk: Conversation) -> None:
        if talk is self._conversation:
            self._show_questions()
            self._show_state()
        if talk.questions.items:
            QApplication.alert(self.window())

    def _on_returned(self, talk: Conversation, text: str) -> None:
        if talk is not self._conversation:
            self._drafts.keep(talk.session.id, self._drafts.take(talk.session.id) or text)
        elif not self.composer.text.strip():
            self.composer.setPlainText(text)

    # --- Showing it ---

    def _show_state(self) -> None:
        talk = self._conversation
        self.run_bar.show_conversation(talk)
        self._show_buttons()
        if talk is None:
            return
        self.title.setText(line(talk.session.title) or self.tr("Untitled session"))
        said = [self.tr("Session: {0}").format(talk.session_usage.text())]
        if talk.began:
            said.insert(0, self.tr("Run: {0}").format(talk.run_usage.text()))
        self.usage.setText(" · ".join(said))
        self._show_notice()

    def _show_buttons(self) -> None:
        talk = self._conversation
        running = talk is not None and talk.running
        if self._no_model:
            self._focus.give_back()  # before Qt hands it to whatever is next
        self.composer.setEnabled(not self._no_model)
        self.send_button.setVisible(not running)
        self.send_button.setEnabled(
            talk is not None
            and talk.ready
            and not self._no_model
            and bool(self.composer.text.strip())
        )
        self.stop_button.setVisible(running)
        self.stop_button.setEnabled(talk is not None and running and not talk.stopping)

    def _show_questions(self) -> None:
        talk = self._conversation
        had_focus = self.questions.isAncestorOf(QApplication.focusWidget() or self)
        self.questions.show_questions(None if talk is None else talk.questions)
        if had_focus and self.questions.form is None:
            self.composer.setFocus()
        self._fit()
        self._focus.question_changed()

    def _fit(self) -> None:
        """Leave a question the room that it needs."""
        self.usage.setVisible(self.questions.form is None or self.height() >= _LOW)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See ``QWidget``."""
        super().resizeEvent(event)
        self._fit()

    @property
    def _no_model(self) -> bool:
        """Whether the backend keeps sessions and nothing else."""
        talk = self._conversation
        refused = talk is not None and isinstance(talk.load_error, IpcUnsupportedOperationError)
        return self.choices.refused or refused

    def _show_notice(self) -> None:
        talk = self._conversation
        error = None if talk is None else talk.load_error
        if self._no_model:
            self.notice.show_no_backend()
        elif error is not None:
            self.notice.show_error(error)
        elif self.choices.empty:
            self.notice.show_no_model()
        else:
            self.notice.clear()

    # --- The end ---

    def shutdown(self) -> None:
        """Abort all runs, remember what was not sent, and hear of nothing any more.

        Does not wait, nor write to the disk: whoever has the settings does. Idempotent.
        """
        if self._closed:
            return
        self._closed = True
        talks = {id(talk): talk for talk in self._running.values()}
        if self._conversation is not None:
            talks[id(self._conversation)] = self._conversation
            self._drafts.keep(self._conversation.session.id, self.composer.text)
        self._drafts.save()
        for talk in talks.values():
            talk.close()
        self._activity.close()
        self.choices.close_calls()
        self._running.clear()
        self.run_bar.show_conversation(None)
        self.setEnabled(False)

"""A line about the run that goes on, or about how the last one ended."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from opencode_sync.desktop.chat.conversation import Conversation
from opencode_sync.desktop.chat.failures import retry_hint, run_failure, stop_failure
from opencode_sync.desktop.chat.words import line
from opencode_sync.desktop.plain import wrapped_label
from opencode_sync.errors import IpcPromptError

__all__ = ["RunBar"]

_TICK_MS: Final = 1000


class RunBar(QWidget):
    """Says what a conversation is doing. Hidden where there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make one that says nothing."""
        super().__init__(parent)
        self._conversation: Conversation | None = None
        self._bar = QProgressBar(self)
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(70)
        self._bar.setFixedHeight(8)
        self._bar.setAccessibleName(self.tr("Working"))
        self._text = wrapped_label(parent=self)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.stop_button = QPushButton(self.tr("S&top"), self)
        """Of another program's run; that of ours takes the place of the one that sends."""
        self.stop_button.setToolTip(self.tr("Stop the run that another program has begun"))
        self.stop_button.setAccessibleName(self.tr("Stop another program's run"))
        self.stop_button.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar)
        row.addWidget(self._text, 1)
        row.addWidget(self.stop_button)
        self._clock = QTimer(self)
        self._clock.setInterval(_TICK_MS)
        self._clock.timeout.connect(self._tell)
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.text()

    def show_conversation(self, conversation: Conversation | None) -> None:
        """Tell of this one, as it is now."""
        self._conversation = conversation
        self._tell()

    def show_creating(self, *, sends: bool) -> None:
        """Tell that there is no conversation yet.

        Args:
            sends: Whether a message goes out when there is one.
        """
        self._conversation = None
        self._clock.stop()
        said = self.tr("Creating the session…")
        if sends:
            said = self.tr("{0} Your message will be sent then.").format(said)
        self._say(said, at_work=True)

    def _say(self, said: str, *, at_work: bool) -> None:
        talk = self._conversation
        others = talk is not None and talk.elsewhere.active and not talk.running
        self.stop_button.setVisible(others)
        self.stop_button.setEnabled(talk is not None and not talk.stopping)
        self._bar.setVisible(at_work)
        self._text.setText(said)
        self.setVisible(bool(said))

    def _tell(self) -> None:
        talk = self._conversation
        if talk is None:
            self._say("", at_work=False)
        else:
            at_work = talk.running or talk.reading.active or talk.elsewhere.active
            self._say(self._said(talk), at_work=at_work)
        if talk is not None and talk.running:
            if not self._clock.isActive():
                self._clock.start()
        else:
            self._clock.stop()

    def _said(self, talk: Conversation) -> str:
        if talk.running:
            said = [self._doing(talk)]
            if talk.missed:
                said.append(
                    self.tr("{0} events came too fast; the end will be complete").format(
                        talk.missed
                    )
                )
            return " · ".join(said)
        if talk.elsewhere.active:
            said = [self._doing_elsewhere(talk)]
            if talk.elsewhere.stop_error is not None:
                said.append(stop_failure(talk.elsewhere.stop_error))
            return " · ".join(said)
        if talk.run_error is not None:
            return _why(talk, talk.run_error)
        return self.tr("Loading messages…") if talk.reading.active else ""

    def _doing_elsewhere(self, talk: Conversation) -> str:
        if talk.stopping:
            return self.tr("Stopping another program's run…")
        if talk.questions.items:
            return self._asking_elsewhere()
        return self.tr("Another program is at work in this session…")

    def _asking_elsewhere(self) -> str:
        return self.tr("Another program's run waits for an answer")

    def _doing(self, talk: Conversation) -> str:
        if talk.stopping:
            return self.tr("Stopping…")
        if talk.questions.are_ours:
            return self.tr("Waiting for your answer")
        if talk.questions.items:  # ours has to wait for the end of that
            return self._asking_elsewhere()
        if talk.retry is not None:
            refused = self.tr("The provider refused: {0}").format(line(talk.retry.message, 300))
            when = _clock(talk.retry.next_at)
            again = self.tr("Try {0}").format(talk.retry.attempt + 1)
            if when:
                again = self.tr("{0} at {1}").format(again, when)
            return f"{refused} · {again}"
        return self.tr("Working… {0} s").format(int(talk.seconds))


def _clock(when: datetime | None) -> str:
    """Return a time of day; "" for none, and for one that is in no calendar here."""
    try:
        return "" if when is None else f"{when.astimezone():%H:%M:%S}"
    except (OverflowError, OSError, ValueError):  # depends on the system and its time zone
        return ""


def _why(talk: Conversation, error: BaseException) -> str:
    """Return why the run failed, as far as its last message does not say so itself."""
    last = talk.transcript.entries[-1:]
    if isinstance(error, IpcPromptError) and any(entry.error is not None for entry in last):
        return retry_hint() if error.retryable else ""
    return run_failure(error)

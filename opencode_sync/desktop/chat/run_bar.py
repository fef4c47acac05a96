"""A line about the run that goes on, or about how the last one ended."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QWidget

from opencode_sync.desktop.chat.conversation import Conversation
from opencode_sync.desktop.chat.words import line
from opencode_sync.errors import IpcError, IpcPromptError

__all__ = ["RunBar", "failure_text"]

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
        self._text = QLabel(self)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._bar)
        row.addWidget(self._text, 1)
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

    def _tell(self) -> None:
        talk = self._conversation
        said = "" if talk is None else self._said(talk)
        at_work = talk is not None and (talk.running or talk.loading)
        self._bar.setVisible(at_work)
        self._text.setText(said)
        self.setVisible(bool(said))
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
        if talk.run_error is not None:
            return failure_text(talk.run_error)
        return self.tr("Loading messages…") if talk.loading else ""

    def _doing(self, talk: Conversation) -> str:
        if talk.stopping:
            return self.tr("Stopping…")
        if talk.questions.items:
            return self.tr("Waiting for your answer")
        if talk.retry is not None:
            refused = self.tr("The provider refused: {0}").format(line(talk.retry.message, 300))
            when = talk.retry.next_at
            again = self.tr("Try {0}").format(talk.retry.attempt + 1)
            if when is not None:
                again = self.tr("{0} at {1}").format(again, f"{when.astimezone():%H:%M:%S}")
            return f"{refused} · {again}"
        return self.tr("Working… {0} s").format(int(talk.seconds))


def failure_text(error: BaseException) -> str:
    """Return why a run failed: its kind in words, and the reason."""
    translate = QCoreApplication.translate
    if not isinstance(error, IpcPromptError):
        reason = error.message if isinstance(error, IpcError) else ""
        reason = reason or translate("RunBar", "an unexpected error occurred")
        return translate("RunBar", "The run ended: {0}").format(line(reason, 500))
    kinds = {
        "provider_auth": translate("RunBar", "The provider did not accept the credentials"),
        "api": translate("RunBar", "The provider refused"),
        "rate_limited": translate("RunBar", "The provider allows no more requests for now"),
        "context_overflow": translate("RunBar", "The conversation is too long for the model"),
        "output_length": translate("RunBar", "The answer was cut off: it became too long"),
        "incomplete": translate("RunBar", "The answer broke off"),
        "content_filter": translate("RunBar", "The provider filtered the answer"),
        "permission_rejected": translate("RunBar", "The run ended by what you rejected"),
        "aborted": translate("RunBar", "The run was aborted"),
        "timeout": translate("RunBar", "The run took too long"),
        "unknown_model": translate("RunBar", "There is no such model"),
        "unknown_agent": translate("RunBar", "There is no such agent"),
        "unknown_session": translate("RunBar", "There is no such session any more"),
    }
    title = kinds.get(error.kind, translate("RunBar", "The run failed ({0})").format(error.kind))
    said = f"{title}. {line(error.message, 500)}"
    if error.retryable:
        said = f"{said}. {translate('RunBar', 'Sending it again may help.')}"
    return said

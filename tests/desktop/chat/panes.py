"""What tests do with a chat pane, and what they see of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QEventLoop, QObject, QSettings
from PySide6.QtWidgets import QApplication, QTextBrowser
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.entry import entry_of
from opencode_sync.desktop.chat.form import Form
from opencode_sync.desktop.chat.message_view import MessageView
from opencode_sync.desktop.chat.transcript import Transcript
from opencode_sync.desktop.service import Service
from tests.desktop.chat.said import conversation

PATIENCE = 30_000
"""Milliseconds after which a test takes a thing for never happening."""


def warm_up(application: QApplication, folder: Path) -> None:
    """Have Qt open what it opens once for all, such as its fonts, before anybody counts.

    Args:
        application: Qt's.
        folder: For settings.
    """
    path = folder / "pane.ini"
    service = Service(IpcConfig(1024, "nobody-listens-there"))
    settings = QSettings(str(path), QSettings.Format.IniFormat)
    pane = ChatPane(service, settings=settings)
    pane.show()
    transcript = Transcript("ses_1")
    transcript.load(entry_of(message) for message in conversation(2))
    pane.show_page(True)
    pane.history.show_transcript(transcript)
    while pane.history.busy:
        application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    pane.grab()
    end(pane, service)


def end(pane: ChatPane, service: Service) -> None:
    """Close both as a window does, and wait until all that they had begun has ended."""
    pane.shutdown()
    pane.hide()
    service.close()
    assert service.wait_closed(PATIENCE / 1000)
    destroy(pane)
    destroy(service)


def destroy(thing: QObject) -> None:
    """Destroy it here and now: Python's collector may run on any thread, Qt's objects may not."""
    thing.deleteLater()
    QApplication.sendPostedEvents(thing, QEvent.Type.DeferredDelete.value)


def settled(qtbot: QtBot, pane: ChatPane) -> None:
    """Wait until the shown session is read and drawn."""
    talk = pane._talks.shown
    assert talk is not None
    qtbot.waitUntil(lambda: not talk.reading.active and not pane.history.busy, timeout=PATIENCE)
    for _ in range(3):  # what was drawn gets its place, and what follows from that
        QApplication.processEvents()


def write(pane: ChatPane, text: str) -> None:
    """Write and send."""
    pane.composer.setPlainText(text)
    pane.send()


def wait_form(qtbot: QtBot, pane: ChatPane, kind: type[Form]) -> Any:
    """Wait for something that is asked, and until it can be answered."""

    def is_there() -> bool:
        form = pane.questions.form
        return isinstance(form, kind) and form.takes_answer

    qtbot.waitUntil(is_there, timeout=PATIENCE)
    return pane.questions.form


def texts(pane: ChatPane) -> Sequence[str]:
    """What the messages on the page say, aloud, from the top."""
    return [said(view) for view in pane.history.views]


def said(view: MessageView) -> str:
    """What one message says aloud."""
    return "\n".join(each.toPlainText() for each in view.findChildren(QTextBrowser))

"""Words of others are shown as they are, never as HTML, and not by the megabyte."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLabel, QMessageBox
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.plain import plain_tooltip
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.record import record_of
from opencode_sync.desktop.settings import WindowSettings

from .conftest import PATIENCE, Backend, OpenWindow, close, session, titles

HTML = "<b>x</b><img src='/tmp/picture.png'><a href='http://elsewhere'>y</a> &amp;"


class SpeakingBackend(Backend):
    description = HTML


@pytest.fixture
def backend() -> Backend:
    made = SpeakingBackend()
    made.script["list_sessions"] = lambda: [session(1, HTML)]
    return made


def seen(tooltip: str) -> str:
    """What a tooltip looks like."""
    document = QTextDocument()
    document.setHtml(tooltip)
    return document.toPlainText()


def test_no_label_of_the_window_takes_its_text_for_html(
    qtbot: QtBot, scripted: IpcConfig, settings: WindowSettings
) -> None:
    window = MainWindow(Service(scripted), settings)
    window.show()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.start()
    window.sessions.parts.view.select_row(0)
    window.sessions.open_action.trigger()
    assert isinstance(window.chat, ChatPane)
    labels = window.findChildren(QLabel)
    assert window.chat.title in labels
    guessing = [each.text() for each in labels if each.textFormat() is not Qt.TextFormat.PlainText]
    close(window)
    assert guessing == []


def test_a_description_is_shown_as_it_is(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    server = loaded(scripted).statusBar().server
    qtbot.waitUntil(lambda: HTML in server.text(), timeout=PATIENCE)
    assert HTML in seen(server.toolTip())


def test_a_description_that_is_too_long_ends_in_an_ellipsis(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    server = window.status.server
    qtbot.waitUntil(lambda: HTML in server.text(), timeout=PATIENCE)
    window.resize(2000, 500)
    qtbot.waitUntil(lambda: server.seen == server.text(), timeout=PATIENCE)
    window.resize(400, 500)
    qtbot.waitUntil(lambda: server.seen.endswith("\u2026"), timeout=PATIENCE)
    painted = server.grab().toImage()
    server.setText(server.seen)
    assert server.grab().toImage() == painted


def test_a_title_is_shown_as_it_is(qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow) -> None:
    window = loaded(scripted)
    view = window.sessions.parts.view
    assert titles(window) == [HTML]
    tooltip = view.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert seen(tooltip) == f"{HTML}\nses_{1:026d}"
    view.select_row(0)
    window.sessions.delete_action.trigger()
    question = window.sessions.findChild(QMessageBox)
    assert "<b>x</b>" in question.text()
    assert question.textFormat() is Qt.TextFormat.PlainText


def test_a_tooltip_has_no_blank_lines_nor_endless_ones() -> None:
    assert plain_tooltip("", " ") == ""
    assert seen(plain_tooltip("a\u202eb", "", "c")) == "a\\u202eb\nc"
    assert len(seen(plain_tooltip("x" * 100_000))) < 1000


def test_of_a_very_long_title_only_its_beginning_is_handled(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    """It is drawn each time the mouse moves; the session itself keeps all of it."""
    title = "title " * 200_000
    backend.script["list_sessions"] = lambda: [session(1, title)]
    index = loaded(scripted).sessions.parts.view.model().index(0, 0)
    roles = Qt.ItemDataRole
    for role in (roles.DisplayRole, roles.ToolTipRole, roles.AccessibleTextRole, roles.EditRole):
        assert 400 < len(index.data(role)) <= 1100
    record = record_of(session(1, title))
    assert len(record.title) + len(record.searched) + len(record.by_title) < 2000
    assert record.info.title == title

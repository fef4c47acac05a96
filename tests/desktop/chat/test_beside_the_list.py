"""The pane in its window: where the keyboard is, what the headline says, and closing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import Gateway
from opencode_sync.wire.ext_operations_pb2 import IpcModelList
from opencode_sync.wire.oc_event_pb2 import OcEvent
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.chat.panes import PATIENCE, settled, texts, write
from tests.desktop.chat.said import answer
from tests.support import backend as b
from tests.unit.gateway.doubles import Held


@pytest.fixture
def window(qtbot: QtBot, gateway: Gateway, settings: QSettings) -> Iterator[MainWindow]:
    """Shown and connected, with the keyboard in the list."""
    service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
    made = MainWindow(
        service,
        WindowSettings(settings),
        make_chat=lambda service: ChatPane(service, settings=settings),
    )
    made.show()
    made.activateWindow()
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        made.start()
    made.sessions.parts.view.show()
    made.sessions.parts.new.setFocus()
    yield made
    made.end()
    assert service.wait_closed(PATIENCE / 1000)
    made.deleteLater()


def opened(window: MainWindow) -> ChatPane:
    """The pane, once a session is shown in it."""
    window.open_session(session())
    assert window.chat is not None
    return window.chat


# --- The keyboard ---


def test_opening_a_session_leads_to_the_message_box(qtbot: QtBot, window: MainWindow) -> None:
    pane = opened(window)
    qtbot.waitUntil(pane.composer.hasFocus, timeout=PATIENCE)
    window.sessions.parts.new.setFocus()
    window.open_session(session("ses_2"))
    assert pane.composer.hasFocus()


def test_what_is_typed_while_the_session_is_read_is_written(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    messages, models = Held([]), Held(IpcModelList())
    backend.script |= {"list_messages": lambda limit: messages(), "list_models": models}
    window.open_session(session())
    messages.wait_entered()
    models.wait_entered()
    for letter in "Please say things":
        focused = QApplication.focusWidget()
        assert focused is not None
        qtbot.keyClick(focused, letter)
    pane = window.chat
    assert pane is not None
    assert pane.composer.text == "Please say things"
    assert not pane.send_button.isEnabled()
    qtbot.keyClick(pane.composer, Qt.Key.Key_Return)  # which has to wait
    assert not backend.runs
    models.released.set()
    messages.released.set()
    qtbot.waitUntil(lambda: bool(backend.runs), timeout=PATIENCE)
    assert backend.run().request.text == "Please say things"
    assert pane.composer.text == ""


def test_a_backend_without_a_model_gives_the_keyboard_back(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    backend.refuses = True
    pane = opened(window)
    qtbot.waitUntil(lambda: pane.choices.refused, timeout=PATIENCE)
    assert window.sessions.parts.new.hasFocus()
    window.open_session(session("ses_2"))
    assert window.sessions.parts.new.hasFocus()


def test_whoever_has_gone_elsewhere_is_left_there(qtbot: QtBot, window: MainWindow) -> None:
    pane = opened(window)
    pane.agents.setFocus()
    elsewhere = QApplication.focusWidget()
    qtbot.waitUntil(lambda: pane.choices.usable, timeout=PATIENCE)
    assert QApplication.focusWidget() is elsewhere is not pane.composer


@pytest.mark.parametrize(
    ("key", "modifier"),
    [
        (Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier),
        (Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier),
    ],
)
def test_a_key_leads_back_and_is_told_in_the_tooltip(
    qtbot: QtBot, window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    pane = opened(window)
    qtbot.waitUntil(pane.composer.hasFocus, timeout=PATIENCE)
    with qtbot.waitSignal(pane.left, timeout=PATIENCE):
        qtbot.keyClick(pane.composer, key, modifier)
    assert not pane.composer.hasFocus()
    assert "Ctrl+L" in pane.composer.toolTip()


def test_f5_reads_the_conversation_again(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    pane = opened(window)
    settled(qtbot, pane)
    backend.messages = [answer("msg_1", "Said elsewhere")]
    qtbot.keyClick(pane.composer, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: texts(pane) == ["Said elsewhere"], timeout=PATIENCE)


# --- The headline ---


def test_the_headline_follows_a_rename(pane: ChatPane, show: Open) -> None:
    show()
    pane.update_session(session(title="Renamed"))
    assert pane.title.text() == "Renamed"
    pane.update_session(session("ses_2", title="Another"))
    assert pane.title.text() == "Renamed"


def test_the_headline_follows_what_a_run_says(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, "Hi")
    run = backend.run()
    for session_id, title in (("ses_9", "Of another"), ("ses_1", "Found by the model")):
        told = OcEvent(session_updated={"session": {"id": session_id, "title": title}})
        run.push(b.event("session.updated", session_id="ses_1", event=told))
    qtbot.waitUntil(lambda: pane.title.text() == "Found by the model", timeout=PATIENCE)


def test_a_session_that_runs_out_of_sight_is_renamed_as_well(
    pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, "Hi")
    backend.run()
    show(session("ses_2"))
    pane.update_session(session(title="Renamed"))
    assert pane._talks.running["ses_1"].session.title == "Renamed"


# --- Closing ---


def the_question(window: MainWindow) -> QMessageBox:
    assert window.chat is not None
    box = window.chat.closing.box
    assert box is not None
    return box


def choose(qtbot: QtBot, window: MainWindow, label: str) -> None:
    (button,) = (
        each for each in the_question(window).findChildren(QPushButton) if label in each.text()
    )
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_closing_while_an_answer_is_written_asks_first(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    pane = opened(window)
    qtbot.waitUntil(lambda: pane.choices.usable and not pane._talks.shown.reading.active)
    write(pane, "Hi")
    run = backend.run()
    assert not window.close()
    assert not window.close()  # which asks once
    assert "An answer is being written" in the_question(window).text()
    choose(qtbot, window, "Cancel")
    assert window.isVisible()
    assert not run.aborted.is_set()
    assert not window.close()
    choose(qtbot, window, "Close and stop")
    assert not window.isVisible()
    assert run.aborted.wait(PATIENCE / 1000)


def test_closing_while_the_model_waits_says_so(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    pane = opened(window)
    qtbot.waitUntil(lambda: pane.choices.usable and not pane._talks.shown.reading.active)
    write(pane, "Hi")
    backend.run().push(b.permission_asked())
    qtbot.waitUntil(lambda: pane.questions.form is not None, timeout=PATIENCE)
    assert not window.close()
    assert "The model waits for your answer" in the_question(window).text()
    choose(qtbot, window, "Close and stop")
    assert not window.isVisible()


def test_closing_without_a_run_asks_nothing(qtbot: QtBot, window: MainWindow) -> None:
    opened(window)
    assert window.close()


def test_a_process_that_is_told_to_end_asks_nothing(
    qtbot: QtBot, window: MainWindow, backend: ChatBackend
) -> None:
    pane = opened(window)
    qtbot.waitUntil(lambda: pane.choices.usable and not pane._talks.shown.reading.active)
    write(pane, "Hi")
    run = backend.run()
    window.end()
    assert not window.isVisible()
    assert run.aborted.wait(PATIENCE / 1000)

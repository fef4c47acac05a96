"""Ctrl+N in the window on a real OpenCode, by somebody who types at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import Gateway
from tests.desktop.chat.panes import PATIENCE, texts

pytestmark = pytest.mark.e2e


@pytest.fixture
def window(qtbot: QtBot, gateway: Gateway, settings: QSettings) -> Iterator[MainWindow]:
    service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
    made = MainWindow(
        service,
        WindowSettings(settings),
        make_chat=lambda service: ChatPane(service, settings=settings),
    )
    made.show()
    made.activateWindow()
    with qtbot.waitSignal(made.sessions.loaded, timeout=PATIENCE):
        made.start()
    yield made
    made.end()
    assert service.wait_closed(PATIENCE / 1000)
    made.deleteLater()


def test_a_prompt_is_written_before_its_session_is_there_and_answered(
    qtbot: QtBot, window: MainWindow
) -> None:
    with qtbot.waitSignal(window.sessions.creation.opened, timeout=PATIENCE):
        qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        qtbot.keyClicks(window.focusWidget(), "[[say:typed at once]]")
    chat = window.chat
    assert chat is not None
    assert chat.composer.text == "[[say:typed at once]]"
    qtbot.waitUntil(chat.send_button.isEnabled, timeout=PATIENCE)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: texts(chat)[-1:] == ["typed at once"], timeout=2 * PATIENCE)
    qtbot.waitUntil(lambda: not chat.running_sessions, timeout=PATIENCE)

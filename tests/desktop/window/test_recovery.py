"""The backend goes away and comes back: a real gateway process, killed and started again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from benchmarks.soak_victim import KilledGateway
from opencode_sync import (
    ConnectionState,
    FileConfigProvider,
    IpcConnectionError,
    IpcTimeoutError,
    StateChange,
)
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.status import StatusLine

from .conftest import PATIENCE, OpenWindow, titles

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

Spawn = Callable[[], KilledGateway]


@pytest.fixture
def runtime_file(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder / "gateway.json"


@pytest.fixture
def spawn(tmp_path: Path, runtime_file: Path, leaves_nothing: None) -> Iterator[Spawn]:
    """Start a gateway process; each has a port and a token of its own."""
    spawned: list[KilledGateway] = []

    def spawn() -> KilledGateway:
        spawned.append(KilledGateway(tmp_path / "sessions.db", runtime_file))
        return spawned[-1]

    yield spawn
    for gateway in spawned:
        gateway.kill()


def state_of(window: MainWindow) -> str:
    status = window.statusBar()
    assert isinstance(status, StatusLine)
    return status.state.text()


def test_the_banner_comes_with_the_loss_and_goes_by_itself_with_the_return(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, loaded: OpenWindow
) -> None:
    gateway = spawn()
    window = loaded(FileConfigProvider(runtime_file))
    with qtbot.waitSignal(window.sessions.session_chosen, timeout=PATIENCE):
        window.sessions.create_session()
    before = titles(window)
    gateway.kill()
    qtbot.waitUntil(window.lost_banner.isVisible, timeout=PATIENCE)
    assert window.lost_banner.title.text() == "Connection to backend lost"
    assert titles(window) == before  # what was there stays readable
    qtbot.waitUntil(lambda: state_of(window) == "Disconnected, trying again", timeout=PATIENCE)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        spawn()
    assert window.lost_banner.isHidden()
    assert window.banners.isHidden()
    assert (state_of(window), titles(window)) == ("Connected", before)


def test_retry_after_the_gateway_was_killed_and_started_again(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, open_window: OpenWindow
) -> None:
    spawn().kill()
    window = open_window(FileConfigProvider(runtime_file))
    # Its file is there, and it is not: nothing to connect to, and nothing the user did wrong.
    qtbot.waitUntil(window.first_run.isVisible, timeout=PATIENCE)
    assert "has ended" in window.first_run.reason.text()
    spawn()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.first_run.look, Qt.MouseButton.LeftButton)
    assert window.sessions.isVisible()


def test_retry_of_the_lost_banner_does_not_wait_for_the_next_attempt(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, loaded: OpenWindow
) -> None:
    gateway = spawn()
    window = loaded(FileConfigProvider(runtime_file))
    gateway.kill()
    qtbot.waitUntil(window.lost_banner.isVisible, timeout=PATIENCE)
    spawn()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.lost_banner.retry, Qt.MouseButton.LeftButton)
    assert window.lost_banner.isHidden()


def test_while_the_link_is_lost_the_list_does_not_complain_of_it_as_well(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, loaded: OpenWindow
) -> None:
    gateway = spawn()
    window = loaded(FileConfigProvider(runtime_file))
    gateway.kill()
    qtbot.waitUntil(window.lost_banner.isVisible, timeout=PATIENCE)
    window.sessions.failed.emit(IpcTimeoutError("late", timeout=1, operation="x"), "")
    assert window.error_banner.isHidden()
    window.sessions.failed.emit(IpcConnectionError("gone"), "The session was not deleted")
    assert window.error_banner.isVisible()


def test_without_a_connection_nothing_is_done_later_behind_ones_back(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, loaded: OpenWindow
) -> None:
    gateway = spawn()
    window = loaded(FileConfigProvider(runtime_file))
    page = window.sessions
    with qtbot.waitSignal(page.session_chosen, timeout=PATIENCE):
        page.create_session()
    before = titles(window)
    changing = (page.create_action, page.rename_action, page.delete_action)
    qtbot.waitUntil(lambda: all(each.isEnabled() for each in changing), timeout=PATIENCE)
    page.delete_action.trigger()  # the question is on show when the connection goes
    gateway.kill()
    qtbot.waitUntil(window.lost_banner.isVisible, timeout=PATIENCE)
    assert not any(each.isEnabled() for each in changing)
    assert page.copy_action.isEnabled()
    question = page.findChild(QMessageBox)
    delete = next(each for each in question.buttons() if "Delete" in each.text())
    qtbot.mouseClick(delete, Qt.MouseButton.LeftButton)
    assert window.error_banner.text.text() == (
        "The session was not deleted: there is no connection to the backend now"
    )
    page._model.rename_wanted.emit(page.parts.view.current.id, "another title")
    assert window.error_banner.text.text().startswith("The session was not renamed: there is no")
    with qtbot.waitSignal(page.loaded, timeout=PATIENCE):
        spawn()
    assert titles(window) == before
    assert all(each.isEnabled() for each in changing)


def test_a_backend_that_says_goodbye_is_lost_too(
    qtbot: QtBot, spawn: Spawn, runtime_file: Path, loaded: OpenWindow
) -> None:
    spawn()
    window = loaded(FileConfigProvider(runtime_file))
    state = ConnectionState
    window.service._on_state_change(StateChange(state.CONNECTED, state.DISCONNECTED))
    assert window.lost_banner.isVisible()
    assert "the backend closed the connection" in window.lost_banner.text.text()

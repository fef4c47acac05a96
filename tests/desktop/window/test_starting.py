"""A gateway of the window's own that does not start: why, and what gets the user on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig, IpcConfigError
from opencode_sync.desktop import lifecycle, start_failures
from opencode_sync.desktop.errors import Kind
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.desktop.start_failures import start_problem_of
from opencode_sync.desktop.symbols import Symbol
from opencode_sync.desktop.theme import Tone
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.wire import ipc_pb2

from .conftest import PATIENCE, Backend, OpenWindow, session, titles

_LEFT = Qt.MouseButton.LeftButton
_LOCKED = BackendError(
    ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR, "it wants a password; set OPENCODE_SERVER_PASSWORD"
)
_MISSING = BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "not on PATH; name its program")


@pytest.fixture
def window(qtbot: QtBot, open_window: OpenWindow) -> MainWindow:
    """A window that has found no backend."""
    window = open_window()
    qtbot.waitUntil(window.first_run.isVisible, timeout=PATIENCE)
    return window


def test_where_the_server_wants_a_password_one_of_our_own_is_a_click_away(
    qtbot: QtBot,
    window: MainWindow,
    backend: Backend,
    settings: WindowSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    backend.script["list_sessions"] = lambda: [session(1)]

    def make(kind: GatewayKind, directory: Path | None) -> Gateway:
        made.append(kind)
        if kind is GatewayKind.OPENCODE:
            raise _LOCKED
        return Gateway(backend)

    monkeypatch.setattr(lifecycle, "make_gateway", make)
    qtbot.mouseClick(window.first_run.opencode, _LEFT)
    banner = window.error_banner
    qtbot.waitUntil(banner.isVisible, timeout=PATIENCE)
    assert banner.title.text() == "OpenCode wants a password"
    assert "OPENCODE_SERVER_PASSWORD" not in banner.text.text()  # there is no place here to set it
    assert (banner.offer.text(), banner.retry.isHidden()) == ("Start one of our own", True)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(banner.offer, _LEFT)
    assert made == [GatewayKind.OPENCODE, GatewayKind.OWN_OPENCODE]
    assert (titles(window), banner.isHidden()) == (["Session 1"], True)
    assert settings.gateway is GatewayKind.OWN_OPENCODE
    assert window.first_run.opencode.isDefault()  # which it belongs to


def test_other_problems_offer_nothing(window: MainWindow) -> None:
    window.show_failure(IpcConfigError("it is wrong"))
    assert window.error_banner.offer.isHidden()


def test_a_server_that_refuses_the_one_of_our_own_is_not_offered_again() -> None:
    problem = start_problem_of(_LOCKED, GatewayKind.OWN_OPENCODE)
    assert (problem.offer, problem.text) == ("", _LOCKED.message)


@pytest.mark.parametrize("found", [None, "/usr/bin/opencode"])
def test_where_opencode_is_missing_only_what_can_be_done_here_is_said(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    """The window has no field to name a program in."""
    monkeypatch.setattr(start_failures.shutil, "which", lambda name: found)
    text = start_problem_of(_MISSING, GatewayKind.OPENCODE).text
    if found is None:
        assert "npm install -g opencode-ai" in text
        assert "name its program" not in text
    else:
        assert text == _MISSING.message  # it is something else that was not there


@pytest.mark.parametrize(
    "error", [_MISSING, IpcConfigError("install it", source="installation"), KeyError("x")]
)
def test_each_looks_like_the_error_that_it_is_and_retry_would_not_start_it(
    error: Exception,
) -> None:
    problem = start_problem_of(error, GatewayKind.EMBEDDED)
    assert (problem.kind, problem.symbol, problem.tone) == (
        Kind.SERVER,
        Symbol.EXCLAMATION,
        Tone.DANGER,
    )
    assert (problem.title, problem.retry) == ("The gateway did not start", False)


# --- Looking again ---


def test_looking_again_forgets_an_address_that_was_refused(
    qtbot: QtBot, window: MainWindow, scripted: IpcConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.choosing.use_address(IpcConfig(1024, "nobody-listens-there"))
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    monkeypatch.setenv("OPENCODE_IPC_PORT", str(scripted.port))
    monkeypatch.setenv("OPENCODE_IPC_TOKEN", str.__str__(scripted.auth_token))
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.first_run.look, _LEFT)
    assert window.service.endpoint == scripted.endpoint
    assert window.error_banner.isHidden()
    assert window.sessions.isVisible()


def test_looking_again_in_vain_leaves_the_backend_in_use(
    qtbot: QtBot, window: MainWindow, scripted: IpcConfig
) -> None:
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.choosing.use_address(scripted)
    before = titles(window)
    window.choose_action.trigger()
    qtbot.mouseClick(window.first_run.look, _LEFT)
    reason = window.first_run.reason
    qtbot.waitUntil(lambda: reason.text().startswith("Looked again. No backend"), timeout=PATIENCE)
    assert window.first_run.look.isEnabled()
    qtbot.mouseClick(window.first_run.back, _LEFT)
    assert window.service.client.is_connected
    assert titles(window) == before


def test_f5_looks_again_while_a_backend_is_being_chosen(qtbot: QtBot, window: MainWindow) -> None:
    reason = window.first_run.reason
    qtbot.keyClick(window, Qt.Key.Key_F5)
    qtbot.keyClick(window, Qt.Key.Key_F5)  # it looks already
    qtbot.waitUntil(lambda: reason.text().startswith("Looked again. No backend"), timeout=PATIENCE)
    assert window.error_banner.isHidden()


def test_f5_without_a_connection_connects_first(
    qtbot: QtBot, scripted: IpcConfig, open_window: OpenWindow
) -> None:
    window = open_window(IpcConfig(1024, "nobody-listens-there"))
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    with qtbot.waitSignal(window.service.connect_failed, timeout=PATIENCE):
        qtbot.keyClick(window, Qt.Key.Key_F5)
    assert "call connect()" not in window.error_banner.text.text()
    window.service._target.set_config(scripted)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.sessions.parts.failed.button, _LEFT)
    assert window.error_banner.isHidden()


def test_a_gateway_that_was_there_and_is_gone_is_an_error_and_no_first_run(
    scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    window.service.connect_failed.emit(IpcConfigError("no gateway of yours runs"))
    assert window.error_banner.text.text() == "no gateway of yours runs"
    assert window.sessions.isVisible()

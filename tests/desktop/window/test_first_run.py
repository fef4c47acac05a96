"""Nothing to connect to: what the window offers, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

import opencode_sync
from opencode_sync import IpcConfig, IpcConfigError
from opencode_sync.desktop import lifecycle
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import Gateway

from .conftest import PATIENCE, Backend, Held, OpenWindow, config_of, session, shown, titles

_LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(qtbot: QtBot, open_window: OpenWindow) -> MainWindow:
    """A window that has found no backend."""
    window = open_window()
    qtbot.waitUntil(window.first_run.isVisible, timeout=PATIENCE)
    return window


def test_the_window_says_what_it_looked_for(window: MainWindow) -> None:
    assert "No backend to connect to was found" in window.first_run.reason.text()
    assert window.error_banner.isHidden()
    assert window.first_run.opencode.hasFocus()
    assert window.first_run.back.isHidden()


def test_a_local_gateway_with_the_embedded_store_is_a_click_away(
    qtbot: QtBot, window: MainWindow
) -> None:
    page = window.first_run
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(page.embedded, _LEFT)
        assert not page.bar.isHidden()
        assert not page.embedded.isEnabled()
    assert window.sessions.isVisible()
    with qtbot.waitSignal(window.sessions.session_chosen, timeout=PATIENCE):
        window.sessions.create_session()
    assert len(titles(window)) == 1


def test_a_second_gateway_takes_the_place_of_the_first(qtbot: QtBot, window: MainWindow) -> None:
    endpoints = set()
    for _ in range(2):
        with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
            window.choosing.start_gateway(GatewayKind.EMBEDDED)
        endpoints.add(window.service.endpoint)
    assert len(endpoints) == 2


def test_opencode_is_looked_for_and_started(
    qtbot: QtBot, window: MainWindow, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(kind: GatewayKind, directory: Path | None) -> Gateway:
        made.append(kind)
        return Gateway(backend)

    monkeypatch.setattr(lifecycle, "make_gateway", make)
    backend.script["list_sessions"] = lambda: [session(1)]
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.first_run.opencode, _LEFT)
    assert made == [GatewayKind.OPENCODE]
    assert (backend.starts, titles(window)) == (1, ["Session 1"])


def test_without_opencode_it_says_so_and_stays(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kind: GatewayKind, directory: Path | None) -> Gateway:
        raise IpcConfigError("no opencode is on the PATH", source="installation")

    monkeypatch.setattr(lifecycle, "make_gateway", fail)
    qtbot.mouseClick(window.first_run.opencode, _LEFT)
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    assert window.error_banner.text.text() == "no opencode is on the PATH"
    assert window.first_run.isVisible()
    assert window.first_run.opencode.isEnabled()


def enter(qtbot: QtBot, window: MainWindow, port: int, token: str) -> None:
    page = window.first_run
    qtbot.mouseClick(page.port, _LEFT)
    page.port.clear()
    qtbot.keyClicks(page.port, str(port))
    page.token.clear()
    qtbot.keyClicks(page.token, token)


def test_an_address_is_entered_and_its_token_kept_nowhere(
    qtbot: QtBot,
    window: MainWindow,
    scripted: IpcConfig,
    settings: WindowSettings,
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    disable = opencode_sync.enable_logging()
    sink = logger.add(lines.append, level=0)
    try:
        enter(qtbot, window, scripted.port, str.__str__(scripted.auth_token))
        with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
            qtbot.keyClick(window.first_run.token, Qt.Key.Key_Return)
        assert window.first_run.token.text() == ""
        window.close()
        assert window.service.wait_closed(30)
    finally:
        logger.remove(sink)
        disable()
    assert lines
    token = str.__str__(scripted.auth_token)
    assert token not in "".join(lines)
    written = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.ini"))
    assert str(scripted.port) in written
    assert token not in written


def test_the_token_is_masked(window: MainWindow) -> None:
    field = window.first_run.token
    assert field.echoMode() is QLineEdit.EchoMode.Password
    assert field.inputMethodHints() & Qt.InputMethodHint.ImhSensitiveData


@pytest.mark.parametrize(
    ("port", "token", "text"),
    [
        (80, "x" * 20, "Port is 80, which is out of range; "),
        (99999, "x" * 20, "Port is 99999, which is out of range; "),
        (4096, "", "Token is blank; give the token "),
    ],
)
def test_an_address_that_is_none_is_told_at_its_field(
    qtbot: QtBot, window: MainWindow, port: int, token: str, text: str
) -> None:
    enter(qtbot, window, port, token)
    qtbot.mouseClick(window.first_run.connect_button, _LEFT)
    assert window.first_run.problem.isVisible()
    assert window.first_run.problem.text().startswith(text)  # in the words of the form


def test_the_port_is_typed_digit_by_digit(qtbot: QtBot, window: MainWindow) -> None:
    field = window.first_run.port
    assert (field.text(), field.placeholderText()) == ("", "1024 to 65535")
    qtbot.mouseClick(field, _LEFT)
    qtbot.keyClicks(field, "5x9,99")
    assert field.text() == "5999"


@pytest.mark.parametrize("key", [False, True])
def test_without_a_port_it_asks_for_one(qtbot: QtBot, window: MainWindow, key: bool) -> None:
    page = window.first_run
    if key:
        qtbot.keyClick(page.port, Qt.Key.Key_Return)
    else:
        qtbot.mouseClick(page.connect_button, _LEFT)
    assert page.problem.isVisible()
    assert page.problem.text() == "Enter the port that the gateway listens on."
    assert page.port.hasFocus()


def test_what_failed_before_is_not_told_beside_what_failed_now(
    qtbot: QtBot, window: MainWindow
) -> None:
    page = window.first_run
    assert page.reason.isVisible()
    enter(qtbot, window, 1024, "nobody-listens-there")
    qtbot.mouseClick(page.connect_button, _LEFT)
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    assert page.reason.isHidden()
    enter(qtbot, window, 80, "nobody-listens-there")
    qtbot.mouseClick(page.connect_button, _LEFT)
    assert page.problem.isVisible()
    assert window.error_banner.isHidden()


def test_only_what_worked_is_remembered(
    qtbot: QtBot, window: MainWindow, settings: WindowSettings
) -> None:
    enter(qtbot, window, 1024, "nobody-listens-there")
    qtbot.mouseClick(window.first_run.connect_button, _LEFT)
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    assert (settings.port, settings.gateway) == (0, None)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.first_run.embedded, _LEFT)
    assert (settings.port, settings.gateway) == (0, GatewayKind.EMBEDDED)


def test_the_gateway_of_last_time_is_offered_first(
    qtbot: QtBot, settings: WindowSettings, open_window: OpenWindow
) -> None:
    settings.gateway = GatewayKind.EMBEDDED
    page = open_window().first_run
    qtbot.waitUntil(page.isVisible, timeout=PATIENCE)
    assert page.embedded.hasFocus()
    assert (page.embedded.isDefault(), page.opencode.isDefault()) == (True, False)


def test_a_wrong_address_can_be_corrected(
    qtbot: QtBot, window: MainWindow, scripted: IpcConfig
) -> None:
    enter(qtbot, window, scripted.port, "not-the-token-of-the-gateway")
    qtbot.mouseClick(window.first_run.connect_button, _LEFT)
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    assert window.error_banner.title.text() == "Authentication Failed"
    assert window.first_run.isVisible()
    enter(qtbot, window, scripted.port, str.__str__(scripted.auth_token))
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.first_run.connect_button, _LEFT)


def test_looking_again_in_vain_says_so(qtbot: QtBot, window: MainWindow) -> None:
    reason = window.first_run.reason
    qtbot.mouseClick(window.first_run.look, _LEFT)
    qtbot.waitUntil(lambda: reason.text().startswith("Looked again. No backend"), timeout=PATIENCE)
    assert window.error_banner.isHidden()  # it would say the same


def test_the_backend_in_use_can_be_left_for_another_or_not(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    window.choose_action.trigger()
    page = window.first_run
    assert page.isVisible()
    assert page.reason.isHidden()
    qtbot.waitUntil(lambda: not page.back.visibleRegion().isEmpty(), timeout=PATIENCE)
    qtbot.mouseClick(page.back, _LEFT)
    assert window.sessions.isVisible()


def test_the_sessions_of_the_backend_before_are_not_shown_as_the_new_ones(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment it is left; until the new one's list is there, there is none."""
    window = loaded(scripted)
    window.open_session(session(1))
    other = Backend()
    held = other.script["list_sessions"] = Held(lambda: [session(7)])
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(other))
    window.choosing.start_gateway(GatewayKind.OPENCODE)
    assert window.status.state.text() == "Changing the backend..."
    assert window.status.server.isHidden()
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    qtbot.waitUntil(lambda: window.status.state.text() == "Connected", timeout=PATIENCE)
    assert (shown(window), titles(window)) == (Shown.LOADING, [])
    assert window.chat.isHidden()
    assert window.lost_banner.isHidden()
    assert not window.sessions.delete_action.isEnabled()
    held.go_on.set()
    qtbot.waitUntil(lambda: titles(window) == ["Session 7"], timeout=PATIENCE)


def test_a_backend_that_goes_while_another_is_started_is_not_missed(
    qtbot: QtBot, store: Gateway, loaded: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = loaded(config_of(store))
    other = Backend()
    held = other.script["start"] = Held(lambda: None)
    other.script["list_sessions"] = lambda: [session(7)]
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(other))
    window.choosing.start_gateway(GatewayKind.OPENCODE)
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    with qtbot.waitSignal(window.service.lost, timeout=PATIENCE):
        window.sessions.load()  # given up with the backend that it asks
        store.stop(0.1)
    assert shown(window) is Shown.LOADING
    assert window.lost_banner.isHidden()
    assert not window.sessions.is_loading
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        held.go_on.set()
    assert titles(window) == ["Session 7"]


def test_a_gateway_that_does_not_start_leaves_the_backend_in_use(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kind: GatewayKind, directory: Path | None) -> Gateway:
        raise IpcConfigError("no opencode is on the PATH", source="installation")

    window = loaded(scripted)
    before = titles(window)
    monkeypatch.setattr(lifecycle, "make_gateway", fail)
    window.choose_action.trigger()
    qtbot.mouseClick(window.first_run.opencode, _LEFT)
    qtbot.waitUntil(window.error_banner.isVisible, timeout=PATIENCE)
    qtbot.mouseClick(window.first_run.back, _LEFT)
    assert window.error_banner.isHidden()
    assert (window.status.state.text(), titles(window)) == ("Connected", before)
    assert before


def test_the_newest_wish_is_the_one_that_counts(
    qtbot: QtBot,
    window: MainWindow,
    scripted: IpcConfig,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start that hangs holds up nobody, and how it ends does not matter any more."""
    held = Held(lambda: None)
    other = Backend()
    other.script["start"] = held
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(other))
    window.choosing.start_gateway(GatewayKind.OPENCODE)
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    other.script["close"] = held.go_on.set
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.choosing.use_address(scripted)
    assert window.service.endpoint == scripted.endpoint
    assert window.error_banner.isHidden()


def test_closing_while_a_gateway_starts_ends_it(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(lambda: None)
    other = Backend()
    other.script["start"] = held
    other.script["close"] = held.go_on.set
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(other))
    window.choosing.start_gateway(GatewayKind.OPENCODE)
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    window.close()
    assert window.service.wait_closed(30)
    assert other.closes >= 1


@pytest.mark.parametrize("name", ["opencode", "embedded", "look", "back", "connect_button"])
def test_enter_presses_the_button_that_has_the_keyboard(
    qtbot: QtBot, window: MainWindow, name: str
) -> None:
    page = window.first_run
    button = getattr(page, name)
    button.clicked.disconnect()
    button.show()
    button.setFocus()
    with qtbot.waitSignal(button.clicked, timeout=PATIENCE):
        qtbot.keyClick(button, Qt.Key.Key_Return)


def test_after_a_wish_that_failed_its_button_has_the_keyboard_again(window: MainWindow) -> None:
    page = window.first_run
    page.embedded.setFocus()
    page.set_busy(True)
    assert not page.embedded.hasFocus()
    page.set_busy(False)
    assert page.embedded.hasFocus()


def test_who_has_taken_the_keyboard_elsewhere_meanwhile_keeps_it(window: MainWindow) -> None:
    page = window.first_run
    page.embedded.setFocus()
    page.set_busy(True)
    page.token.setFocus()
    page.set_busy(False)
    assert page.token.hasFocus()
    page.set_busy(False)
    assert page.token.hasFocus()

"""Each kind of error in the banner, and what Retry does about it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from pytestqt.qtbot import QtBot

from opencode_sync import IpcClientOptions, IpcConfig, IpcConnectionError, IpcServerError
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.gateway import BackendError
from opencode_sync.wire import ipc_pb2

from .conftest import PATIENCE, Backend, Held, OpenWindow, session, shown, titles

_LEFT = Qt.MouseButton.LeftButton


def wait_for(qtbot: QtBot, window: MainWindow, title: str) -> None:
    banner = window.error_banner
    qtbot.waitUntil(lambda: banner.isVisible() and banner.title.text() == title, timeout=PATIENCE)


def test_a_refused_token_is_an_authentication_error_without_retry(
    qtbot: QtBot, scripted: IpcConfig, open_window: OpenWindow
) -> None:
    window = open_window(IpcConfig(scripted.port, "not-the-token-of-the-gateway"))
    wait_for(qtbot, window, "Authentication Failed")
    assert window.error_banner.text.text()
    assert window.error_banner.retry.isHidden()
    assert shown(window) is Shown.FAILED


def test_nobody_there_is_a_connection_error_until_retry_finds_somebody(
    qtbot: QtBot, scripted: IpcConfig, open_window: OpenWindow
) -> None:
    window = open_window(IpcConfig(1024, "nobody-listens-there"))
    wait_for(qtbot, window, "Connection Error")
    assert "Connection refused" in window.error_banner.text.text()
    assert window.error_banner.accessibleName().startswith("Connection Error. ")
    window.service._target.set_config(scripted)
    qtbot.mouseClick(window.error_banner.retry, _LEFT)
    qtbot.waitUntil(lambda: shown(window) is Shown.LIST, timeout=PATIENCE)
    assert window.error_banner.isHidden()


def test_a_slow_backend_is_a_timeout_and_retry_reads_again(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, open_window: OpenWindow
) -> None:
    held = backend.script["list_sessions"] = Held(lambda: [])
    window = open_window(scripted, options=IpcClientOptions(default_request_timeout=0.3))
    wait_for(qtbot, window, "Request Timeout")
    assert window.error_banner.text.text() == "The request took too long. Please try again."
    held.go_on.set()
    backend.script["list_sessions"] = lambda: [session(4)]
    qtbot.mouseClick(window.error_banner.retry, _LEFT)
    qtbot.waitUntil(lambda: titles(window) == ["Session 4"], timeout=PATIENCE)
    assert window.error_banner.isHidden()


def test_an_error_of_the_backends_has_its_text_and_no_retry(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, open_window: OpenWindow
) -> None:
    def refuse() -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "<b>it</b> broke")

    backend.script["list_sessions"] = refuse
    window = open_window(scripted)
    wait_for(qtbot, window, "Server Error")
    assert "<b>it</b> broke" in window.error_banner.text.text()
    assert window.error_banner.text.textFormat() is Qt.TextFormat.PlainText
    assert "&lt;b&gt;it&lt;/b&gt; broke" in window.error_banner.text.toolTip()
    assert window.error_banner.retry.isHidden()
    backend.script["list_sessions"] = lambda: [session(4)]
    qtbot.mouseClick(window.sessions.parts.failed.button, _LEFT)
    qtbot.waitUntil(lambda: titles(window) == ["Session 4"], timeout=PATIENCE)
    assert window.error_banner.isHidden()  # it was about the list, which is there now


def test_what_nobody_foresaw_is_said_without_its_text(
    scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    window.show_failure(ZeroDivisionError("for programmers"))
    assert window.error_banner.title.text() == "Error"
    assert "programmers" not in window.error_banner.text.text()


def test_an_error_of_an_action_outlives_a_refresh_and_can_be_closed(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    error = IpcServerError("it broke", request_id=2, code=3, operation="x")
    window.show_failure(error, "The session was not deleted")
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.sessions.load()
    assert window.error_banner.isVisible()
    qtbot.mouseClick(window.error_banner.dismiss, _LEFT)
    assert window.error_banner.isHidden()
    assert window.banners.isHidden()


def test_retry_while_connected_reads_the_list(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    window.show_failure(IpcConnectionError("it stumbled"))
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.mouseClick(window.error_banner.retry, _LEFT)
    assert window.error_banner.isHidden()


def test_the_banner_is_readable_in_both_themes_and_follows_a_change(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    """WCAG's contrast of text and background is at least 7 (its level AAA)."""
    window = loaded(scripted)
    banner = window.error_banner
    errors = (IpcConnectionError("x"), IpcServerError("x", request_id=1, code=1, operation="x"))
    backgrounds = set()
    for colour in ("#f4f5f7", "#24272d"):
        window.setPalette(QPalette(QColor(colour)))
        for error in errors:
            window.show_failure(error)
            qtbot.waitUntil(banner.isVisible, timeout=PATIENCE)
            text = banner.text.palette().windowText().color()
            background = banner.grab().toImage().pixelColor(banner.width() // 2, 4)
            assert contrast(text, background) >= 7
            backgrounds.add(background.name())
    assert len(backgrounds) == 2
    window.setPalette(QPalette(QColor("#f4f5f7")))  # as the system changes at dusk
    assert banner.text.palette().windowText().color().lightness() < 128


def contrast(one: QColor, other: QColor) -> float:
    def luminance(colour: QColor) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (colour.redF(), colour.greenF(), colour.blueF())
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("size", [(300, 200), (800, 600)])
def test_the_banner_fits_whatever_the_windows_size(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow, size: tuple[int, int]
) -> None:
    window = loaded(scripted)
    window.show_failure(IpcConnectionError("a long sentence that goes on and on " * 4))
    window.resize(*size)
    banner = window.error_banner
    qtbot.waitUntil(
        lambda: banner.text.height() >= banner.text.heightForWidth(banner.text.width()),
        timeout=PATIENCE,
    )
    assert banner.geometry().right() <= window.width()

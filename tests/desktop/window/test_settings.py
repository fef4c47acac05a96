"""What the window remembers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QSettings, QSize
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.desktop.settings import WindowSettings

from .conftest import PATIENCE, Backend, OpenWindow, close, session, titles


def test_size_page_order_and_the_share_of_the_chat_are_remembered(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(n, f"{n:02}") for n in range(25)]
    first = loaded(scripted)
    first.resize(651, 552)
    first.sessions.parts.order_chosen.emit(SortOrder.TITLE)
    first.sessions.parts.pager.page_wanted.emit(1)
    first.open_session(session(1))
    first.splitter.setSizes([400, 220])
    sizes = settled_sizes(qtbot, first)
    close(first)
    second = loaded(scripted)
    assert second.size() == QSize(651, 552)
    assert (second.sessions.page, second.sessions.order) == (1, SortOrder.TITLE)
    assert titles(second)[0] == "10"
    assert second.sessions.parts.order.currentData() == SortOrder.TITLE
    second.open_session(session(1))
    assert settled_sizes(qtbot, second) == sizes


def settled_sizes(qtbot: QtBot, window: MainWindow) -> list[int]:
    """How the list and the chat share the room, once what is between them has some as well."""
    splitter = window.splitter
    qtbot.waitUntil(lambda: sum(splitter.sizes()) < splitter.width(), timeout=PATIENCE)
    return splitter.sizes()


def test_the_first_chat_of_all_leaves_the_list_two_fifths(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    window.resize(1000, 700)
    window.open_session(session(1))
    listed, chat = settled_sizes(qtbot, window)
    assert listed / (listed + chat) == pytest.approx(0.4, abs=0.01)


@pytest.fixture
def store(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "other.ini"), QSettings.Format.IniFormat)


def test_at_first_there_is_nothing_to_remember(store: QSettings) -> None:
    settings = WindowSettings(store)
    assert settings.geometry == settings.splitter == QByteArray()
    assert (settings.page, settings.order, settings.port) == (0, SortOrder.UPDATED, 0)


def test_nonsense_reads_as_the_default(store: QSettings) -> None:
    for key in (
        "window/geometry",
        "sessions/page",
        "sessions/order",
        "address/port",
        "gateway/kind",
    ):
        store.setValue(key, "nonsense")
    settings = WindowSettings(store)
    assert settings.geometry == QByteArray()
    assert (settings.page, settings.order, settings.port) == (0, SortOrder.UPDATED, 0)
    assert settings.gateway is None
    store.setValue("address/port", "70000")
    assert settings.port == 0


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 400, "-1", "\u0663", "1e3", "7" * 7])
def test_a_number_that_cannot_be_reads_as_the_default(
    store: QSettings, digits: str, scripted: IpcConfig, loaded: OpenWindow, settings: WindowSettings
) -> None:
    for key in ("sessions/page", "address/port"):
        store.setValue(key, digits)
        settings._store.setValue(key, digits)
    assert (WindowSettings(store).page, WindowSettings(store).port) == (0, 0)
    window = loaded(scripted)
    assert (window.sessions.page, window.first_run.port.text()) == (0, "")


def test_what_is_saved_is_there_next_time(store: QSettings) -> None:
    settings = WindowSettings(store)
    settings.port = 4096
    settings.gateway = GatewayKind.EMBEDDED
    settings.save()
    again = QSettings(store.fileName(), QSettings.Format.IniFormat)
    assert WindowSettings(again).port == 4096
    assert WindowSettings(again).gateway is GatewayKind.EMBEDDED


def test_without_a_store_it_is_this_users_own(tmp_path: Path) -> None:
    settings = WindowSettings()
    assert settings._store.organizationName() == "opencode-sync"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other systems keep it elsewhere")
def test_nobody_else_reads_what_was_not_sent(store: QSettings) -> None:
    file = Path(store.fileName())
    settings = WindowSettings(store)
    settings.port = 4096
    settings.save()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)  # as an older version has left it
    settings.port = 4097
    settings.save()
    assert file.stat().st_mode & 0o777 == 0o600
    assert WindowSettings(QSettings(str(file), QSettings.Format.IniFormat)).port == 4097


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other systems keep it elsewhere")
def test_a_place_that_takes_no_settings_is_told_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = WindowSettings(
        QSettings(str(tmp_path / "file" / "x.ini"), QSettings.Format.IniFormat)
    )
    settings.port = 4096
    settings.save()
    assert settings.port == 4096

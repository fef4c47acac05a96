"""A real window, offscreen, and backends for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import shiboken6
from PySide6.QtCore import QEvent, QEventLoop, QObject, QSettings, Signal
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.sessions.model import Role
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.types import OcSessionInfo
from tests.desktop.leaks import no_leaks_beside_qt
from tests.unit.gateway.doubles import StreamingBackend

PATIENCE: Final = 30_000
"""Milliseconds after which a test takes a thing for never happening."""

NOW: Final = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def ms_ago(seconds: float) -> int:
    """Unix milliseconds so long before ``NOW``."""
    return round((NOW.timestamp() - seconds) * 1000)


def session(number: int, title: str = "", *, updated: float = 0.0) -> OcSessionInfo:
    """A session that was last updated so many seconds ago."""
    made = OcSessionInfo(id=f"ses_{number:026d}", title=title or f"Session {number}")
    made.time.created = made.time.updated = ms_ago(updated)
    return made


class FakeChat(QWidget):
    """Stands in for the chat pane, which has tests of its own."""

    failed = Signal(object)
    session_busy_changed = Signal(str, bool)
    left = Signal()

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.composer = self  # of which is asked only whether it can be written to
        self.shown: list[OcSessionInfo | None] = []
        self.changed: list[OcSessionInfo] = []
        self.reloads = 0
        self.forgotten: list[str] = []
        self.shut_down = False

    def show_session(self, session: OcSessionInfo | None) -> None:
        self.shown.append(session)

    def update_session(self, session: OcSessionInfo) -> None:
        self.changed.append(session)

    def reload(self) -> None:
        self.reloads += 1

    def begin_new(self) -> bool:
        return True

    def give_up_new(self) -> None:
        pass

    def adopt_new(self, session_id: str) -> None:
        pass

    def take_focus(self) -> None:
        pass

    def may_close(self, close: Callable[[], object]) -> bool:
        return True

    def forget_session(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    def shutdown(self) -> None:
        self.shut_down = True


class Backend(StreamingBackend):
    """As the gateway's scripted backend, with sessions that can be read and renamed."""

    def get_session(self, session_id: str, *, deadline: Any) -> OcSessionInfo:
        return self._do("get_session", lambda session_id: session(1), session_id)

    def update_session(
        self, session_id: str, *, title: str | None, archived: bool | None, deadline: Any
    ) -> OcSessionInfo:
        def renamed(session_id: str, title: str) -> OcSessionInfo:
            return OcSessionInfo(id=session_id, title=title)

        return self._do("update_session", renamed, session_id, title)


@pytest.fixture(scope="session")
def _qt_is_warm(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What Qt opens once for all, such as its fonts, is open before anybody counts."""
    path = tmp_path_factory.mktemp("warm") / "window.ini"
    settings = WindowSettings(QSettings(str(path), QSettings.Format.IniFormat))
    window = MainWindow(Service(IpcConfig(1024, "nobody-listens-there")), settings)
    window.show()
    window.start()
    while window.error_banner.isHidden():
        qapp.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    close(window)


@pytest.fixture
def leaves_nothing(_qt_is_warm: None) -> Iterator[None]:
    with no_leaks_beside_qt():
        yield


@pytest.fixture
def backend() -> Backend:
    return Backend()


def start(backend: Any) -> Gateway:
    gateway = Gateway(backend)
    gateway.start()
    return gateway


def config_of(gateway: Gateway) -> IpcConfig:
    return IpcConfig(gateway.port, gateway.auth_token)


@pytest.fixture
def scripted(backend: Backend, leaves_nothing: None) -> Iterator[IpcConfig]:
    """Where a gateway listens whose backend does as the test says."""
    gateway = start(backend)
    yield config_of(gateway)
    gateway.stop(1)


@pytest.fixture
def store(tmp_path: Path, leaves_nothing: None) -> Iterator[Gateway]:
    """A gateway with the embedded store."""
    gateway = start(EmbeddedBackend(tmp_path / "sessions.db", directory="/project"))
    yield gateway
    gateway.stop(1)


@pytest.fixture
def settings(tmp_path: Path) -> WindowSettings:
    return WindowSettings(QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))


OpenWindow = Callable[..., MainWindow]


@pytest.fixture
def open_window(
    qtbot: QtBot, settings: WindowSettings, leaves_nothing: None
) -> Iterator[OpenWindow]:
    """``open_window(config)``: the real window, connecting; closed after the test."""
    opened: list[MainWindow] = []

    def open_window(
        config: Any = None,
        *,
        start: bool = True,
        make_chat: Callable[[Service], Any] = FakeChat,
        probe_seconds: float = 3600.0,
        **options: Any,
    ) -> MainWindow:
        service = Service(config, probe_seconds=probe_seconds, **options)
        window = MainWindow(service, settings, clock=lambda: NOW, make_chat=make_chat)
        opened.append(window)
        window.show()
        window.activateWindow()
        if start:
            window.start()
        return window

    yield open_window
    for window in opened:
        close(window)


def close(window: MainWindow) -> None:
    """Close a window and wait until all it had begun has ended."""
    if shiboken6.isValid(window):
        window.close()
        assert window.service.wait_closed(30.0)
        destroy(window)


def destroy(thing: QObject) -> None:
    """Destroy it here and now: Python's collector may run on any thread, Qt's objects may not."""
    thing.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def loaded(qtbot: QtBot, open_window: OpenWindow) -> OpenWindow:
    """As ``open_window``, and its list has been read."""

    def open_loaded(config: Any, **options: Any) -> MainWindow:
        window = open_window(config, start=False, **options)
        with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
            window.start()
        return window

    return open_loaded


def titles(window: MainWindow) -> list[str]:
    """What the page of the list shows."""
    model = window.sessions.parts.view.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def times(window: MainWindow) -> list[str]:
    model = window.sessions.parts.view.model()
    return [model.index(row, 0).data(Role.TIMES) for row in range(model.rowCount())]


def shown(window: MainWindow) -> Shown:
    """What stands in the middle of the page."""
    return Shown(window.sessions.parts.stack.currentIndex())


class Held:
    """An operation of a backend that waits until the test lets it go on."""

    def __init__(self, result: Callable[..., Any]) -> None:
        self._result = result
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(PATIENCE / 1000)
        return self._result(*arguments)

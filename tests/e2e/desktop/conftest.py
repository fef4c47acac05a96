"""A chat pane, offscreen, before a real OpenCode whose model is the stub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before any Qt application is made.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import OcSessionInfo
from tests.desktop.chat.panes import PATIENCE, end, settled, warm_up
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import StubModel
from tests.support.leaks import no_leaks


@pytest.fixture(scope="package")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="package")
def server(
    opencode_program: Path, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """Its provider "stub" is the stub model."""
    folder = tmp_path_factory.mktemp("opencode-of-the-pane")
    running = RealServer(
        opencode_program, folder, environ={"OPENCODE_CONFIG_CONTENT": stub.config()}
    )
    yield running
    running.stop()


@pytest.fixture(scope="package")
def gateway(server: RealServer) -> Iterator[Gateway]:
    with Gateway(OpenCodeBackend(server.url)) as gateway:
        yield gateway


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "pane.ini"), QSettings.Format.IniFormat)


@pytest.fixture(scope="session")
def _qt_is_warm(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(qapp, tmp_path_factory.mktemp("warm"))


OpenPane = Callable[[], ChatPane]


@pytest.fixture
def open_pane(qtbot: QtBot, gateway: Gateway, settings: QSettings) -> Iterator[OpenPane]:
    """``open_pane()``: a pane that is connected; it is closed after the test, as a window does."""
    opened: list[tuple[ChatPane, Service]] = []

    def open_pane() -> ChatPane:
        service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
        with qtbot.waitSignal(service.connected, timeout=PATIENCE):
            service.start()
        pane = ChatPane(service, settings=settings)
        opened.append((pane, service))
        pane.resize(600, 700)
        pane.show()
        pane.activateWindow()
        return pane

    yield open_pane
    for pane, service in opened:
        end(pane, service)


@pytest.fixture
def pane(open_pane: OpenPane) -> ChatPane:
    return open_pane()


@pytest.fixture
def chosen(server: RealServer) -> OcSessionInfo:
    """A new session of OpenCode's."""
    return OcSessionInfo(id=server.create("Of a test"), title="Of a test")


@pytest.fixture
def shown(qtbot: QtBot, pane: ChatPane, chosen: OcSessionInfo) -> ChatPane:
    """The pane, with that session."""
    pane.show_session(chosen)
    settled(qtbot, pane)
    return pane


@pytest.fixture
def nothing_left(_qt_is_warm: None) -> Iterator[None]:
    """For a test that closes all it has opened."""
    with no_leaks(settle=10.0):
        yield

"""A gateway that is killed while an answer is written: OpenCode goes on, the window comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.service import Service
from opencode_sync.providers import FileConfigProvider
from opencode_sync.types import OcSessionInfo
from tests.desktop.chat.panes import PATIENCE, end, settled, texts, write
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import Gate, StubModel
from tests.support.leaks import eventually

pytestmark = pytest.mark.e2e

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(server: RealServer, tmp_path: Path) -> Iterator[Start]:
    """``start()``: a gateway's process, which tells its address in ``gateway.json``."""
    started: list[subprocess.Popen[bytes]] = []
    told = tmp_path / "gateway.json"

    def start() -> subprocess.Popen[bytes]:
        told.unlink(missing_ok=True)
        command = ["-m", "opencode_sync", "gateway", "--backend", "opencode"]
        options = ["--opencode-url", server.url, "--runtime-file", str(told)]
        process = subprocess.Popen(
            [sys.executable, *command, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        assert eventually(told.exists, 30.0)
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def gate(stub: StubModel) -> Iterator[Gate]:
    gate = stub.gate("killed")
    yield gate
    gate.let(1_000)


def test_what_was_shown_stays_marked_until_the_history_has_all_of_it(
    qtbot: QtBot,
    start: Start,
    tmp_path: Path,
    settings: QSettings,
    chosen: OcSessionInfo,
    gate: Gate,
) -> None:
    first = start()
    service = Service(FileConfigProvider(tmp_path / "gateway.json"), probe_seconds=3600.0)
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        service.start()
    pane = ChatPane(service, settings=settings)
    pane.show()
    pane.show_session(chosen)
    settled(qtbot, pane)
    write(pane, "[[words:5]] [[gate:killed]]")
    for _ in range(2):
        assert gate.reached.acquire(timeout=60)
        gate.let()
    qtbot.waitUntil(lambda: texts(pane)[1:] == ["w0 w1"], timeout=PATIENCE)
    first.kill()
    first.wait(30)
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    with qtbot.waitSignal(service.connected, timeout=2 * PATIENCE):
        start()
    settled(qtbot, pane)
    assert texts(pane)[1:] == ["w0 w1"]
    assert "Cut off" in pane.history.views[1].labels[2].text()
    gate.let(1_000)

    def read_again() -> bool:
        pane.reload()
        settled(qtbot, pane)
        return texts(pane)[1:] == ["w0 w1 w2 w3 w4"]

    qtbot.waitUntil(read_again, timeout=PATIENCE)
    assert pane.history.views[1].labels[2].text() == ""
    end(pane, service)

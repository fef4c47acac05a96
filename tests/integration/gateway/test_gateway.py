"""The gateway's life: what it starts, leaves for clients, and takes away again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from loguru import logger

from opencode_sync import gateway as package
from opencode_sync.errors import IpcError, IpcUsageError
from opencode_sync.gateway import BackendError, Gateway, GatewayError
from opencode_sync.runtime_file import write_runtime_file
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import (
    PATIENCE,
    Held,
    MemoryPeerOfGateway,
    ScriptedBackend,
    WebSocketPeer,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("kind", [Path, str])
def test_runtime_file_holds_port_and_token_while_it_runs(
    tmp_path: Path, kind: type[Path] | type[str]
) -> None:
    path = tmp_path / "own" / "gateway.json"
    with Gateway(ScriptedBackend(), runtime_file=kind(path)) as gateway:
        assert json.loads(path.read_text()) == {
            "port": gateway.port,
            "auth_token": gateway.auth_token,
            "pid": os.getpid(),
        }
        assert gateway.runtime_file == path
    assert not path.exists()


def test_runtime_file_of_a_living_gateway_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    backend = ScriptedBackend()
    second = Gateway(backend, runtime_file=path)
    with Gateway(ScriptedBackend(), runtime_file=path) as first:
        with pytest.raises(GatewayError, match="--runtime-file") as caught:
            second.start()
        assert f"process {os.getpid()}, port {first.port}" in caught.value.message
        assert json.loads(path.read_text())["auth_token"] == first.auth_token
        assert backend.closes == backend.starts
    assert not path.exists()
    with second:
        assert json.loads(path.read_text())["auth_token"] == second.auth_token


@pytest.mark.parametrize("process", ["gone", "there"])
def test_runtime_file_of_a_killed_gateway_is_taken(tmp_path: Path, process: str) -> None:
    path = tmp_path / "gateway.json"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens there
        pid = os.getpid()
        if process == "gone":
            child = subprocess.Popen([sys.executable, "-S", "-c", ""])
            child.wait(PATIENCE)
            pid = child.pid
        write_runtime_file(path, port=free.getsockname()[1], auth_token="old", pid=pid)
        with Gateway(ScriptedBackend(), runtime_file=path) as gateway:
            assert json.loads(path.read_text())["auth_token"] == gateway.auth_token


def test_runtime_file_that_became_anothers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    with Gateway(ScriptedBackend(), runtime_file=path):
        write_runtime_file(path, port=4096, auth_token="another one's", pid=1)
    assert json.loads(path.read_text())["auth_token"] == "another one's"


def test_runtime_file_that_cannot_be_written_undoes_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    backend = ScriptedBackend()
    gateway = Gateway(backend, runtime_file=tmp_path / "file" / "gateway.json")
    with pytest.raises(IpcError, match="runtime"):
        gateway.start()
    assert backend.closes == 1
    with pytest.raises(IpcUsageError, match="no port before start"):
        _ = gateway.port
    gateway.stop()


def test_runtime_file_that_cannot_be_removed_does_not_stop_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path, *, auth_token: str) -> bool:
        raise PermissionError(13, "Permission denied")

    backend = ScriptedBackend()
    gateway = Gateway(backend, runtime_file=tmp_path / "gateway.json")
    gateway.start()
    monkeypatch.setattr("opencode_sync.runtime_file.remove_runtime_file", failing)
    gateway.stop()
    assert backend.closes == 1


def test_start_and_stop_more_than_once() -> None:
    backend = ScriptedBackend()
    gateway = Gateway(backend)
    gateway.start()
    port = gateway.port
    gateway.start()
    assert gateway.port == port
    gateway.stop()
    gateway.stop()
    assert (backend.starts, backend.closes) == (1, 1)


def test_stop_without_start() -> None:
    backend = ScriptedBackend()
    gateway = Gateway(backend)
    assert gateway.endpoint == "memory:"
    assert gateway.backend is backend
    gateway.stop()
    assert (backend.starts, backend.closes) == (0, 1)


def test_stopped_gateway_is_not_used_again() -> None:
    gateway = Gateway(ScriptedBackend())
    gateway.stop()
    with pytest.raises(IpcUsageError, match="make a new one"):
        gateway.start()
    with pytest.raises(IpcUsageError, match="make a new one"):
        gateway.connect_in_memory()


def test_backend_that_cannot_start_is_told() -> None:
    def fail() -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no server here")

    backend = ScriptedBackend()
    backend.script["start"] = fail
    gateway = Gateway(backend)
    with pytest.raises(BackendError, match="no server here"):
        gateway.start()
    with pytest.raises(BackendError, match="no server here"):
        gateway.connect_in_memory()
    del backend.script["start"]
    with gateway:
        assert gateway.port


def test_sockets_and_memory_together() -> None:
    backend = ScriptedBackend()
    with Gateway(backend) as gateway:
        over_socket, in_memory = WebSocketPeer(gateway), MemoryPeerOfGateway(gateway)
        for peer in (over_socket, in_memory):
            peer.authenticate(gateway.auth_token)
            assert peer.ask(2, "check_health").check_health_response.healthy
            peer.close()
    assert backend.starts == 1


def test_backend_that_never_lets_go_is_left_behind_with_a_warning() -> None:
    held = Held()
    backend = ScriptedBackend()
    backend.script["check_health"] = held
    lines: list[str] = []
    gateway = Gateway(backend)
    peer = MemoryPeerOfGateway(gateway)
    peer.authenticate(gateway.auth_token)
    peer.send(2, "check_health")
    held.wait_entered()
    logger.enable("opencode_sync")
    sink = logger.add(lines.append)
    try:
        gateway.stop(1.0)
    finally:
        logger.remove(sink)
        logger.disable("opencode_sync")
        held.released.set()
    assert "threads of the gateway are stuck" in "".join(lines)
    assert "it may have been done" in peer.receive().error.message


def test_two_stops_at_once_wait_for_each_other() -> None:
    held = Held()
    backend = ScriptedBackend()
    backend.script["close"] = held
    gateway = Gateway(backend)
    gateway.start()
    ends = []
    threads = [
        threading.Thread(target=lambda: (gateway.stop(), ends.append(held.released.is_set())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    held.wait_entered()
    held.released.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert ends == [True, True]
    assert backend.closes == 1


def test_public_names() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018

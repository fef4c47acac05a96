"""The gateway as a door: what is not shown by the peers of ``test_against_gateway.py``."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("websockets")

from opencode_sync import IpcClient, IpcConfigError
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend, Gateway, GatewayError
from opencode_sync.gateway import session as session_module
from opencode_sync.providers import FileConfigProvider
from tests.integration.gateway.conftest import backend, nothing_left, start
from tests.integration.hostile.wire import RawPeer, message
from tests.unit.gateway.doubles import PATIENCE, ScriptedBackend

__all__ = ["backend", "nothing_left", "start"]  # fixtures

pytestmark = pytest.mark.usefixtures("nothing_left")

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


@pytest.fixture
def runtime_file(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder / "gateway.json"


def test_tokens_are_compared_in_constant_time(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(session_module, "hmac", type("Hmac", (), {"compare_digest": compare}))
    gateway = start()
    with RawPeer(gateway.port) as peer:
        peer.open(gateway.port)
        peer.send(message(1, "auth_handshake", token="of somebody else"))
        assert peer.end().code == 1008
    assert compared == [(b"of somebody else", gateway.auth_token.encode())]


def test_every_gateway_has_a_token_of_its_own() -> None:
    tokens = {Gateway(ScriptedBackend()).auth_token for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 36 for token in tokens)  # 122 random bits as text


@posix_only
def test_the_runtime_file_is_the_users_alone(runtime_file: Path) -> None:
    with Gateway(ScriptedBackend(), runtime_file=runtime_file):
        status = runtime_file.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


@posix_only
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    gateway = Gateway(ScriptedBackend(), runtime_file=folder / "gateway.json")
    with pytest.raises(IpcConfigError, match="chmod 700"):
        gateway.start()
    assert list(folder.iterdir()) == []


@posix_only
def test_a_link_in_the_place_of_the_runtime_file_is_not_followed(
    runtime_file: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    runtime_file.symlink_to(victim)
    gateway = Gateway(ScriptedBackend(), runtime_file=runtime_file)
    with pytest.raises(IpcConfigError):
        gateway.start()
    assert victim.read_text() == "precious"
    assert runtime_file.is_symlink()


@posix_only
def test_a_client_does_not_believe_a_file_that_others_can_read(runtime_file: Path) -> None:
    with Gateway(ScriptedBackend(), runtime_file=runtime_file):
        runtime_file.chmod(0o644)
        with pytest.raises(IpcConfigError, match="chmod 600"):
            IpcClient(FileConfigProvider(runtime_file)).connect()


def test_the_store_opens_few_files_however_much_is_asked_of_it(tmp_path: Path) -> None:
    """Else a peer with many requests could use up the descriptors that others need to connect."""
    store = EmbeddedBackend(tmp_path / "sessions.db")
    store.start()
    with contextlib.ExitStack() as reading:
        for _ in range(16):
            reading.enter_context(store._file.readers.reading(Deadline.after(PATIENCE)))
        with pytest.raises(BackendError, match="too many requests at once"):
            store.list_sessions(deadline=Deadline.after(0.01))
        # Who writes does not wait for them.
        store.create_session("made meanwhile", deadline=Deadline.after(PATIENCE))
    listed = store.list_sessions(deadline=Deadline.after(PATIENCE))
    assert [session.title for session in listed] == ["made meanwhile"]
    store.close()


def test_gateways_that_start_at_once_leave_a_file_that_leads_to_one_of_them(
    runtime_file: Path,
) -> None:
    """Each serves, or says that another one does; what clients find is one that serves."""
    gateways = [Gateway(ScriptedBackend(), runtime_file=runtime_file) for _ in range(4)]
    barrier = threading.Barrier(len(gateways))
    refused: list[GatewayError] = []

    def begin(gateway: Gateway) -> None:
        barrier.wait(PATIENCE)
        try:
            gateway.start()
        except GatewayError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin, args=(gateway,)) for gateway in gateways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    try:
        assert len(refused) < len(gateways)
        assert all("--runtime-file" in error.message for error in refused)
        found = json.loads(runtime_file.read_text())["auth_token"]
        assert found in {gateway.auth_token for gateway in gateways}
        with IpcClient(FileConfigProvider(runtime_file)) as client:
            assert client.check_server_health() is True
    finally:
        for gateway in gateways:
            gateway.stop()
    assert not runtime_file.exists()
    assert list(runtime_file.parent.iterdir()) == []


_GATEWAY = """
import sys
from pathlib import Path
from opencode_sync.errors import IpcError
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.serve import run

gateway = Gateway(EmbeddedBackend(sys.argv[1]), runtime_file=Path(sys.argv[2]))
sys.stdin.readline()
try:
    sys.exit(run(gateway, announce=lambda line: print("serves", flush=True)))
except IpcError as error:
    print(error, flush=True)
    sys.exit(1)
"""


@posix_only
def test_of_gateway_processes_that_start_at_once_clients_find_one_that_serves(
    runtime_file: Path, tmp_path: Path
) -> None:
    """And it is one on the same store, whichever that is; none takes away another's file."""
    command = [sys.executable, "-c", _GATEWAY, str(tmp_path / "sessions.db"), str(runtime_file)]
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(3):
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=Path(__file__).parents[3],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = []
        for process in processes:
            assert process.stdout is not None
            said.append(process.stdout.readline().strip())
        serving = [each for each, line in zip(processes, said, strict=True) if line == "serves"]
        assert serving
        refused = [line for line in said if line != "serves"]
        assert all("--runtime-file" in line for line in refused), refused
        with IpcClient(FileConfigProvider(runtime_file)) as client:
            session = client.create_session("kept")
            pid = json.loads(runtime_file.read_text())["pid"]
        (found,) = [each for each in serving if each.pid == pid]
        # The others' end leaves the file to whom it leads.
        for process in serving:
            if process is not found:
                process.terminate()
                assert process.wait(PATIENCE) == 0
        with IpcClient(FileConfigProvider(runtime_file)) as client:
            assert [each.id for each in client.list_sessions()] == [session.id]
        found.terminate()
        assert found.wait(PATIENCE) == 0
    assert not runtime_file.exists()

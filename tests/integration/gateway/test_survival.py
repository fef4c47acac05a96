"""A gateway in a process of its own: killed, told to stop, and loaded with many peers."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import EmbeddedBackend, Gateway
from tests.unit.gateway.doubles import (
    KINDS,
    PATIENCE,
    Closed,
    MemoryPeerOfGateway,
    ScriptedBackend,
    WebSocketPeer,
    session,
)

PROGRAM = """
import sys
from pathlib import Path
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.serve import run

gateway = Gateway(EmbeddedBackend(sys.argv[1]), runtime_file=Path(sys.argv[2]))
sys.exit(run(gateway, announce=lambda line: print(line, flush=True)))
"""


@dataclass
class Running:
    """A gateway in another process, as far as a peer has to know it."""

    process: subprocess.Popen[str]
    endpoint: str
    auth_token: str
    line: str


@pytest.fixture
def launch(tmp_path: Path, nothing_left: None) -> Iterator[Callable[[], Running]]:
    processes: list[subprocess.Popen[str]] = []
    runtime_file = tmp_path / "gateway.json"

    def launch() -> Running:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "sessions.db"), str(runtime_file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        held = json.loads(runtime_file.read_text())
        return Running(process, f"ws://127.0.0.1:{held['port']}/", held["auth_token"], line)

    yield launch
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "tgkill"),
    reason="only Linux lets one choose the thread that gets a signal",
)
def test_a_signal_that_another_thread_has_got_ends_it_too(launch: Callable[[], Running]) -> None:
    """The system gives a signal to any thread; only the main one may run Python's handlers."""
    process = launch().process
    threads = {int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()}
    other = max(threads - {process.pid})
    assert ctypes.CDLL(None).tgkill(process.pid, other, int(signal.SIGTERM)) == 0
    assert process.wait(PATIENCE) == 0


def test_nothing_answered_is_lost_by_kill_9(launch: Callable[[], Running], tmp_path: Path) -> None:
    running = launch()
    answered: list[str] = []
    enough = threading.Event()

    def create() -> None:
        peer = WebSocketPeer(running)  # type: ignore[arg-type]
        peer.authenticate(running.auth_token)
        try:
            for request_id in range(2, 100_000):
                answered.append(peer.ask(request_id, "create_session").session_info.id)
                if len(answered) >= 200:
                    enough.set()
        except Closed:
            pass
        finally:
            peer.close()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(create) for _ in range(4)]
        assert enough.wait(30)
        running.process.kill()
        for worker in workers:
            worker.result(PATIENCE)
    running.process.wait(PATIENCE)

    store = EmbeddedBackend(tmp_path / "sessions.db")
    store.start()
    kept = {session.id for session in store.list_sessions(deadline=Deadline.after(PATIENCE))}
    store.close()
    assert len(answered) >= 200
    assert set(answered) <= kept

    # The next gateway takes over, the dead one's runtime file included.
    again = launch()
    assert again.auth_token != running.auth_token
    peer = WebSocketPeer(again)  # type: ignore[arg-type]
    peer.authenticate(again.auth_token)
    listed = peer.ask(2, "list_sessions").session_list.sessions
    assert set(answered) <= {session.id for session in listed}
    peer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_ends_the_process_cleanly(
    launch: Callable[[], Running], tmp_path: Path, name: str
) -> None:
    running = launch()
    peer = WebSocketPeer(running)  # type: ignore[arg-type]
    peer.authenticate(running.auth_token)
    made = peer.ask(2, "create_session", title="kept").session_info
    os.kill(running.process.pid, getattr(signal, name))
    assert peer.end().code == 1001
    peer.close()
    output, _ = running.process.communicate(timeout=PATIENCE)
    assert (running.process.returncode, output) == (0, "")
    assert running.endpoint in running.line
    assert running.auth_token not in running.line
    assert not (tmp_path / "gateway.json").exists()
    # The write-ahead log went back into the store.
    assert [file.name for file in tmp_path.iterdir()] == ["sessions.db"]
    store = EmbeddedBackend(tmp_path / "sessions.db")
    store.start()
    assert store.list_sessions(deadline=Deadline.after(PATIENCE)) == [made]
    store.close()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.usefixtures("nothing_left")
def test_every_answer_reaches_its_own_caller(kind: str) -> None:
    backend = ScriptedBackend()
    backend.script["create_session"] = lambda title: session(int(title), f"echo {title}")

    def work(number: int) -> None:
        peer = KINDS[kind](gateway)
        peer.authenticate(gateway.auth_token)
        wanted = {}
        for request_id in range(2, 102):
            wanted[request_id] = f"{number * 1000 + request_id}"
            peer.send(request_id, "create_session", title=wanted[request_id])
        for _ in range(100):
            answer = peer.receive()
            assert answer.session_info.title == f"echo {wanted.pop(answer.request_id)}"
        assert not wanted
        peer.close()

    with Gateway(backend) as gateway, ThreadPoolExecutor(32) as pool:
        for result in [pool.submit(work, number) for number in range(32)]:
            result.result(60)


@pytest.mark.usefixtures("nothing_left")
def test_many_peers_come_and_go() -> None:
    backend = ScriptedBackend()
    with Gateway(backend) as gateway:
        for number in range(100):
            peer = (WebSocketPeer, MemoryPeerOfGateway)[number % 2](gateway)
            peer.authenticate(gateway.auth_token)
            assert peer.ask(2, "check_health").check_health_response.healthy
            peer.close()

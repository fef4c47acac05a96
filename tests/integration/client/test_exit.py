"""Programs that end without closing their client, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ipcserver import TOKEN, IpcServer, Peer

Serve = Callable[..., IpcServer]

_ROOT = Path(__file__).parents[3]
_LIMIT = 1.0  # from the script's last line to the end of the process

_PREAMBLE = """
import sys, threading, time
import opencode_sync
from opencode_sync import *

config = IpcConfig(port={port}, auth_token={token!r})

def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()
"""


class Program:
    """A Python program that talks to our server; what it says is read line by line."""

    def __init__(self, server: IpcServer, body: str) -> None:
        code = _PREAMBLE.format(port=server.port, token=str(TOKEN)) + textwrap.dedent(body)
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENCODE_", "PYTHON", "COV_"))
        }
        environ["PYTHONPATH"] = str(_ROOT)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
        )

    def wait_for(self, word: str) -> None:
        """Wait until the program says this."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"it ended before it said {word!r}: {self.process.communicate()[1]}")

    def finish(self) -> tuple[float, int, str]:
        """Return how long it takes to end from now, its exit code, and what it complained about."""
        started = time.monotonic()
        try:
            _, complaints = self.process.communicate(timeout=20)
        finally:
            self.kill()
        return time.monotonic() - started, self.process.returncode, complaints

    def kill(self) -> None:
        """Leave no process behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def run(serve: Serve) -> Iterator[Callable[..., Program]]:
    """Starts programs against a server of this script; none outlives the test."""
    programs: list[Program] = []

    def start(body: str, script: Callable[[Peer], None]) -> Program:
        programs.append(Program(serve(script), body))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


def _polite(peer: Peer) -> None:
    """Answers one kind of request, never the others, and every close."""
    peer.authenticate()
    while True:
        request = peer.receive()
        if request.HasField("check_health"):
            from opencode_sync.wire.ipc_pb2 import IpcCheckHealthResponse

            peer.answer(request, check_health_response=IpcCheckHealthResponse(healthy=True))


def _frozen(peer: Peer) -> None:
    peer.authenticate()
    peer.freeze()


OPEN_CLIENTS = {
    "never connected": """
        client = IpcClient(config)
    """,
    "in-flight futures with callbacks": """
        client = IpcClient(config)
        client.connect()
        done = []
        futures = [client.futures.list_sessions() for _ in range(50)]
        for future in futures:
            future.add_done_callback(done.append)
    """,
    "a listener": """
        client = IpcClient(config)
        changes = []
        client.on_state_change(changes.append)
        client.connect()
        client.wait_for_state(ConnectionState.CONNECTED, 5)
    """,
    "a listener that does not return": """
        client = IpcClient(config)
        client.on_state_change(lambda change: threading.Event().wait())
        client.connect()
    """,
    "a listener that calls back": """
        client = IpcClient(config)
        def listen(change):
            if change.new is ConnectionState.CONNECTED:
                client.close()
        client.on_state_change(listen)
        client.connect()
        client.wait_for_state(ConnectionState.DISCONNECTED, 5)
    """,
    "a daemon thread in a call": """
        client = IpcClient(config)
        client.connect()
        entered = threading.Event()
        def work():
            entered.set()
            try:
                client.list_sessions()
            except IpcError:
                pass
        threading.Thread(target=work, daemon=True).start()
        entered.wait()
    """,
    "fast pings": """
        client = IpcClient(config, options=IpcClientOptions(ping_interval=0.01, ping_timeout=5))
        client.connect()
        time.sleep(0.05)
    """,
    "a client in a cycle": """
        class Holder: pass
        holder = Holder()
        holder.client = IpcClient(config)
        holder.client.on_state_change(lambda change, holder=holder: None)
        holder.self = holder
        holder.client.connect()
        del holder
    """,
    "three clients": """
        clients = [IpcClient(config) for _ in range(3)]
        for client in clients:
            client.connect()
        futures = [client.futures.list_sessions() for client in clients]
    """,
}


@pytest.mark.parametrize("body", OPEN_CLIENTS.values(), ids=OPEN_CLIENTS)
def test_a_client_left_open(body: str, run: Callable[..., Program]) -> None:
    _ends_quietly(run(textwrap.dedent(body) + "say('end')\n", _polite))


@pytest.mark.parametrize("name", ["in-flight futures with callbacks", "three clients"])
def test_a_client_left_open_on_a_backend_that_froze(name: str, run: Callable[..., Program]) -> None:
    _ends_quietly(run(textwrap.dedent(OPEN_CLIENTS[name]) + "say('end')\n", _frozen))


def _ends_quietly(program: Program) -> None:
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert complaints == ""
    assert code == 0
    assert took < _LIMIT


def test_an_exception_nobody_handles(run: Callable[..., Program]) -> None:
    body = """
        client = IpcClient(config)
        client.connect()
        future = client.futures.list_sessions()
        say("end")
        raise LookupError("the user's own mistake")
    """
    program = run(body, _polite)
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert code == 1
    assert complaints.count("Traceback") == 1
    assert complaints.strip().endswith("LookupError: the user's own mistake")
    assert took < _LIMIT


def test_sys_exit_in_the_middle_of_a_with_block(run: Callable[..., Program]) -> None:
    body = """
        with IpcClient(config) as client:
            future = client.futures.list_sessions()
            say("end")
            sys.exit(3)
    """
    program = run(body, _polite)
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert (code, complaints) == (3, "")
    assert took < _LIMIT


def test_a_backend_that_dies_before_the_exit(run: Callable[..., Program]) -> None:
    """The client is between two attempts when the program ends."""

    def script(peer: Peer) -> None:
        peer.authenticate()
        peer.drop()

    body = """
        policy = ReconnectPolicy(initial_delay=60.0, maximum_delay=60.0)
        client = IpcClient(config, reconnect=policy)
        client.connect()
        waiting = client.futures.list_sessions()
        if client.is_connected:
            client.wait_for_state(ConnectionState.FAILED, 5)
        say("end")
    """
    program = run(body, script)
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert (code, complaints) == (0, "")
    assert took < _LIMIT


def test_an_exit_during_a_connect_on_another_thread(run: Callable[..., Program]) -> None:
    body = """
        client = IpcClient(config)
        def work():
            try:
                client.connect()
            except IpcError:
                pass
        threading.Thread(target=work, daemon=True).start()
        deadline = time.monotonic() + 5
        while client.state is ConnectionState.DISCONNECTED and time.monotonic() < deadline:
            time.sleep(0.001)
        say("end")
    """
    program = run(body, Peer.wait_eof)
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert (code, complaints) == (0, "")
    assert took < _LIMIT


def test_a_backend_is_told_goodbye_at_exit(run: Callable[..., Program]) -> None:
    codes: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        codes.append(peer.wait_gone())

    program = run("client = IpcClient(config)\nclient.connect()\nsay('end')\n", script)
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert (code, complaints) == (0, "")
    assert took < _LIMIT
    assert codes == [1000]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("call", ["client.list_sessions()", "client.wait_for_state('never')"])
def test_ctrl_c_in_a_waiting_main_thread(call: str, run: Callable[..., Program]) -> None:
    if "wait_for_state" in call:
        call = "client.wait_for_state(ConnectionState.FAILED)"
    body = f"""
        client = IpcClient(config)
        client.connect()
        client.check_server_health()
        say("waiting")
        try:
            {call}
        except KeyboardInterrupt:
            say("interrupted")
        assert client.is_connected
        assert client.check_server_health()
        say("end")
    """
    program = run(body, _polite)
    program.wait_for("waiting")
    time.sleep(0.05)  # a signal too early finds another line of the script, and fails the test
    started = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    program.wait_for("interrupted")
    assert time.monotonic() - started < _LIMIT
    program.wait_for("end")
    took, code, complaints = program.finish()
    assert (code, complaints) == (0, "")
    assert took < _LIMIT


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_a_program_that_does_not_catch_it(run: Callable[..., Program]) -> None:
    body = """
        with IpcClient(config) as client:
            client.check_server_health()
            say("waiting")
            client.list_sessions()
    """
    program = run(body, _polite)
    program.wait_for("waiting")
    time.sleep(0.05)
    program.process.send_signal(signal.SIGINT)
    took, code, complaints = program.finish()
    assert code == -signal.SIGINT
    assert complaints.strip().endswith("KeyboardInterrupt")
    assert complaints.count("Traceback") == 1
    assert took < _LIMIT
    assert str(TOKEN) not in complaints

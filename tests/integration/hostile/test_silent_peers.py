"""Peers that are gone without a word: the gateway asks them for a sign of life, and lets go."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets")

from websockets.server import ServerProtocol

from opencode_sync import IpcClient, IpcClientOptions, IpcConfig, IpcConnectionError
from opencode_sync.gateway import Gateway
from opencode_sync.gateway.output import Output
from opencode_sync.testing import Fault, FaultProxy
from opencode_sync.wire import ext_event_pb2
from tests.integration.gateway.conftest import nothing_left, start
from tests.integration.hostile.wire import CLOSE, PING, PONG, RawPeer, frame, message
from tests.unit.gateway.doubles import PATIENCE, Run, StreamingBackend, session

__all__ = ["nothing_left", "start"]  # fixtures

Start = Callable[..., Gateway]

PATIENT = 60.0
"""Seconds that no test of these comes to the end of."""

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def backend() -> StreamingBackend:
    return StreamingBackend()


@pytest.fixture
def pinged(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released with each ping that the gateway sends."""
    sent = threading.Semaphore(0)
    send_ping = ServerProtocol.send_ping

    def counted(protocol: ServerProtocol, data: Any) -> None:
        send_ping(protocol, data)
        sent.release()

    monkeypatch.setattr(ServerProtocol, "send_ping", counted)
    return sent


@contextmanager
def trusted(gateway: Gateway) -> Iterator[RawPeer]:
    with RawPeer(gateway.port) as peer:
        peer.open(gateway.port)
        peer.authenticate(gateway.auth_token)
        yield peer


def subscribe(peer: RawPeer) -> None:
    peer.send(message(2, "subscribe"))
    answer = peer.receive()
    assert answer is not None
    assert answer.HasField("subscribed")


def is_healthy(peer: RawPeer) -> bool:
    peer.send(message(9, "check_health"))
    answer = peer.receive()
    return answer is not None and answer.check_health_response.healthy


def config_of(gateway: Gateway) -> IpcConfig:
    return IpcConfig(port=gateway.port, auth_token=gateway.auth_token)


# --- Gone ---


def test_a_peer_without_a_sign_of_life_loses_its_place_its_run_and_its_subscription(
    start: Start, backend: StreamingBackend
) -> None:
    run = backend.script["prompt"] = Run()
    gateway = start(max_peers=1, ping_interval=0.5, ping_timeout=0.5)
    with trusted(gateway) as silent:
        subscribe(silent)
        silent.send(message(3, "prompt"))
        run.wait_entered()
        assert silent.frame() == (PING, b"")
        assert silent.end().code == 1011
    assert backend.streams[0].closed.wait(PATIENCE)
    # The only place there is goes to the next.
    with ExitStack() as stack:
        other = stack.enter_context(IpcClient(config_of(gateway)))
        assert other.check_server_health() is True
    assert len(run.reasons) == 1


def test_a_half_open_link_is_found_within_interval_and_time_out(
    start: Start, backend: StreamingBackend
) -> None:
    gateway = start(ping_interval=0.2, ping_timeout=0.3)
    with FaultProxy(("127.0.0.1", gateway.port)) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=gateway.auth_token)
        options = IpcClientOptions(ping_interval=None, shutdown_timeout=0.2)
        with IpcClient(config, options=options, reconnect=None) as client:
            events = client.events()
            since = time.monotonic()
            client.check_server_health()
            proxy.inject(Fault.half_open())
            assert backend.streams[0].closed.wait(PATIENCE)
            assert 0.49 < time.monotonic() - since < 0.5 + 3  # seconds for a loaded machine
            # The client, which was told to trust its link, cannot know.
            assert client.is_connected
            events.close()


_STOPPED = """
import sys
from opencode_sync import IpcClient, IpcConfig
with IpcClient(IpcConfig(port=int(sys.argv[1]), auth_token=sys.argv[2])) as client:
    events = client.events()
    next(events)
    print("watching", flush=True)
    sys.stdin.readline()
    print(client.check_server_health(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stopped_client_is_let_go_and_comes_back_when_it_goes_on(
    start: Start, backend: StreamingBackend
) -> None:
    def opened(stream: Any) -> None:
        stream.sink.opened()
        threading.Thread(target=backend.publish, args=("hello",)).start()

    backend.script["subscribe"] = opened
    gateway = start(ping_interval=0.2, ping_timeout=1.0)
    with subprocess.Popen(
        [sys.executable, "-c", _STOPPED, str(gateway.port), gateway.auth_token],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "watching\n"
            process.send_signal(signal.SIGSTOP)
            assert backend.streams[0].closed.wait(PATIENCE)
            process.send_signal(signal.SIGCONT)
            output, _ = process.communicate("go on\n", timeout=PATIENCE)
        finally:
            process.kill()
    # It asked on another connection, and only the one it was stopped on had ended.
    assert (output, process.returncode) == ("True\n", 0)


# --- Not gone ---


def test_an_idle_client_answers_and_stays(start: Start, pinged: threading.Semaphore) -> None:
    gateway = start(ping_interval=0.05, ping_timeout=PATIENT)
    options = IpcClientOptions(ping_interval=None)
    states: list[object] = []
    with IpcClient(config_of(gateway), options=options, reconnect=None) as client:
        forget = client.on_state_change(states.append)
        for _ in range(5):  # each but the first only after the answer to the one before
            assert pinged.acquire(timeout=PATIENCE)
        assert client.check_server_health() is True
        forget()
    assert states == []


def test_any_byte_is_a_sign_of_life(start: Start) -> None:
    """After each the gateway waits anew, instead of for the pong."""
    gateway = start(ping_interval=0.05, ping_timeout=PATIENT)
    with trusted(gateway) as peer:
        for byte in message(9, "check_health"):
            assert peer.frame() == (PING, b"")
            peer.send(bytes((byte,)))
        answer = peer.receive()
        assert answer is not None
        assert answer.check_health_response.healthy


def test_who_sends_is_not_pinged(start: Start, pinged: threading.Semaphore) -> None:
    gateway = start(ping_interval=PATIENT)
    with trusted(gateway) as peer:
        for _ in range(20):
            assert is_healthy(peer)
    assert not pinged.acquire(blocking=False)


def test_a_ping_behind_much_to_read_has_time_to_arrive(
    start: Start,
    backend: StreamingBackend,
    pinged: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer that is slow to read a large answer cannot have seen the ping behind it."""
    looked = threading.Semaphore(0)
    has_room = Output.has_room

    def counted(output: Output, size: int) -> bool:
        looked.release()
        return has_room(output, size)

    monkeypatch.setattr(Output, "has_room", counted)
    large = [session(number, "x" * 100_000) for number in range(300)]  # more than systems buffer
    backend.script["list_sessions"] = lambda: large
    gateway = start(ping_interval=0.5, ping_timeout=0.2, send_timeout=PATIENT)
    with trusted(gateway) as peer:
        peer.send(message(3, "list_sessions"))
        assert pinged.acquire(timeout=PATIENCE)
        for _ in range(4):  # times that no answer came in time
            assert looked.acquire(timeout=PATIENCE)
        monkeypatch.setattr(Output, "has_room", lambda output, size: False)
        answer = peer.receive()
        assert answer is not None
        assert len(answer.session_list.sessions) == 300
        assert is_healthy(peer)


# --- There, but not reading ---


def test_answering_pings_does_not_save_a_peer_that_does_not_read(
    start: Start, backend: StreamingBackend
) -> None:
    gateway = start(ping_interval=0.05, ping_timeout=PATIENT, send_timeout=0.3)
    with trusted(gateway) as peer:
        subscribe(peer)
        (stream,) = backend.streams
        event = ext_event_pb2.IpcEvent(properties_json="x" * 100_000)
        until = time.monotonic() + 3 * PATIENCE
        while not stream.closed.wait(0.02):
            assert time.monotonic() < until
            peer.send(frame(PONG))
            for _ in range(10):
                stream.push(event)
    with trusted(gateway) as other:
        assert is_healthy(other)


def test_a_goodbye_is_not_followed_by_a_ping(start: Start, pinged: threading.Semaphore) -> None:
    gateway = start(ping_interval=0.2, ping_timeout=PATIENT)
    with trusted(gateway) as peer:
        gateway.stop(1.0)  # which waits in vain for the peer's own goodbye, for longer than that
        peer.send(frame(CLOSE, b"\x03\xe8"))
        assert peer.end().code == 1001
    assert not pinged.acquire(blocking=False)


def test_a_client_learns_that_the_gateway_took_it_for_dead(start: Start) -> None:
    """It may have been stopped for a while; what was in flight then fails with the truth."""
    gateway = start(ping_interval=0.2, ping_timeout=1.0)
    with FaultProxy(("127.0.0.1", gateway.port)) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=gateway.auth_token)
        options = IpcClientOptions(ping_interval=None)
        with IpcClient(config, options=options, reconnect=None) as client:
            client.connect()
            future = client.futures.create_session("sent before the silence")
            future.result(PATIENCE)
            proxy.inject(Fault.freeze(direction="to_backend"))
            late = client.futures.create_session("sent into the silence", timeout=PATIENT)
            error = late.exception(PATIENCE)
            assert isinstance(error, IpcConnectionError)
            assert error.request_sent is True
            assert error.close_code == 1011

"""A backend that vanished without a word is found out; one that is merely busy is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcConnectionError,
    IpcTimeoutError,
    ReconnectPolicy,
    StateChange,
)
from tests.integration.client.conftest import assert_no_token, client_threads
from tests.support.ipcserver import BINARY, IpcServer, Peer, frame, normal_answer

Serve = Callable[..., IpcServer]
MakeClient = Callable[..., IpcClient]

_WATCH = {"ping_interval": 0.1, "ping_timeout": 0.2}
_FOUND = _WATCH["ping_interval"] + _WATCH["ping_timeout"]
_SLACK = 1.0


def test_a_frozen_backend_is_found_by_a_ping(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        peer.freeze()

    server = serve(script)
    client = make_client(server.config, **_WATCH)
    changes: list[StateChange] = []
    lost = threading.Event()

    def listen(change: StateChange) -> None:
        changes.append(change)
        if change.new is ConnectionState.FAILED:
            lost.set()

    client.on_state_change(listen)
    client.connect()
    started = time.monotonic()
    future = client.futures.list_sessions(timeout=20)
    assert lost.wait(5)
    took = time.monotonic() - started
    assert _FOUND * 0.8 <= took <= _FOUND + _SLACK
    error = future.exception(timeout=_SLACK)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is True
    assert error.endpoint == f"ws://127.0.0.1:{server.port}/"
    assert "ping" in error.message
    assert changes[-1].old is ConnectionState.CONNECTED
    assert isinstance(changes[-1].cause, IpcConnectionError)
    assert_no_token(error)
    client.close()
    assert client_threads() == []


def test_an_idle_client_finds_it_too_and_comes_back(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        if peer.number == 1:
            peer.freeze()
        peer.serve()

    server = serve(script)
    policy = ReconnectPolicy(initial_delay=0.01, jitter=0.0)
    client = make_client(server.config, reconnect=policy, **_WATCH)
    client.connect()
    assert client.wait_for_state(ConnectionState.FAILED, 5)
    assert client.wait_for_state(ConnectionState.CONNECTED, 5)
    assert client.check_server_health() is True
    assert server.connections == 2


def test_a_request_in_flight_is_repeated_on_the_next_connection(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        if peer.number == 1:
            peer.receive()
            peer.freeze()
        peer.serve()

    policy = ReconnectPolicy(initial_delay=0.01, jitter=0.0)
    client = make_client(serve(script).config, reconnect=policy, **_WATCH)
    client.connect()
    assert client.list_sessions(timeout=5)[0].id == "ses_1"


def test_a_backend_that_is_slow_to_answer_but_answers_pings(
    serve: Serve, make_client: MakeClient
) -> None:
    pinged = threading.Event()

    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()

        def answer_after_pings() -> None:
            # Two pings more prove that the client has waited for longer than it would for silence.
            if pinged.wait(10):
                peer.answer(request, **normal_answer(request))

        helper = threading.Thread(target=answer_after_pings)
        helper.start()
        try:
            while True:
                opcode, payload = peer.read_frame()
                peer.pings += opcode == 0x9
                if opcode == 0x8:
                    return
                if opcode == BINARY:
                    peer.answer(_parse(payload), **normal_answer(_parse(payload)))
                else:
                    peer.send_frame(0xA, payload)
                if peer.pings == 3:
                    pinged.set()
        finally:
            pinged.set()
            helper.join(10)

    client = make_client(serve(script).config, ping_interval=0.1, ping_timeout=0.15)
    changes: list[StateChange] = []
    client.connect()
    client.on_state_change(changes.append)
    started = time.monotonic()
    assert client.list_sessions()[0].id == "ses_1"
    assert time.monotonic() - started > 0.25  # longer than silence is borne
    assert client.check_server_health() is True
    assert changes == []


def _parse(payload: bytes):  # type: ignore[no-untyped-def]
    from opencode_sync.wire.ipc_pb2 import IpcClientMessage

    return IpcClientMessage.FromString(payload)


def test_a_backend_too_busy_for_pongs_lives_as_long_as_bytes_come(
    serve: Serve, make_client: MakeClient
) -> None:
    """One large answer over a slow line: no pong fits in between, and none is needed."""

    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        from opencode_sync.wire.ipc_pb2 import IpcServerMessage

        answer = IpcServerMessage(request_id=request.request_id, **normal_answer(request))
        data = frame(BINARY, answer.SerializeToString())
        pieces = [data[start : start + 100] for start in range(0, len(data), 100)]
        for piece in pieces:
            peer.server.stopping.wait(0.05)
            peer.send_raw(piece)
        peer.serve()

    client = make_client(serve(script).config, ping_interval=0.1, ping_timeout=0.15)
    changes: list[StateChange] = []
    client.connect()
    client.on_state_change(changes.append)
    title = "x" * 800
    started = time.monotonic()
    assert client.create_session(title).title == title
    assert time.monotonic() - started > 0.25
    assert changes == []


def test_a_connection_in_use_is_not_pinged(serve: Serve, make_client: MakeClient) -> None:
    peers: list[Peer] = []

    def script(peer: Peer) -> None:
        peers.append(peer)
        peer.authenticate()
        peer.serve()

    client = make_client(serve(script).config, ping_interval=0.2, ping_timeout=0.2)
    client.connect()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert client.check_server_health() is True
        threading.Event().wait(0.02)
    assert peers[0].pings == 0


def test_without_pings_only_the_time_out_ends_a_call(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        peer.freeze()

    client = make_client(serve(script).config, ping_interval=None, shutdown_timeout=0.2)
    client.connect()
    with pytest.raises(IpcTimeoutError):
        client.list_sessions(timeout=0.4)
    assert client.is_connected


@pytest.mark.parametrize("stuck_bytes", [0, 8_000_000])
def test_a_frozen_backend_is_found_while_a_send_is_stuck(
    stuck_bytes: int, serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        peer.freeze()

    client = make_client(serve(script, receive_buffer=65536).config, **_WATCH)
    client.connect()
    started = time.monotonic()
    with pytest.raises(IpcConnectionError) as caught:
        client.create_session("x" * stuck_bytes, timeout=20)
    assert time.monotonic() - started < _FOUND + _SLACK
    assert "ping" in caught.value.message
    assert caught.value.request_sent is True

"""``close``: from everywhere, at any time, as often as you like, and nobody left waiting."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future, wait
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.transport.base import Transport
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, WAIT, ScriptedBackend, StallingTransport
from tests.support.threads import Background, together
from tests.unit.client.doubles import tell_when_down


def test_close_says_goodbye_with_1000(backend: ScriptedBackend, client: IpcClient) -> None:
    client.close()
    goodbye = backend.link().wait_for_end()
    assert goodbye.clean
    assert goodbye.code == 1000


def test_close_frees_a_thousand_callers_at_once(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions() for _ in range(1000)]
    backend.link().request(999)
    began = time.monotonic()
    client.close()
    assert wait(futures, 0).not_done == set()
    assert time.monotonic() - began < 5  # the farewell takes a second at most
    errors = [future.exception(0) for future in futures]
    assert all(isinstance(error, IpcConnectionError) for error in errors)
    assert len({id(error) for error in errors}) == 1000
    for error in errors:
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert isinstance(error.__cause__, IpcConnectionError)
        assert "closed" in str(error)


def test_close_frees_blocked_callers_each_with_his_own_exception(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    calls = [Background(client.list_sessions) for _ in range(20)]
    backend.link().request(19)
    client.close()
    errors = [call.error(1.0) for call in calls]
    assert all(isinstance(error, IpcConnectionError) for error in errors)
    assert len({id(error) for error in errors}) == 20


def test_callers_are_freed_before_the_goodbye_is_over(backend: ScriptedBackend) -> None:
    """A peer that does not answer the goodbye costs the closer time, but not the callers."""
    backend.polite = False
    backend.rule("list_sessions", HOLD)
    client = backend.client(options=IpcClientOptions(shutdown_timeout=0.3))
    client.connect()
    future = client.futures.list_sessions()
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    closing = Background(client.close)
    assert ended.wait(WAIT)
    assert closing.running  # still being polite
    closing.result()
    assert client.state is ConnectionState.DISCONNECTED


def test_close_takes_no_longer_than_the_option_says(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencode_sync.connection._FAREWELL", 60.0)
    backend.polite = False
    client = backend.client(options=IpcClientOptions(shutdown_timeout=0.05))
    client.connect()
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 10  # the farewell alone would take a minute


def test_closing_twice_and_never_connected_is_fine(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.close()
    client.close()
    never = backend.client()
    never.close()
    assert never.state is ConnectionState.DISCONNECTED


def test_many_threads_may_close_at_once_and_return_when_it_is_done(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    states: list[ConnectionState] = []

    def close(index: int) -> None:
        client.close()
        states.append(client.state)

    for job in together(8, close):
        job.result()
    assert states == [ConnectionState.DISCONNECTED] * 8


def test_a_closed_client_can_be_connected_again_with_ids_from_2(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.check_server_health()
    client.close()
    with pytest.raises(IpcConnectionError, match=r"connect\(\)"):
        client.check_server_health()
    with client:
        assert client.is_connected
        assert client.check_server_health() is True
    assert [request.request_id for request in backend.link(1).requests] == [2]
    assert not client.is_connected


def test_leaving_the_with_block_by_an_error_closes_and_passes_it_on(
    backend: ScriptedBackend,
) -> None:
    client = backend.client()
    with pytest.raises(ZeroDivisionError), client:
        raise ZeroDivisionError
    assert client.state is ConnectionState.DISCONNECTED


# --- From callbacks ---


def test_a_listener_may_close(backend: ScriptedBackend) -> None:
    client = backend.client()
    closed = threading.Event()

    def listener(change: StateChange) -> None:
        if change.new is ConnectionState.CONNECTED:
            client.close()
            closed.set()

    client.on_state_change(listener)
    client.connect()
    assert closed.wait(WAIT)
    assert client.state is ConnectionState.DISCONNECTED
    client.close()


def test_a_done_callback_may_close_and_the_others_calls_fail(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    other = client.futures.list_sessions()
    closed = threading.Event()

    def close(_: Future[Any]) -> None:
        client.close()
        closed.set()

    client.futures.check_server_health().add_done_callback(close)
    assert closed.wait(WAIT)
    assert isinstance(other.exception(WAIT), IpcConnectionError)


def test_closing_waits_for_a_listener_that_still_runs_but_not_for_ever(
    backend: ScriptedBackend,
) -> None:
    client = backend.client(options=IpcClientOptions(shutdown_timeout=0.1))
    entered, release = threading.Event(), threading.Event()

    def listener(change: StateChange) -> None:
        entered.set()
        assert release.wait(WAIT)

    client.on_state_change(listener)
    client.connect()
    assert entered.wait(WAIT)
    client.close()
    assert client.state is ConnectionState.DISCONNECTED
    release.set()


def test_the_provider_may_close_the_client_it_configures(backend: ScriptedBackend) -> None:
    """It runs on the connection's own thread, which close must not wait for."""

    class Provider:
        def get_config(self) -> Any:
            client.close()
            return CONFIG

    client = backend.client(Provider())
    with pytest.raises(IpcConnectionError):
        client.connect()
    assert not client.is_connected


# --- During other things ---


def test_closing_during_connect_ends_the_attempt(backend: ScriptedBackend) -> None:
    backend.handshake = HOLD
    client = backend.client()
    connecting = Background(client.connect)
    link = backend.link()
    link.wait(lambda: bool(link.raw), "handshake")
    client.close()
    assert isinstance(connecting.error(1.0), IpcConnectionError)
    assert not client.is_connected
    backend.handshake = b.accept
    with client:
        assert client.check_server_health() is True


def test_closing_while_the_provider_hangs_frees_who_connects(backend: ScriptedBackend) -> None:
    release = threading.Event()
    asked = threading.Event()

    class Provider:
        def get_config(self) -> Any:
            asked.set()
            assert release.wait(WAIT)
            return CONFIG

    options = IpcClientOptions(
        shutdown_timeout=0.05, connection_timeout=1.0, authentication_timeout=1.0
    )
    client = backend.client(Provider(), options=options)
    connecting = Background(client.connect)
    assert asked.wait(WAIT)
    client.close()
    assert isinstance(connecting.error(1.5), IpcConnectionError)
    release.set()
    assert not client.is_connected


def test_closing_frees_a_caller_whose_bytes_the_peer_does_not_take(
    backend: ScriptedBackend,
) -> None:
    links: list[StallingTransport] = []

    def stalling(inner: Transport) -> Transport:
        links.append(StallingTransport(inner))
        return links[-1]

    backend.wrap = stalling
    client = backend.client(options=IpcClientOptions(shutdown_timeout=0.3))
    client.connect()
    links[0].stall()
    call = Background(client.create_session)
    links[0].wait_for_writer()
    client.close()
    assert isinstance(call.error(1.0), IpcConnectionError)
    assert client.state is ConnectionState.DISCONNECTED


def test_calls_made_while_closing_fail_and_none_hangs(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    def hammer(index: int) -> None:
        if index == 0:
            client.close()
            return
        for _ in range(200):
            try:
                client.check_server_health(timeout=5)
            except IpcConnectionError:
                return
        pytest.fail("the client never closed")

    for job in together(6, hammer):
        job.result()


def test_connecting_while_another_thread_closes_waits_for_it(backend: ScriptedBackend) -> None:
    backend.polite = False
    client = backend.client(options=IpcClientOptions(shutdown_timeout=0.2))
    client.connect()
    closing = Background(client.close)
    backend.link().wait_for_end()
    backend.polite = True
    client.connect()
    closing.result()
    assert client.is_connected
    assert client.check_server_health() is True
    client.close()


def test_closing_does_not_wait_for_the_threads_of_the_next_connection(
    backend: ScriptedBackend,
) -> None:
    client = backend.client(options=IpcClientOptions(shutdown_timeout=3.0))
    ready = threading.Event()

    def connect() -> None:
        while not ready.is_set():
            with contextlib.suppress(IpcConnectionError):  # closed in the middle of it
                client.connect()

    connecting = Background(connect)
    slowest = 0.0
    try:
        for _ in range(50):
            client.connect()
            began = time.monotonic()
            client.close()
            slowest = max(slowest, time.monotonic() - began)
    finally:
        ready.set()
        connecting.result()
        client.close()
    assert slowest < 1.0


def test_closing_during_an_outage_ends_it(backend: ScriptedBackend) -> None:
    client = backend.client(reconnect=ReconnectPolicy(initial_delay=60, maximum_delay=60))
    client.connect()
    down = tell_when_down(client)
    backend.link().peer.drop()
    assert down.wait(WAIT)
    waiting = [client.futures.create_session() for _ in range(3)]
    assert not any(future.done() for future in waiting)
    client.close()
    for future in waiting:
        error = future.exception(0)
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is False
    assert backend.links == 1


def test_closing_while_a_server_is_being_bound_ends_the_calls_that_wait_for_it(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", b.NO_SERVER)
    backend.rule("discover_server", HOLD)
    futures = [client.futures.list_sessions() for _ in range(3)]
    backend.link().request(3)
    client.close()
    assert wait(futures, 1).not_done == set()
    for future in futures:
        assert isinstance(future.exception(0), IpcConnectionError)

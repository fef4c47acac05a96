"""Cancel tokens: before, during and after, one for many, and where nobody waits."""

from __future__ import annotations

import gc
import weakref

import pytest

from opencode_sync import CancelToken, IpcCancelledError, IpcClient, ReconnectPolicy
from opencode_sync.transport.base import Transport
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend, StallingTransport
from tests.support.threads import Background
from tests.unit.client.doubles import tell_when_down


def test_a_token_that_is_cancelled_already_sends_nothing(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(IpcCancelledError) as caught:
        client.create_session("x", cancel=token)
    assert caught.value.request_sent is False
    assert caught.value.request_id == 0
    assert caught.value.operation == "create_session"
    future = client.futures.create_session("x", cancel=token)
    assert isinstance(future.exception(0), IpcCancelledError)
    client.check_server_health()
    assert backend.link().operations() == ["check_health"]


def test_cancelling_during_a_call_ends_it_and_nobody_else(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    token = CancelToken()
    other = client.futures.list_sessions()
    call = Background(client.list_sessions, cancel=token)
    backend.link().request(1)
    token.cancel()
    error = call.error()
    assert isinstance(error, IpcCancelledError)
    assert (error.request_id, error.request_sent, error.operation) == (3, True, "list_sessions")
    assert not other.done()
    backend.link().answer(backend.link().request(1), b.sessions())
    backend.link().answer(backend.link().request(0), b.sessions("mine"))
    assert other.result(WAIT)[0].title == "mine"
    assert client.strays.late == 1


def test_one_token_ends_many_calls_blocking_or_not(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    token = CancelToken()
    calls = [Background(client.list_sessions, cancel=token) for _ in range(8)]
    futures = [client.futures.list_sessions(cancel=token) for _ in range(8)]
    backend.link().request(15)
    token.cancel()
    errors = [call.error() for call in calls] + [future.exception(WAIT) for future in futures]
    assert all(isinstance(error, IpcCancelledError) for error in errors)
    assert len({id(error) for error in errors}) == 16
    assert client.check_server_health() is True


def test_cancelling_after_the_answer_changes_nothing(client: IpcClient) -> None:
    token = CancelToken()
    assert client.check_server_health(cancel=token) is True
    future = client.futures.check_server_health(cancel=token)
    assert future.result(WAIT) is True
    token.cancel()
    assert future.result(0) is True


def test_cancelling_twice_and_from_many_threads_is_fine(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    token = CancelToken()
    future = client.futures.list_sessions(cancel=token)
    for job in [Background(token.cancel) for _ in range(4)]:
        job.result()
    assert isinstance(future.exception(0), IpcCancelledError)
    assert token.cancelled


def test_a_token_keeps_no_call_that_has_ended(backend: ScriptedBackend, client: IpcClient) -> None:
    token = CancelToken()
    future = client.futures.check_server_health(cancel=token)
    future.result(WAIT)
    client.check_server_health(cancel=token)
    reference = weakref.ref(future)
    del future
    client.check_server_health()  # the reader lets go of its last call
    gc.collect()
    assert reference() is None


def test_cancelling_ends_a_call_that_waits_for_a_connection(backend: ScriptedBackend) -> None:
    token = CancelToken()
    with backend.client(reconnect=ReconnectPolicy(initial_delay=60, maximum_delay=60)) as client:
        down = tell_when_down(client)
        backend.link().peer.drop()
        assert down.wait(WAIT)
        future = client.futures.create_session(cancel=token)
        call = Background(client.create_session, cancel=token)
        assert not future.done()
        token.cancel()
        for error in (call.error(), future.exception(WAIT)):
            assert isinstance(error, IpcCancelledError)
            assert error.request_sent is False


def test_cancelling_ends_a_call_whose_bytes_the_peer_does_not_take(
    backend: ScriptedBackend,
) -> None:
    links: list[StallingTransport] = []

    def stalling(inner: Transport) -> Transport:
        links.append(StallingTransport(inner))
        return links[-1]

    backend.wrap = stalling
    with backend.client(reconnect=None) as client:
        token = CancelToken()
        links[0].stall()
        call = Background(client.create_session, cancel=token, timeout=4)
        links[0].wait_for_writer()
        token.cancel()
        assert isinstance(call.error(1.0), IpcCancelledError)
        links[0].resume()


def test_a_tokens_repr_tells_its_state() -> None:
    token = CancelToken()
    assert repr(token) == "CancelToken(active)"
    token.cancel()
    assert repr(token) == "CancelToken(cancelled)"

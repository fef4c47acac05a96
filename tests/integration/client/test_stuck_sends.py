"""A backend that does not read: every caller ends in its own time, and so does ``close()``."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from opencode_sync import (
    CancelToken,
    IpcCancelledError,
    IpcClient,
    IpcConnectionError,
    IpcError,
    IpcTimeoutError,
    ReconnectPolicy,
)
from tests.integration.client.conftest import client_threads
from tests.support.ipcserver import IpcServer, Peer, normal_answer
from tests.support.leaks import eventually

Serve = Callable[..., IpcServer]
MakeClient = Callable[..., IpcClient]

_LARGE = "x" * 6_000_000  # more than all the buffers on the way
_SLACK = 1.0
_CLOSING = 0.2


def _frozen(peer: Peer) -> None:
    peer.authenticate()
    peer.freeze()


def _connect(serve: Serve, make_client: MakeClient, script: Callable[[Peer], None]) -> IpcClient:
    client = make_client(serve(script, receive_buffer=65536).config, shutdown_timeout=_CLOSING)
    client.connect()
    return client


def _stuck() -> bool:
    """Whether some thread waits for the backend to take more."""
    return any(_runs(thread, "flush") for thread in threading.enumerate())


def _runs(thread: threading.Thread, function: str) -> bool:
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False


def _timed(call: Callable[[], object]) -> tuple[float, object]:
    started = time.monotonic()
    try:
        outcome: object = call()
    except IpcError as error:
        outcome = error
    return time.monotonic() - started, outcome


def test_each_caller_ends_in_its_own_time(serve: Serve, make_client: MakeClient) -> None:
    client = _connect(serve, make_client, _frozen)
    large = [0.1, 0.2, 0.3, 0.4]
    small = [0.15, 0.25, 0.35]
    with ThreadPoolExecutor(len(large) + len(small)) as pool:
        calls = [
            pool.submit(_timed, lambda t=t: client.create_session(_LARGE, timeout=t)) for t in large
        ]
        calls += [pool.submit(_timed, lambda t=t: client.list_sessions(timeout=t)) for t in small]
        for timeout, call in zip(large + small, calls, strict=True):
            took, outcome = call.result(20)
            assert isinstance(outcome, IpcTimeoutError)
            assert outcome.timeout == timeout
            assert timeout * 0.9 <= took <= timeout + _SLACK
    assert client.is_connected  # slow is not broken
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < _CLOSING + _SLACK
    assert eventually(lambda: client_threads() == [])


def test_what_was_never_begun_is_never_sent(serve: Serve, make_client: MakeClient) -> None:
    """Requests whose callers gave up while another's stood in the way do not go out later."""
    read_on = threading.Event()
    seen: list[str | None] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        read_on.wait(10)
        while True:
            request = peer.receive()
            seen.append(request.WhichOneof("payload"))
            peer.answer(request, **normal_answer(request))

    client = _connect(serve, make_client, script)
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(client.create_session, _LARGE, timeout=10)
        assert eventually(_stuck)
        with pytest.raises(IpcTimeoutError) as caught:
            client.delete_session("ses_1", timeout=0.1)
        assert caught.value.request_sent is False
        assert "could not be sent" in caught.value.message
        token = CancelToken()
        threading.Timer(0.05, token.cancel).start()
        with pytest.raises(IpcCancelledError) as cancelled:
            client.delete_session("ses_1", cancel=token)
        assert cancelled.value.request_sent is False
        read_on.set()
        assert stuck.result(10).title == _LARGE
    assert client.check_server_health() is True
    assert seen == ["create_session", "check_health"]
    assert client.strays.late == 0


def test_a_write_that_its_caller_left_goes_on_when_the_backend_reads_again(
    serve: Serve, make_client: MakeClient
) -> None:
    read_on = threading.Event()
    titles: list[str] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        read_on.wait(10)
        while True:
            request = peer.receive()
            titles.append(request.create_session.title)
            peer.answer(request, **normal_answer(request))

    client = _connect(serve, make_client, script)
    with pytest.raises(IpcTimeoutError) as caught:
        client.create_session(_LARGE, timeout=0.2)
    assert caught.value.request_sent is True
    read_on.set()
    assert client.create_session("next", timeout=5).title == "next"
    assert titles == [_LARGE, "next"]  # whole, and in order
    assert client.strays.late == 1


def test_an_answer_reaches_its_caller_while_another_request_is_stuck(
    serve: Serve, make_client: MakeClient
) -> None:
    """Whoever writes may write what others handed in too, but never instead of returning."""
    read_first, answered = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.authenticate()
        read_first.wait(10)
        request = peer.receive()
        peer.answer(request, **normal_answer(request))
        answered.set()
        peer.freeze()

    client = _connect(serve, make_client, script)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.create_session, _LARGE, timeout=3)
        assert eventually(_stuck)
        second = client.futures.create_session(_LARGE, timeout=20)
        read_first.set()
        assert answered.wait(10)
        started = time.monotonic()
        assert first.result(10).title == _LARGE
        took = time.monotonic() - started
        assert not second.done()
        client.close()
        assert isinstance(second.exception(10), IpcConnectionError)
    assert took < _SLACK, f"the answer was there, but its caller wrote for another for {took:.1f} s"


def test_futures_and_cancelling_never_wait_for_a_backend_that_does_not_read(
    serve: Serve, make_client: MakeClient
) -> None:
    client = _connect(serve, make_client, _frozen)
    stuck = client.futures.create_session(_LARGE)
    assert eventually(_stuck)
    token = CancelToken()
    started = time.monotonic()
    futures = [client.futures.create_session(_LARGE, cancel=token) for _ in range(3)]
    futures += [client.futures.list_sessions(cancel=token) for _ in range(100)]
    token.cancel()
    for future in futures:
        error = future.exception(timeout=_SLACK)
        assert isinstance(error, IpcCancelledError)
        assert error.request_sent is False
    assert time.monotonic() - started < _SLACK
    assert stuck.cancel()
    assert client.is_connected


def test_close_frees_callers_who_are_stuck_in_a_write(
    serve: Serve, make_client: MakeClient
) -> None:
    client = _connect(serve, make_client, _frozen)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(client.create_session, _LARGE, timeout=20) for _ in range(4)]
        assert eventually(_stuck)
        started = time.monotonic()
        client.close()
        closed = time.monotonic() - started
        for call in calls:
            assert isinstance(call.exception(5), IpcConnectionError)
        freed = time.monotonic() - started
    assert closed < _CLOSING + _SLACK
    assert freed < _CLOSING + _SLACK
    assert eventually(lambda: client_threads() == [])


@pytest.mark.parametrize("end", [Peer.drop, Peer.reset])
def test_losing_the_backend_frees_callers_who_are_stuck_in_a_write(
    end: Callable[[Peer], None], serve: Serve, make_client: MakeClient
) -> None:
    die = threading.Event()

    def script(peer: Peer) -> None:
        peer.authenticate()
        die.wait(10)
        end(peer)

    client = _connect(serve, make_client, script)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(client.create_session, _LARGE, timeout=20) for _ in range(3)]
        assert eventually(_stuck)
        started = time.monotonic()
        die.set()
        for call in calls:
            assert isinstance(call.exception(5), IpcConnectionError)
        assert time.monotonic() - started < _SLACK


def test_pings_are_answered_while_a_write_is_stuck_and_the_reader_reads_on(
    serve: Serve, make_client: MakeClient
) -> None:
    """A full pipe one way must not close the other: answers to earlier requests still come in."""

    def script(peer: Peer) -> None:
        peer.authenticate()
        early = peer.receive()
        stuck.wait(10)
        for number in range(200):
            peer.send_frame(0x9, b"%d" % number)
        peer.answer(early, **normal_answer(early))
        peer.freeze()

    stuck = threading.Event()
    client = _connect(serve, make_client, script)
    early = client.futures.list_sessions()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.create_session, _LARGE, timeout=5)
        assert eventually(_stuck)
        stuck.set()
        assert early.result(2)[0].id == "ses_1"
        client.close()
        assert isinstance(call.exception(5), IpcConnectionError)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_an_interrupt_while_the_backend_does_not_read_leaves_nothing_behind(
    serve: Serve, make_client: MakeClient
) -> None:
    seen: list[str | None] = []
    read_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.authenticate()
        read_on.wait(10)
        while True:
            request = peer.receive()
            seen.append(request.WhichOneof("payload"))
            peer.answer(request, **normal_answer(request))

    server = serve(script, receive_buffer=65536)
    policy = ReconnectPolicy(initial_delay=0.01, jitter=0.0)
    client = make_client(server.config, reconnect=policy)
    client.connect()
    with pytest.raises(IpcTimeoutError):
        client.create_session(_LARGE, timeout=0.1)
    main = threading.main_thread()

    def interrupt() -> None:
        if eventually(lambda: _stuck() and _runs(main, "list_sessions")):
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        client.list_sessions(timeout=5)
    helper.join(10)
    read_on.set()
    assert client.check_server_health() is True
    assert client.check_server_health() is True  # by now whatever came before has arrived
    # The user interrupted list_sessions: it goes out neither here nor on a next connection.
    assert "list_sessions" not in seen
    assert seen.count("check_health") == 2

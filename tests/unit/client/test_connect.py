"""``connect``: shared, idempotent, in time, and honest about what went wrong."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcAuthenticationError,
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcProtocolError,
    IpcTimeoutError,
)
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, TOKEN, WAIT, ScriptedBackend, WrappedTransport
from tests.support.leaks import eventually
from tests.support.threads import Background, together
from tests.unit.client.doubles import no_thread

SHORT = IpcClientOptions(connection_timeout=0.1, authentication_timeout=0.1)


# --- One attempt for all ---


def test_connecting_twice_makes_one_link(backend: ScriptedBackend, client: IpcClient) -> None:
    client.connect()
    with client:
        client.connect()
    assert backend.links == 1


def test_threads_that_connect_at_once_share_one_attempt(backend: ScriptedBackend) -> None:
    client = backend.client()
    for job in together(16, lambda _: client.connect()):
        job.result()
    assert backend.links == 1
    assert client.is_connected
    client.close()


def test_threads_that_share_a_failure_get_each_their_own_instance(
    backend: ScriptedBackend,
) -> None:
    backend.handshake = HOLD
    client = backend.client()
    calls = [Background(client.connect) for _ in range(6)]
    link = backend.link()
    link.wait(lambda: bool(link.raw), "handshake")
    opening: Any = client._supervisor._opening
    assert eventually(lambda: len(opening._condition._waiters) == 6)  # all are waiting for it
    link.send(1, b.refuse(ipc_pb2.IpcClientMessage()))
    errors = [call.error() for call in calls]
    assert all(isinstance(error, IpcAuthenticationError) for error in errors)
    assert len({id(error) for error in errors}) == 6


def test_each_new_connect_after_a_failure_is_a_new_attempt(backend: ScriptedBackend) -> None:
    backend.refusal = "nobody listens"
    client = backend.client()
    for _ in range(3):
        with pytest.raises(IpcConnectionError, match="nobody listens"):
            client.connect()
        assert client.state is ConnectionState.FAILED
    backend.refusal = None
    with client:
        assert client.check_server_health() is True
    assert backend.links == 4


def test_a_failed_connect_leaves_no_thread_even_without_close(backend: ScriptedBackend) -> None:
    backend.handshake = b.refuse
    client = backend.client()
    before = set(threading.enumerate())
    for _ in range(20):
        with pytest.raises(IpcAuthenticationError):
            client.connect()
        new = set(threading.enumerate()) - before
        assert not [thread for thread in new if thread.name.startswith("opencode-sync-reader")]


# --- What can go wrong, and what it is called ---


def test_nobody_listens(backend: ScriptedBackend) -> None:
    backend.refusal = "could not connect: Connection refused"
    with pytest.raises(IpcConnectionError, match="Connection refused") as caught:
        backend.client().connect()
    assert caught.value.endpoint == "ws://127.0.0.1:4096/"
    assert caught.value.request_sent is False
    assert caught.value.__cause__ is not None


def test_a_refused_token_is_an_authentication_error_that_shows_no_token(
    backend: ScriptedBackend,
) -> None:
    backend.handshake = b.refuse
    client = backend.client()
    with pytest.raises(IpcAuthenticationError, match="Invalid authentication token") as caught:
        client.connect()
    assert caught.value.endpoint == "ws://127.0.0.1:4096/"
    assert TOKEN not in str(caught.value)
    assert client.state is ConnectionState.FAILED


@pytest.mark.parametrize(
    "verdict",
    [
        {"auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(error=f"no {TOKEN} here")},
        b.error(3, f"{TOKEN} is wrong"),
        b.error(77, f"{TOKEN} is wrong"),
    ],
    ids=["response", "error", "unknown code"],
)
def test_a_peer_that_quotes_the_token_does_not_get_it_into_the_error(
    backend: ScriptedBackend, verdict: b.Payload
) -> None:
    backend.handshake = lambda message: verdict
    with pytest.raises(IpcAuthenticationError) as caught:
        backend.client().connect()
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in str(error)
        error = error.__cause__


def test_a_refusal_without_a_reason_still_says_what_to_check(backend: ScriptedBackend) -> None:
    verdict = {"auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(success=False)}
    backend.handshake = lambda message: verdict
    with pytest.raises(IpcAuthenticationError, match=r"no reason given; check that the token"):
        backend.client().connect()


@pytest.mark.parametrize("how", ["close", "close with a reason", "drop"])
def test_a_peer_that_ends_instead_of_answering_refused_us(
    backend: ScriptedBackend, how: str
) -> None:
    def end(message: ipc_pb2.IpcClientMessage) -> None:
        peer = backend.link().peer
        if how == "drop":
            peer.drop()
        else:
            peer.close(4001 if how != "close" else 1000, f"{TOKEN}?" if how != "close" else "")

    backend.handshake = end
    with pytest.raises(IpcAuthenticationError, match="instead of answering") as caught:
        backend.client().connect()
    assert TOKEN not in str(caught.value)
    if how == "close with a reason":
        assert "4001" in str(caught.value)
        assert "[token]" in str(caught.value) or "***" in str(caught.value)


def test_a_peer_that_says_nothing_is_a_time_out_and_not_a_cancellation(
    backend: ScriptedBackend,
) -> None:
    backend.handshake = HOLD
    client = backend.client(options=IpcClientOptions(authentication_timeout=0.05))
    with pytest.raises(IpcTimeoutError, match="authentication_timeout") as caught:
        client.connect()
    assert (caught.value.operation, caught.value.timeout) == ("authenticate", 0.05)
    assert client.state is ConnectionState.FAILED


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff",
        b"<html>",
        b"",
        b.encode(1, {}),
        b.encode(1, b.healthy()),
        b.encode(0, b.accept(ipc_pb2.IpcClientMessage())),
        b.encode(2, b.accept(ipc_pb2.IpcClientMessage())),
    ],
    ids=["rubbish", "html", "empty", "no payload", "wrong payload", "id 0", "id 2"],
)
def test_an_answer_that_is_none_is_a_protocol_error(
    backend: ScriptedBackend, answer: bytes
) -> None:
    def send(message: ipc_pb2.IpcClientMessage) -> None:
        backend.link().peer.send(answer)

    backend.handshake = send
    client = backend.client()
    with pytest.raises(IpcProtocolError) as caught:
        client.connect()
    assert caught.value.operation == "authenticate"
    assert caught.value.request_id == 1
    assert client.state is ConnectionState.FAILED


def test_broken_framing_during_the_handshake_is_a_protocol_error(
    backend: ScriptedBackend,
) -> None:
    def violate(message: ipc_pb2.IpcClientMessage) -> None:
        backend.link().peer.violate("the peer masked a frame")

    backend.handshake = violate
    with pytest.raises(IpcProtocolError, match="masked a frame"):
        backend.client().connect()


# --- Links with faults of their own ---


class FaultyTransport(WrappedTransport):
    """Fails in one method in one way."""

    method = ""
    fault: BaseException | None = None
    wedged = False

    def _maybe_fail(self, method: str) -> None:
        if self.method == method and self.fault is not None:
            raise self.fault

    def connect(self, deadline: Any) -> None:
        self._maybe_fail("connect")
        super().connect(deadline)

    def send(self, messages: Any) -> None:
        self._maybe_fail("send")
        super().send(messages)

    def flush(self, deadline: Any) -> bool:
        if self.wedged:
            return False
        self._maybe_fail("flush")
        return super().flush(deadline)

    def dispose(self) -> None:
        super().dispose()
        self._maybe_fail("dispose")

    def abort(self) -> None:
        super().abort()
        self._maybe_fail("abort")


def _faulty(
    backend: ScriptedBackend, method: str, fault: BaseException | None, **more: Any
) -> None:
    def wrap(inner: Transport) -> Transport:
        transport = FaultyTransport(inner)
        transport.method, transport.fault = method, fault
        transport.__dict__.update(more)
        return transport

    backend.wrap = wrap


@pytest.mark.parametrize(
    ("method", "fault", "error"),
    [
        ("connect", TransportTimeout("nothing answered"), IpcTimeoutError),
        ("connect", TransportClosed("it hung up"), IpcConnectionError),
        ("connect", TransportProtocolError("no WebSocket"), IpcProtocolError),
        ("flush", TransportClosed("it hung up"), IpcAuthenticationError),
        ("send", ValueError("a bug"), IpcConnectionError),
        ("connect", SystemExit(3), IpcConnectionError),
    ],
)
def test_faults_of_the_link_while_connecting(
    backend: ScriptedBackend, method: str, fault: BaseException, error: type[IpcError]
) -> None:
    _faulty(backend, method, fault)
    client = backend.client()
    with pytest.raises(error):
        client.connect()
    assert client.state is ConnectionState.FAILED


def test_a_connection_time_out_names_its_option(backend: ScriptedBackend) -> None:
    _faulty(backend, "connect", TransportTimeout("nothing answered"))
    with pytest.raises(IpcTimeoutError, match="connection_timeout") as caught:
        backend.client(options=SHORT).connect()
    assert (caught.value.operation, caught.value.timeout) == ("connect", 0.1)
    assert caught.value.request_sent is False


def test_a_handshake_that_cannot_be_written_is_a_time_out(backend: ScriptedBackend) -> None:
    _faulty(backend, "", None, wedged=True)
    with pytest.raises(IpcTimeoutError, match="handshake"):
        backend.client(options=SHORT).connect()


@pytest.mark.parametrize("method", ["dispose", "abort"])
def test_a_link_that_cannot_even_be_freed_leaves_nobody_waiting(
    backend: ScriptedBackend, method: str
) -> None:
    _faulty(backend, method, ValueError("a bug"))
    backend.rule("list_sessions", HOLD)
    client = backend.client(
        reconnect=None, options=IpcClientOptions(shutdown_timeout=0.3, default_request_timeout=3)
    )
    client.connect()
    future = client.futures.list_sessions()
    backend.link().request()
    backend.link().peer.drop()
    assert isinstance(future.exception(WAIT), IpcConnectionError)
    try:
        client.close()
    except ValueError:
        assert method == "abort"


def test_a_factory_that_fails_or_makes_no_transport_is_a_connection_error() -> None:
    def broken(config: IpcConfig, options: IpcClientOptions) -> Any:
        raise LookupError("no such transport")

    factories: list[Any] = [broken, lambda config, options: None]
    for factory in factories:
        client = IpcClient(CONFIG, transport_factory=factory)
        with pytest.raises(IpcConnectionError):
            client.connect()
        assert client.state is ConnectionState.FAILED


def test_no_thread_to_be_had_is_a_connection_error(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = backend.client()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(IpcConnectionError, match="can't start new thread"):
            client.connect()
    assert client.state is ConnectionState.FAILED
    with client:
        assert client.check_server_health() is True


# --- Providers ---


class Provider:
    """Returns, raises, or waits."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.asked = 0
        self.threads: set[str] = set()

    def get_config(self) -> Any:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_the_provider_is_asked_at_each_attempt_and_not_before(backend: ScriptedBackend) -> None:
    provider = Provider(CONFIG)
    client = backend.client(provider)
    assert provider.asked == 0
    for attempt in (1, 2):
        with client:
            assert provider.asked == attempt


def test_a_providers_own_error_passes_unchanged(backend: ScriptedBackend) -> None:
    error = IpcConfigError("port is missing", field="port", source="a test")
    with pytest.raises(IpcConfigError, match="port is missing") as caught:
        backend.client(Provider(error)).connect()
    assert (caught.value.field, caught.value.source) == ("port", "a test")
    assert backend.links == 0


def test_a_provider_that_raises_is_named_with_its_error(backend: ScriptedBackend) -> None:
    with pytest.raises(IpcConfigError, match="Provider raised ZeroDivisionError") as caught:
        backend.client(Provider(ZeroDivisionError(f"secret {TOKEN}"))).connect()
    assert TOKEN not in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("rubbish", [None, "ws://x", {"port": 4096, "auth_token": TOKEN}, 4096])
def test_a_provider_that_returns_rubbish_is_told_what_to_return(
    backend: ScriptedBackend, rubbish: object
) -> None:
    with pytest.raises(IpcConfigError, match="should return an IpcConfig") as caught:
        backend.client(Provider(rubbish)).connect()
    assert TOKEN not in str(caught.value)


def test_a_provider_that_exits_does_not_end_the_program(backend: ScriptedBackend) -> None:
    client = backend.client(Provider(SystemExit(3)))
    with pytest.raises(IpcError):
        client.connect()
    assert client.state is ConnectionState.FAILED


def test_a_provider_that_hangs_is_given_up_in_time(backend: ScriptedBackend) -> None:
    release = threading.Event()

    class Hanging:
        def get_config(self) -> IpcConfig:
            assert release.wait(WAIT)
            return CONFIG

    def threads() -> int:
        return sum(t.name.startswith("opencode-sync-reader") for t in threading.enumerate())

    before = threads()
    client = backend.client(Hanging(), options=SHORT)
    began = time.monotonic()
    with pytest.raises(IpcTimeoutError) as caught:
        client.connect()
    assert time.monotonic() - began < 5
    assert caught.value.operation == "connect"
    assert client.state is ConnectionState.FAILED
    release.set()  # what it brings now is too late
    assert eventually(lambda: threads() == before)
    assert client.state is ConnectionState.FAILED
    if backend.links:
        backend.link().wait_for_end()
        assert backend.link().raw == []  # and the token went nowhere

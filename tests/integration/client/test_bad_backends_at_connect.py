"""``connect()`` and every kind of peer that is not the backend one hoped for."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from loguru import logger

from opencode_sync import (
    ConnectionState,
    IpcAuthenticationError,
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcError,
    IpcProtocolError,
    IpcTimeoutError,
)
from opencode_sync.wire import ipc_pb2, oc_session_pb2
from tests.integration.client.conftest import assert_no_token, client_threads
from tests.support.ipcserver import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    TOKEN,
    IpcServer,
    Peer,
    frame,
    free_port,
)
from tests.support.leaks import descriptor_count, eventually

_SHORT = 0.2  # the time-out of those who get no answer
_PROMPT = 1.5  # what an answer that is wrong may take, on a busy machine

_REMEDIES = ("check ", "start ", "raise the option", "another program", "another version", "try ")

Serve = Callable[..., IpcServer]
MakeClient = Callable[..., IpcClient]


@dataclass(frozen=True)
class Case:
    """A peer, and how connecting to it has to fail."""

    script: Callable[[Peer], None]
    error: type[IpcError]
    says: tuple[str, ...] = ()
    options: dict[str, float] = field(default_factory=dict)


# --- Peers that are no WebSocket servers ---


def _http(status: str, *, headers: str = "", body: str = "<html>nothing here</html>") -> Any:
    def script(peer: Peer) -> None:
        peer.read_http()
        peer.send_raw(
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
            f"{headers}\r\n{body}".encode()
        )
        peer.wait_eof()

    return script


def _tcp_echo(peer: Peer) -> None:
    peer.send_raw(peer.read_http() + b"\r\n\r\n")
    peer.wait_eof()


def _says(data: bytes) -> Any:
    def script(peer: Peer) -> None:
        peer.send_raw(data)
        peer.wait_eof()

    return script


def _tcp_silence(peer: Peer) -> None:
    peer.wait_eof()


def _drip(peer: Peer) -> None:
    for byte in peer.upgrade_response():
        peer.send_raw(bytes((byte,)))
        peer.server.stopping.wait(0.02)


def _endless_header(peer: Peer) -> None:
    peer.read_http()
    peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        peer.send_raw(b"X-Filler: " + b"x" * 4000 + b"\r\n")


def _wrong_accept_key(peer: Peer) -> None:
    head, _, _ = peer.upgrade_response().partition(b"Sec-WebSocket-Accept")
    peer.send_raw(head + b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n")
    peer.wait_eof()


def _closes_at_once(peer: Peer) -> None:
    peer.drop()


def _closes_on_request(peer: Peer) -> None:
    peer.read_http()
    peer.drop()


def _resets_on_request(peer: Peer) -> None:
    peer.read_http()
    peer.reset()


def _closes_in_response(peer: Peer) -> None:
    peer.send_raw(peer.upgrade_response()[:40])
    peer.drop()


NO_WEBSOCKET = {
    "http 200": Case(_http("200 OK"), IpcConnectionError, ("200",)),
    "http 301": Case(
        _http("301 Moved", headers="Location: ws://127.0.0.1:1/\r\n"), IpcConnectionError
    ),
    "http 401 quoting a token": Case(
        _http("401 Unauthorized", headers=f"X-Token: {TOKEN}\r\n", body=f"not {TOKEN}"),
        IpcConnectionError,
        ("401",),
    ),
    "http 404": Case(_http("404 Not Found"), IpcConnectionError, ("404",)),
    "tcp echo": Case(_tcp_echo, IpcConnectionError, ("WebSocket",)),
    "ssh": Case(_says(b"SSH-2.0-OpenSSH_9.6\r\n"), IpcConnectionError, ("WebSocket",)),
    "rubbish": Case(_says(bytes(range(256)) * 8), IpcConnectionError, ("WebSocket",)),
    "rubbish lines": Case(_says(b"\xff\xfe\r\n\r\n"), IpcConnectionError, ("WebSocket",)),
    "wrong accept key": Case(_wrong_accept_key, IpcConnectionError, ("WebSocket",)),
    "endless header": Case(_endless_header, IpcProtocolError, ("handshake",)),
    "tcp silence": Case(
        _tcp_silence,
        IpcTimeoutError,
        ("did not answer", "connection_timeout", "0.2 s"),
        {"connection_timeout": _SHORT},
    ),
    "drip": Case(_drip, IpcTimeoutError, ("connection_timeout",), {"connection_timeout": _SHORT}),
    "closes at once": Case(_closes_at_once, IpcConnectionError, ("handshake",)),
    "closes on request": Case(_closes_on_request, IpcConnectionError, ("handshake",)),
    "resets on request": Case(_resets_on_request, IpcConnectionError),
    "closes in response": Case(_closes_in_response, IpcConnectionError, ("handshake",)),
}


# --- WebSocket servers that are no IPC backends, or do not want us ---


def _upgraded(then: Callable[[Peer], None]) -> Any:
    def script(peer: Peer) -> None:
        peer.upgrade()
        then(peer)

    return script


def _greeted(*data: bytes) -> Any:
    """Shake hands, read the token, answer with these bytes, and wait."""

    def script(peer: Peer) -> None:
        peer.upgrade()
        peer.receive()
        for each in data:
            peer.send_raw(each)
        peer.wait_eof()

    return script


def _message(request_id: int, **payload: Any) -> bytes:
    message = ipc_pb2.IpcServerMessage(request_id=request_id, **payload)
    return frame(BINARY, message.SerializeToString())


def _refusal(text: str | None) -> bytes:
    no = ipc_pb2.IpcAuthHandshakeResponse(success=False, error=text)
    return _message(1, auth_handshake_response=no)


_YES = ipc_pb2.IpcAuthHandshakeResponse(success=True)


def _error(request_id: int, text: str) -> bytes:
    error = ipc_pb2.IpcErrorResponse(code=ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR, message=text)
    return _message(request_id, error=error)


def _refuses_and_drops(peer: Peer) -> None:
    peer.receive()
    peer.send_raw(_refusal("Invalid authentication token"))
    peer.drop()


def _drops_after_token(peer: Peer) -> None:
    peer.receive()
    peer.drop()


def _resets_after_token(peer: Peer) -> None:
    peer.receive()
    peer.reset()


def _closes_with(code: int | None, reason: str = "") -> Any:
    def script(peer: Peer) -> None:
        peer.upgrade()
        peer.receive()
        peer.close(code, reason)

    return script


def _closes_mid_frame(peer: Peer) -> None:
    peer.receive()
    peer.send_raw(_refusal(None)[:-1])
    peer.drop()


def _websocket_echo(peer: Peer) -> None:
    _, payload = peer.read_frame()
    peer.send_frame(BINARY, payload)
    peer.wait_eof()


def _pings_only(peer: Peer) -> None:
    while not peer.server.stopping.wait(0.01):
        peer.send_frame(PING, b"still here")


def _ping_flood(peer: Peer) -> None:
    flood = frame(PING) * 4096
    while True:
        peer.send_raw(flood)


def _drips_answer(peer: Peer) -> None:
    peer.receive()
    for byte in frame(BINARY, bytes(100)):
        peer.send_raw(bytes((byte,)))
        peer.server.stopping.wait(0.02)


_NO_TIME = {"authentication_timeout": _SHORT}
_TOKEN_REMEDY = "check that the token"

NO_BACKEND = {
    "websocket silence": Case(
        _upgraded(Peer.wait_eof),
        IpcTimeoutError,
        ("did not answer the handshake", "authentication_timeout", "0.2 s"),
        _NO_TIME,
    ),
    "pings and no answer": Case(
        _upgraded(_pings_only), IpcTimeoutError, ("authentication_timeout",), _NO_TIME
    ),
    "a flood of pings and no answer": Case(
        _upgraded(_ping_flood), IpcTimeoutError, ("authentication_timeout",), _NO_TIME
    ),
    "an answer in drops": Case(
        _upgraded(_drips_answer), IpcTimeoutError, ("authentication_timeout",), _NO_TIME
    ),
    "refuses": Case(
        _greeted(_refusal("Invalid authentication token")),
        IpcAuthenticationError,
        ("Invalid authentication token", _TOKEN_REMEDY),
    ),
    "refuses and drops": Case(
        _upgraded(_refuses_and_drops),
        IpcAuthenticationError,
        ("Invalid authentication token", _TOKEN_REMEDY),
    ),
    "refuses without a reason": Case(
        _greeted(_refusal(None)), IpcAuthenticationError, (_TOKEN_REMEDY,)
    ),
    "refuses and quotes the token": Case(
        _greeted(_refusal(f"unknown token {TOKEN}!")),
        IpcAuthenticationError,
        ("unknown token", _TOKEN_REMEDY),
    ),
    "error": Case(_greeted(_error(1, "locked")), IpcAuthenticationError, ("locked", "AUTH_ERROR")),
    "error with id 0": Case(
        _greeted(_error(0, f"what is {TOKEN}?")), IpcAuthenticationError, ("what is",)
    ),
    "drops before the token": Case(
        _upgraded(Peer.drop), IpcAuthenticationError, ("closed", _TOKEN_REMEDY)
    ),
    "drops after the token": Case(
        _upgraded(_drops_after_token),
        IpcAuthenticationError,
        ("without a word", _TOKEN_REMEDY),
    ),
    "resets after the token": Case(
        _upgraded(_resets_after_token), IpcAuthenticationError, (_TOKEN_REMEDY,)
    ),
    "closes with a code": Case(
        _closes_with(1008, "policy"), IpcAuthenticationError, ("1008", "policy", _TOKEN_REMEDY)
    ),
    "closes without a code": Case(_closes_with(None), IpcAuthenticationError, (_TOKEN_REMEDY,)),
    "closes and quotes the token": Case(
        _closes_with(4401, f"bad token {TOKEN}"), IpcAuthenticationError, ("4401", "bad token")
    ),
    "closes in mid-frame": Case(
        _upgraded(_closes_mid_frame), IpcAuthenticationError, (_TOKEN_REMEDY,)
    ),
    "text": Case(_greeted(frame(TEXT, b"hello")), IpcProtocolError, ("text",)),
    "rubbish": Case(
        _greeted(frame(BINARY, b"\xff" * 40)), IpcProtocolError, ("40 bytes", "protobuf")
    ),
    "empty message": Case(_greeted(frame(BINARY)), IpcProtocolError, ("no payload",)),
    "yes under id 0": Case(
        _greeted(_message(0, auth_handshake_response=_YES)), IpcProtocolError, ("id 0",)
    ),
    "yes under an unknown id": Case(
        _greeted(_message(2**64 - 1, auth_handshake_response=_YES)),
        IpcProtocolError,
        (str(2**64 - 1),),
    ),
    "wrong payload": Case(
        _greeted(_message(1, session_list=oc_session_pb2.OcSessionList())),
        IpcProtocolError,
        ("session_list",),
    ),
    "no payload": Case(_greeted(_message(1)), IpcProtocolError, ("no payload",)),
    "websocket echo": Case(_upgraded(_websocket_echo), IpcError),
    "masked frame": Case(_greeted(b"\x82\x81\x00\x00\x00\x00\x00"), IpcProtocolError, ("masked",)),
    "1 TB": Case(
        _greeted(struct.pack(">BBQ", 0x82, 127, 2**40), bytes(1000)),
        IpcProtocolError,
        (str(2**40), "max_message_size"),
    ),
    "1 TB in text": Case(
        _greeted(struct.pack(">BBQ", 0x81, 127, 2**40), bytes(1000)), IpcProtocolError
    ),
    "half a close code": Case(_greeted(frame(CLOSE, b"\x03")), IpcProtocolError, ("close",)),
}


@pytest.mark.parametrize("case", NO_WEBSOCKET.values(), ids=NO_WEBSOCKET)
def test_a_peer_that_is_no_websocket_server(
    case: Case, serve: Serve, make_client: MakeClient
) -> None:
    _connect_fails(case, serve, make_client)


@pytest.mark.parametrize("case", NO_BACKEND.values(), ids=NO_BACKEND)
def test_a_websocket_server_that_is_no_backend_or_does_not_want_us(
    case: Case, serve: Serve, make_client: MakeClient
) -> None:
    _connect_fails(case, serve, make_client)


def _connect_fails(case: Case, serve: Serve, make_client: MakeClient) -> None:
    server = serve(case.script)
    client = make_client(server.config, **case.options)
    descriptors = descriptor_count()
    started = time.monotonic()
    with pytest.raises(case.error) as caught:
        client.connect()
    took = time.monotonic() - started
    error = caught.value

    assert took < (_SHORT if case.error is IpcTimeoutError else 0) + _PROMPT
    if isinstance(error, IpcTimeoutError):
        assert took >= _SHORT * 0.9
        assert isinstance(error, TimeoutError)
        assert error.timeout == _SHORT
    for words in case.says:
        assert words in error.message
    assert "\n" not in error.message
    assert f"ws://127.0.0.1:{server.port}/" in error.message  # which of one's programs it is
    assert any(words in error.message for words in _REMEDIES), f"no remedy in: {error.message}"
    if isinstance(error, IpcConnectionError | IpcAuthenticationError):
        assert error.endpoint == f"ws://127.0.0.1:{server.port}/"
    if isinstance(error, IpcConnectionError):
        assert error.request_sent is False
    assert_no_token(error)
    logger.opt(exception=error).error("a user logs it, with values")  # the log fixture looks at it

    # Nothing is left of the attempt, without any close().
    assert eventually(lambda: client_threads() == [])
    assert eventually(lambda: (descriptor_count() or 0) <= (descriptors or 0))
    assert client.state is ConnectionState.FAILED
    assert client.health_check() is False
    with pytest.raises(IpcConnectionError) as refused:
        client.list_sessions()
    assert "connect()" in refused.value.message
    assert refused.value.request_sent is False
    assert_no_token(refused.value)


def test_a_backend_that_is_absent(make_client: MakeClient) -> None:
    port = free_port()
    client = make_client(IpcConfig(port=port, auth_token=TOKEN))
    descriptors = descriptor_count()
    for _ in range(20):
        with pytest.raises(IpcConnectionError) as caught:
            client.connect()
    error = caught.value
    assert f"ws://127.0.0.1:{port}/" in error.message
    assert "refused" in error.message.lower()
    assert any(words in error.message for words in _REMEDIES), f"no remedy in: {error.message}"
    assert error.request_sent is False
    assert_no_token(error)
    assert eventually(lambda: client_threads() == [])
    assert descriptor_count() == descriptors
    assert client.state is ConnectionState.FAILED


def test_a_failed_client_connects_once_the_backend_is_there(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.drop()
        else:
            peer.authenticate()
            peer.serve()

    client = make_client(serve(script).config)
    with pytest.raises(IpcConnectionError):
        client.connect()
    client.connect()
    assert [session.id for session in client.list_sessions()] == ["ses_1"]


def test_a_handshake_in_one_byte_fragments_with_pings_between(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.upgrade()
        peer.receive()
        answer = ipc_pb2.IpcServerMessage(request_id=1, auth_handshake_response=_YES)
        payload = answer.SerializeToString()
        opcode = BINARY
        for index, byte in enumerate(payload):
            for piece in frame(opcode, bytes((byte,)), final=index == len(payload) - 1):
                peer.send_raw(bytes((piece,)))
            peer.send_frame(PING, b"%d" % index)
            opcode = CONTINUATION
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    assert client.check_server_health() is True


def test_an_answer_that_stands_right_behind_the_websocket_handshake(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.send_raw(peer.upgrade_response() + _message(1, auth_handshake_response=_YES))
        assert peer.receive().request_id == 1
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    assert client.check_server_health() is True


def test_a_port_that_takes_connections_but_never_accepts_them(make_client: MakeClient) -> None:
    """A full backlog: TCP itself says nothing."""
    import contextlib
    import socket

    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(contextlib.closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = sockets.enter_context(contextlib.closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        client = make_client(IpcConfig(port=port, auth_token=TOKEN), connection_timeout=_SHORT)
        started = time.monotonic()
        with pytest.raises(IpcTimeoutError) as caught:
            client.connect()
        assert time.monotonic() - started < _SHORT + _PROMPT
        assert caught.value.operation == "connect"
        assert "connection_timeout" in caught.value.message
        assert any(words in caught.value.message for words in _REMEDIES)
        assert_no_token(caught.value)
        assert eventually(lambda: client_threads() == [])


def test_closing_ends_an_attempt_that_hangs(serve: Serve, make_client: MakeClient) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for script in (_tcp_silence, _upgraded(Peer.wait_eof)):
        server = serve(script)
        client = make_client(server.config)
        with ThreadPoolExecutor(1) as pool:
            attempt = pool.submit(client.connect)
            assert eventually(lambda server=server: server.connections == 1)
            started = time.monotonic()
            client.close()
            assert time.monotonic() - started < _PROMPT
            error = attempt.exception(timeout=_PROMPT)
        assert isinstance(error, IpcConnectionError)
        assert "closed" in str(error)
        assert client_threads() == []

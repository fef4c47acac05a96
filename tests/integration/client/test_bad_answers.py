"""A backend that accepts the token and then misbehaves, while other requests are in flight."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import pytest
from loguru import logger

from opencode_sync import (
    ConnectionState,
    IpcArgumentError,
    IpcClient,
    IpcConnectionError,
    IpcError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    ReconnectPolicy,
)
from opencode_sync.wire import ipc_pb2, oc_session_pb2
from opencode_sync.wire.ipc_pb2 import IpcClientMessage
from tests.integration.client.conftest import assert_no_token, client_threads
from tests.support.ipcserver import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    TOKEN,
    IpcServer,
    Peer,
    PeerGone,
    frame,
    normal_answer,
)
from tests.support.leaks import eventually

Serve = Callable[..., IpcServer]
MakeClient = Callable[..., IpcClient]
Act = Callable[[Peer, IpcClientMessage], None]

_AT_ONCE = 1.0  # the design says 100 ms; the rest is for a busy machine


def _bytes(request_id: int, **payload: Any) -> bytes:
    return ipc_pb2.IpcServerMessage(request_id=request_id, **payload).SerializeToString()


# --- What a connection survives ---


def _text_later(peer: Peer, _: IpcClientMessage) -> None:
    peer.send_frame(TEXT, b"by the way")
    peer.send_frame(TEXT, b"in ", final=False)
    peer.send_frame(CONTINUATION, b"pieces")
    peer.send_frame(TEXT, _bytes(2, error=ipc_pb2.IpcErrorResponse(message="in text")))


def _rubbish(peer: Peer, _: IpcClientMessage) -> None:
    peer.send_frame(BINARY, b"\xff" * 64)
    peer.send_frame(BINARY, b"\x08")
    peer.send_frame(BINARY, b"\x08\x02\xa2\x01\x05\x0a")  # id 2, and a payload cut short


def _id_zero(peer: Peer, _: IpcClientMessage) -> None:
    peer.fail(0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "Invalid protobuf message")
    peer.send_frame(BINARY, _bytes(0, session_list=oc_session_pb2.OcSessionList()))
    peer.send_frame(BINARY)


def _unknown_ids(peer: Peer, _: IpcClientMessage) -> None:
    for request_id in (1_000, 2**31, 2**63, 2**64 - 1):
        peer.fail(request_id, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "not yours")


def _handshake_again(peer: Peer, _: IpcClientMessage) -> None:
    no = ipc_pb2.IpcAuthHandshakeResponse(success=False, error="changed my mind")
    peer.send_frame(BINARY, _bytes(1, auth_handshake_response=no))


def _control_frames(peer: Peer, _: IpcClientMessage) -> None:
    for _ in range(50):
        peer.send_frame(PING, b"x" * 125)
        peer.send_frame(PONG, b"for a ping you never sent")


@pytest.mark.parametrize(
    ("misbehave", "counted"),
    [
        (_text_later, {}),
        (_rubbish, {"undecodable": 3}),
        (_id_zero, {"without_request": 3}),
        (_unknown_ids, {"unknown": 4}),
        (_handshake_again, {"duplicate": 1}),
        (_control_frames, {}),
    ],
)
def test_what_belongs_to_no_request_disturbs_none(
    misbehave: Act, counted: dict[str, int], serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        held = [peer.receive() for _ in range(3)]
        misbehave(peer, held[0])
        for request in reversed(held):
            peer.answer(request, **normal_answer(request))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    futures: list[Future[Any]] = [
        client.futures.list_sessions(),
        client.futures.create_session("mine"),
        client.futures.delete_session("ses_x"),
    ]
    assert wait(futures, 5).not_done == set()
    assert futures[0].result()[0].id == "ses_1"
    assert futures[1].result().title == "mine"
    assert futures[2].result() is True
    assert client.check_server_health() is True  # and so do those that come after
    assert client.state is ConnectionState.CONNECTED
    strays = vars(client.strays)
    assert {kind: count for kind, count in strays.items() if count} == counted


def test_an_answer_twice(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        while True:
            request = peer.receive()
            peer.answer(request, **normal_answer(request))
            peer.answer(request, **normal_answer(request))

    client = make_client(serve(script).config)
    client.connect()
    titles = [client.create_session(f"t{number}").title for number in range(20)]
    assert titles == [f"t{number}" for number in range(20)]
    assert client.check_server_health() is True
    assert eventually(lambda: client.strays.duplicate == 21)


def test_an_answer_after_its_caller_has_gone(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        late, cancelled, prompt = peer.receive(), peer.receive(), peer.receive()
        for request in (late, cancelled, prompt):
            peer.answer(request, **normal_answer(request))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    with pytest.raises(IpcTimeoutError) as caught:
        client.create_session("late", timeout=0.1)
    assert caught.value.operation == "create_session"
    assert caught.value.request_id == 2
    assert caught.value.timeout == 0.1
    assert caught.value.request_sent is True
    assert "0.1 s" in caught.value.message
    future = client.futures.create_session("cancelled")
    assert future.cancel()
    # The right one of the three answers: nobody gets another's.
    assert client.create_session("prompt").title == "prompt"
    assert client.strays.late == 2


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"check_health_response": ipc_pb2.IpcCheckHealthResponse(healthy=True)}, "check_health"),
        ({"session_info": oc_session_pb2.OcSessionInfo(id="ses_2")}, "session_info"),
        ({"auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(success=True)}, "auth"),
        ({}, "no payload"),
    ],
)
def test_the_wrong_payload_fails_its_own_caller_alone(
    payload: dict[str, Any], says: str, serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        other, wronged = peer.receive(), peer.receive()
        peer.answer(wronged, **payload)
        peer.server.stopping.wait(0.1)  # the wronged one must not need the other's answer
        peer.answer(other, **normal_answer(other))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    other = client.futures.create_session("other")
    with pytest.raises(IpcProtocolError) as caught:
        client.list_sessions()
    assert not other.done()
    error = caught.value
    assert (error.request_id, error.operation) == (3, "list_sessions")
    assert says in error.message
    assert "list_sessions" in error.message
    assert "version" in error.message  # what to do
    assert_no_token(error)
    assert other.result(5).title == "other"
    assert client.check_server_health() is True


def test_a_payload_of_a_newer_schema_fails_its_own_caller_alone(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        # Field 299 of the envelope, with four bytes in it.
        peer.send_frame(
            BINARY, b"\x08" + bytes((request.request_id,)) + b"\xda\x12\x04\x01\x02\x03\x04"
        )
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    with pytest.raises(IpcProtocolError) as caught:
        client.list_sessions()
    assert "no payload this client knows" in caught.value.message
    assert client.check_server_health() is True


def test_errors_of_the_backend_reach_their_callers(serve: Serve, make_client: MakeClient) -> None:
    answers = iter(
        [
            (ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "the disk is full"),
            (77, "from the future"),
            (ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "not here"),
            (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "No payload in message"),
            (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "session_id: blank"),
            (0, ""),
        ]
    )

    def script(peer: Peer) -> None:
        peer.authenticate()
        for code, text in answers:
            peer.fail(peer.receive().request_id, code, text)
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    errors: list[IpcServerError] = []
    for _ in range(6):
        with pytest.raises(IpcServerError) as caught:
            client.list_sessions()
        errors.append(caught.value)
    full, future, missing, unknown, invalid, empty = errors
    assert "the disk is full" in full.message
    assert (full.code_name, full.operation, full.request_id) == (
        "SERVER_ERROR",
        "list_sessions",
        2,
    )
    assert (future.code, future.code_name) == (77, "code 77")
    assert isinstance(missing, IpcUnsupportedOperationError)
    assert isinstance(unknown, IpcUnsupportedOperationError)
    assert type(full) is type(future) is type(invalid) is type(empty) is IpcServerError
    assert "list_sessions" in empty.message
    assert client.check_server_health() is True


def test_an_error_without_a_request_is_shown_with_the_next_failure(
    serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        peer.receive()
        peer.fail(0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "Invalid protobuf message")
        peer.wait_gone()

    client = make_client(serve(script).config)
    client.connect()
    with pytest.raises(IpcTimeoutError) as caught:
        client.list_sessions(timeout=0.3)
    assert "Invalid protobuf message" in caught.value.message
    assert "INVALID_MESSAGE" in caught.value.message


def test_answers_in_one_byte_fragments_with_pings_between(
    serve: Serve, make_client: MakeClient
) -> None:
    pongs: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        payload = _bytes(request.request_id, **normal_answer(request))
        opcode = BINARY
        for index, byte in enumerate(payload):
            peer.send_frame(opcode, bytes((byte,)), final=index == len(payload) - 1)
            peer.send_frame(PING, b"%d" % index)
            opcode = CONTINUATION
        while not pongs or pongs[-1] != b"%d" % (len(payload) - 1):
            kind, data = peer.read_frame()
            if kind == PONG:
                pongs.append(data)
            else:
                assert kind == BINARY
                request = IpcClientMessage.FromString(data)
                peer.answer(request, **normal_answer(request))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    title = "é" * 150
    assert client.create_session(title).title == title
    assert client.check_server_health() is True
    assert eventually(lambda: bool(pongs))


def test_a_large_answer_one_byte_at_a_time(serve: Serve, make_client: MakeClient) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        for byte in frame(BINARY, _bytes(request.request_id, **normal_answer(request))):
            peer.send_raw(bytes((byte,)))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    assert client.create_session("x" * 300).title == "x" * 300


# --- What ends a connection ---


@dataclass(frozen=True)
class Fatal:
    """What a backend does with requests in flight, and how they have to end."""

    act: Callable[[Peer], None]
    says: tuple[str, ...]
    state: ConnectionState = ConnectionState.FAILED
    cause: type[IpcError] = IpcConnectionError
    code: int | None = None
    answered_with: int | None = None  # the close code we owe the peer


def _raw(data: bytes) -> Callable[[Peer], None]:
    return lambda peer: peer.send_raw(data)


def _close(code: int | None, reason: str = "") -> Callable[[Peer], None]:
    payload = b"" if code is None else struct.pack(">H", code) + reason.encode()
    return lambda peer: peer.send_frame(CLOSE, payload)


def _then_drop(data: bytes) -> Callable[[Peer], None]:
    def act(peer: Peer) -> None:
        peer.send_raw(data)
        peer.drop()

    return act


_ANSWER = frame(BINARY, _bytes(2, session_list=oc_session_pb2.OcSessionList()))

FATAL = {
    "drops": Fatal(Peer.drop, ("without a word",)),
    "resets": Fatal(Peer.reset, ("lost",)),
    "closes in mid-frame": Fatal(_then_drop(_ANSWER[:-1]), ("without a word",)),
    "closes in a header": Fatal(_then_drop(b"\x82\x7e\x01"), ("without a word",)),
    "closes in a message": Fatal(
        _then_drop(frame(BINARY, b"\x08\x02", final=False)), ("without a word",)
    ),
    "close frame in a message": Fatal(
        _raw(frame(BINARY, b"\x08\x02", final=False) + frame(CLOSE, b"\x03\xf3")),
        ("1011",),
        code=1011,
        answered_with=1011,
    ),
    "close 1000": Fatal(
        _close(1000),
        ("1000",),
        state=ConnectionState.DISCONNECTED,
        code=1000,
        answered_with=1000,
    ),
    "close 1001": Fatal(
        _close(1001, "restarting"),
        ("1001", "restarting"),
        state=ConnectionState.DISCONNECTED,
        code=1001,
        answered_with=1001,
    ),
    "close 1011": Fatal(_close(1011, "oops"), ("1011", "oops"), code=1011, answered_with=1011),
    "close 4000": Fatal(_close(4000, "ünïcode"), ("ünïcode",), code=4000, answered_with=4000),
    "close without a code": Fatal(
        _close(None), ("without a code",), state=ConnectionState.DISCONNECTED
    ),
    "1 TB": Fatal(
        _raw(struct.pack(">BBQ", 0x82, 127, 2**40) + bytes(4096)),
        (str(2**40), "max_message_size"),
        cause=IpcProtocolError,
        answered_with=1009,
    ),
    "1 TB in a later fragment": Fatal(
        _raw(frame(BINARY, b"x", final=False) + struct.pack(">BBQ", 0x80, 127, 2**40)),
        ("max_message_size",),
        cause=IpcProtocolError,
        answered_with=1009,
    ),
    "a length with its top bit set": Fatal(
        _raw(struct.pack(">BBQ", 0x82, 127, 2**63)), (), cause=IpcProtocolError
    ),
    "masked": Fatal(
        _raw(b"\x82\x81\x00\x00\x00\x00\x00"),
        ("masked",),
        cause=IpcProtocolError,
        answered_with=1002,
    ),
    "reserved bits": Fatal(_raw(b"\xc2\x00"), ("reserved",), cause=IpcProtocolError),
    "unknown opcode": Fatal(_raw(b"\x83\x00"), ("opcode",), cause=IpcProtocolError),
    "stray continuation": Fatal(_raw(b"\x80\x00"), ("continued",), cause=IpcProtocolError),
    "huge ping": Fatal(
        _raw(frame(PING, b"x" * 126)), ("125",), cause=IpcProtocolError, answered_with=1002
    ),
}


@pytest.mark.parametrize("case", FATAL.values(), ids=FATAL)
def test_what_ends_a_connection_frees_everybody_at_once(
    case: Fatal, serve: Serve, make_client: MakeClient
) -> None:
    acted, closed = threading.Event(), []

    def script(peer: Peer) -> None:
        peer.authenticate()
        for _ in range(4):
            peer.receive()
        acted.set()
        case.act(peer)
        closed.append(peer.wait_gone())

    server = serve(script)
    client = make_client(server.config)
    changes: list[Any] = []
    client.on_state_change(changes.append)
    client.connect()
    futures: list[Future[Any]] = [
        client.futures.list_sessions(timeout=20),
        client.futures.create_session("a", timeout=20),
        client.futures.create_session("b", timeout=20),
    ]
    blocked: list[BaseException] = []

    def block() -> None:
        try:
            client.list_sessions(timeout=20)
        except BaseException as error:
            blocked.append(error)

    caller = threading.Thread(target=block)
    caller.start()
    assert acted.wait(5)
    started = time.monotonic()
    assert wait(futures, 5).not_done == set()
    caller.join(5)
    assert time.monotonic() - started < _AT_ONCE

    errors = [*(future.exception() for future in futures), *blocked]
    assert len({id(error) for error in errors}) == 4  # each its own
    for error in errors:
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert "may have acted" in error.message
        assert error.endpoint == f"ws://127.0.0.1:{server.port}/" or case.cause is IpcProtocolError
        assert error.close_code == case.code
        for words in case.says:
            assert words in error.message
        assert isinstance(error.__cause__, case.cause)
        assert_no_token(error)
        logger.opt(exception=error).error("a user logs it, with values")
    assert eventually(lambda: client.state is case.state)
    of_callbacks = {"opencode-sync-notifier", "opencode-sync-log"}  # they end a second later
    assert eventually(lambda: set(client_threads()) <= of_callbacks)
    if case.answered_with is not None:
        assert eventually(lambda: bool(closed))
        assert closed == [case.answered_with]
    with pytest.raises(IpcConnectionError) as refused:
        client.list_sessions()
    assert refused.value.request_sent is False
    assert "connect()" in refused.value.message
    client.close()
    assert client_threads() == []
    last = changes[-1]
    assert (last.old, last.new) == (ConnectionState.CONNECTED, case.state)
    assert last.retry_in is None
    assert isinstance(last.cause, case.cause)


@pytest.mark.parametrize("act", [Peer.drop, _close(1001), _raw(b"\xc2\x00")])
def test_a_lost_connection_comes_back_and_repeats_only_what_is_harmless(
    act: Callable[[Peer], None], serve: Serve, make_client: MakeClient
) -> None:
    seen: list[tuple[int, str | None]] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        if peer.number == 1:
            seen.extend((1, peer.receive().WhichOneof("payload")) for _ in range(2))
            act(peer)
            peer.wait_gone()
            return
        while True:
            request = peer.receive()
            seen.append((peer.number, request.WhichOneof("payload")))
            peer.answer(request, **normal_answer(request))

    policy = ReconnectPolicy(initial_delay=0.02, jitter=0.0)
    client = make_client(serve(script).config, reconnect=policy)
    client.connect()
    created = client.futures.create_session("once")
    listed = client.futures.list_sessions()
    assert listed.result(5)[0].id == "ses_1"
    error = created.exception(5)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is True
    assert client.is_connected
    assert sorted(seen) == [(1, "create_session"), (1, "list_sessions"), (2, "list_sessions")]


@pytest.mark.parametrize("where", ["error", "error without a request", "close reason"])
def test_a_backend_that_quotes_the_token_later(
    where: str, serve: Serve, make_client: MakeClient
) -> None:
    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        text = f"who sent me {TOKEN}?"
        if where == "error":
            peer.fail(request.request_id, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, text)
        elif where == "close reason":
            peer.close(4000, text)
        else:
            peer.fail(0, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, text)
        peer.wait_gone()

    client = make_client(serve(script).config)
    client.connect()
    with pytest.raises(IpcError) as caught:
        client.list_sessions(timeout=0.3)
    assert "who sent me" in caught.value.message
    assert_no_token(caught.value)


@pytest.mark.parametrize("fragment", [10**9, 100])
def test_an_answer_above_the_limit_names_the_limit(
    fragment: int, serve: Serve, make_client: MakeClient
) -> None:
    codes: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        request = peer.receive()
        data = _bytes(request.request_id, **normal_answer(request))
        pieces = [data[start : start + fragment] for start in range(0, len(data), fragment)]
        frames = [
            frame(CONTINUATION if number else BINARY, piece, final=number == len(pieces) - 1)
            for number, piece in enumerate(pieces)
        ]
        peer.send_raw(b"".join(frames))  # at once: afterwards the client may have gone
        codes.append(peer.wait_gone())

    client = make_client(serve(script).config, max_message_size=1000)
    client.connect()
    with pytest.raises(IpcConnectionError) as caught:
        client.create_session("x" * 1500)
    assert "1000" in caught.value.message
    assert "max_message_size" in caught.value.message
    assert isinstance(caught.value.__cause__, IpcProtocolError)
    assert eventually(lambda: codes == [1009])


# --- What a caller may hand in ---

TITLES = {
    "1 MB": "x" * 1_000_000,
    "1 MB of emoji": "🧪" * 250_000,
    "NUL": "before\x00after\x00",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 \U0010ffff",
    "controls": "a\r\nb\t\x1b[31m\u202e\ufeff",
    "empty": "",
}


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_titles_come_back_as_they_were(title: str, serve: Serve, make_client: MakeClient) -> None:
    requests: list[IpcClientMessage] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        while True:
            request = peer.receive()
            requests.append(request)
            peer.answer(request, **normal_answer(request))

    client = make_client(serve(script).config)
    client.connect()
    assert client.create_session(title).title == title
    assert client.futures.create_session(title).result(5).title == title
    assert [request.create_session.title == title for request in requests] == [True, True]
    assert all(request.create_session.HasField("title") for request in requests)


def test_no_title_is_not_an_empty_one(serve: Serve, make_client: MakeClient) -> None:
    requests: list[IpcClientMessage] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        requests.append(peer.receive())
        peer.answer(requests[0], **normal_answer(requests[0]))
        peer.serve()

    client = make_client(serve(script).config)
    client.connect()
    client.create_session()
    assert not requests[0].create_session.HasField("title")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda api: api.create_session("half \ud83d an emoji"), "title"),
        (lambda api: api.create_session(b"bytes"), "title"),
        (lambda api: api.delete_session(""), "session_id"),
        (lambda api: api.delete_session(" \t"), "session_id"),
        (lambda api: api.delete_session("ses_\udcff"), "session_id"),
        (lambda api: api.delete_session(None), "session_id"),
        (lambda api: api.spawn_server(70000), "port"),
        (lambda api: api.list_sessions(timeout=float("nan")), "timeout"),
        (lambda api: api.list_sessions(timeout=-1), "timeout"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    call: Callable[[Any], Any], field: str, serve: Serve, make_client: MakeClient
) -> None:
    received: list[IpcClientMessage] = []

    def script(peer: Peer) -> None:
        peer.authenticate()
        try:
            while True:
                request = peer.receive()
                received.append(request)
                peer.answer(request, **normal_answer(request))
        except PeerGone:
            return

    client = make_client(serve(script).config)
    client.connect()
    for api in (client, client.futures):
        with pytest.raises(IpcArgumentError) as caught:
            call(api)
        assert caught.value.field == field
        assert field in caught.value.message
        assert isinstance(caught.value, ValueError)
    assert client.check_server_health() is True
    assert [request.WhichOneof("payload") for request in received] == ["check_health"]
    assert received[0].request_id == 2  # no id was wasted on what was refused

"""What hostile and broken backends do to a client: each caller learns the truth, and it comes back.

The first connection breaks the rules with two calls in flight; the second behaves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from opencode_sync import IpcClient, IpcConnectionError, IpcProtocolError, ReconnectPolicy
from opencode_sync.wire import ipc_pb2
from tests.integration.client.conftest import (
    assert_no_token,
    log,
    make_client,
    nothing_left_behind,
    own_settings,
    serve,
    stack,
)
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
    frame,
    normal_answer,
)

__all__ = ["log", "make_client", "nothing_left_behind", "own_settings", "serve", "stack"]

LARGEST = 4096
"""Bytes that a message to the clients of these tests may have."""

_FAST = ReconnectPolicy(initial_delay=0.01, maximum_delay=0.05, jitter=0.0)


@dataclass(frozen=True)
class Case:
    """What a backend sends, and what has to come of it.

    Attributes:
        data: Bytes on the wire.
        ends: Whether the connection ends by them; else it goes on as if nothing had been.
        cause: Why the calls in flight fail, if it ends.
        then: What the backend does next.
    """

    data: bytes
    ends: bool = True
    cause: type[Exception] = IpcProtocolError
    then: Callable[[Peer], object] | None = None


def _close(payload: bytes) -> Case:
    return Case(frame(CLOSE, payload))


def _server_frame(opcode: int, length: int, *, form: int, announced: int | None = None) -> bytes:
    """A frame whose length is written in a form of its own."""
    said = length if announced is None else announced
    packed = struct.pack(">BH", 126, said) if form == 2 else struct.pack(">BQ", 127, said)
    return bytes((0x80 | opcode,)) + packed + b"x" * length


def _message(request_id: int, **payload: Any) -> bytes:
    answer = ipc_pb2.IpcServerMessage(request_id=request_id, **payload)
    return frame(BINARY, answer.SerializeToString())


_PIECES = b"".join(frame(CONTINUATION if n else BINARY, b"x" * 1000, final=False) for n in range(5))

CASES = {
    **{
        f"reserved bits {bits:03b}": Case(bytes((0x80 | bits << 4 | BINARY, 0)))
        for bits in range(1, 8)
    },
    **{
        f"opcode {opcode:#x}": Case(frame(opcode, b"x"))
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    },
    "masked": Case(b"\x82\x81\0\0\0\0x"),
    "masked and empty": Case(b"\x82\x80\0\0\0\0"),
    "a continuation of nothing": Case(frame(CONTINUATION, b"x")),
    "a message inside another": Case(frame(BINARY, b"x", final=False) + frame(BINARY, b"y")),
    "text inside a message": Case(frame(BINARY, b"x", final=False) + frame(TEXT, b"y")),
    "a ping in fragments": Case(frame(PING, b"x", final=False)),
    "a pong in fragments": Case(frame(PONG, b"x", final=False)),
    "a goodbye in fragments": Case(frame(CLOSE, b"\x03\xe8", final=False)),
    "a ping of 126 bytes": Case(frame(PING, b"x" * 126)),
    "a pong of 64 kB": Case(frame(PONG, b"x" * 65536)),
    "a short length in two bytes": Case(_server_frame(BINARY, 5, form=2)),
    "a short length in eight bytes": Case(_server_frame(BINARY, 5, form=8)),
    "a length with its top bit set": Case(_server_frame(BINARY, 0, form=8, announced=2**63)),
    "a terabyte announced": Case(_server_frame(BINARY, 0, form=8, announced=2**40)),
    "one byte more than allowed": Case(frame(BINARY, b"x" * (LARGEST + 1))),
    "too much in fragments": Case(_PIECES),
    "too much in text": Case(frame(TEXT, b"x" * (LARGEST + 1))),
    "half a close code": _close(b"\x03"),
    "close code 0": _close(b"\0\0"),
    "the close code that means none": _close(b"\x03\xed"),
    "the close code of a lost link": _close(b"\x03\xee"),
    "close code 65535": _close(b"\xff\xff"),
    "a close reason that is no text": _close(b"\x03\xe8\xff"),
    "HTTP in mid-connection": Case(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "the end": Case(b"", cause=IpcConnectionError, then=Peer.drop),
    "a reset": Case(b"", cause=IpcConnectionError, then=Peer.reset),
    "half a header, then the end": Case(b"\x82", cause=IpcConnectionError, then=Peer.drop),
    "half a frame, then the end": Case(
        frame(BINARY, b"x" * 10)[:-1], cause=IpcConnectionError, then=Peer.drop
    ),
    "half a message, then the end": Case(
        frame(BINARY, b"x", final=False), cause=IpcConnectionError, then=Peer.drop
    ),
    **{
        f"goodbye {code}": Case(
            frame(CLOSE, struct.pack(">H", code) + b"of some reason"), cause=IpcConnectionError
        )
        for code in (1000, 1001, 1008, 1011, 1013, 4999)
    },
    "goodbye without a code": Case(frame(CLOSE), cause=IpcConnectionError),
    "rubbish in a message": Case(frame(BINARY, b"\xff" * 64), ends=False),
    "an empty message": Case(frame(BINARY), ends=False),
    "text": Case(frame(TEXT, b"\xff\xfe"), ends=False),
    "answers to nobody": Case(_message(0) + _message(77) + _message(2**64 - 1), ends=False),
    "the handshake's answer again": Case(
        _message(1, auth_handshake_response=ipc_pb2.IpcAuthHandshakeResponse(success=False)),
        ends=False,
    ),
    "pongs for no ping": Case(frame(PONG, b"x") * 100, ends=False),
    "a thousand pings": Case(frame(PING, b"x" * 125) * 1000, ends=False),
}


@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_it(
    name: str, serve: Callable[..., IpcServer], make_client: Callable[..., IpcClient]
) -> None:
    case = CASES[name]

    def script(peer: Peer) -> None:
        peer.authenticate()
        if peer.number > 1:
            peer.serve()
            return
        asked = [peer.receive(), peer.receive()]
        peer.send_raw(case.data)
        if case.then is not None:
            case.then(peer)
            return
        if case.ends:
            peer.wait_gone()
            return
        for request in asked:
            peer.answer(request, **normal_answer(request))
        peer.serve()

    server = serve(script)
    client = make_client(server.config, reconnect=_FAST, max_message_size=LARGEST)
    client.connect()
    harmless = client.futures.list_sessions()
    not_harmless = client.futures.create_session("once")
    # A list is asked again of the next connection, within its time.
    assert [session.id for session in harmless.result(10)] == ["ses_1"]
    if case.ends:
        error = not_harmless.exception(10)
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert isinstance(error.__cause__, case.cause)
        assert_no_token(error, TOKEN)
    else:
        assert not_harmless.result(10).title == "once"
    assert client.create_session("after").title == "after"
    assert server.connections == (2 if case.ends else 1)


def test_there_are_at_least_40() -> None:
    assert len(CASES) >= 40

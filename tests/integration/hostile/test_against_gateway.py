"""What hostile and broken peers get from the gateway, and that nobody else is disturbed by them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("websockets")

from opencode_sync.gateway import Gateway
from opencode_sync.wire import ipc_pb2
from tests.integration.gateway.conftest import backend, nothing_left, start
from tests.integration.hostile.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Ended,
    RawPeer,
    frame,
    message,
    upgrade,
)
from tests.unit.gateway.doubles import request

__all__ = ["backend", "nothing_left", "start"]  # fixtures

Start = Callable[..., Gateway]
Act = Callable[[RawPeer, Gateway], None]

LARGEST = 4096
"""Bytes that a message to the gateway of these tests may have."""


@dataclass(frozen=True)
class Case:
    """What a peer does, and what has to come of it.

    Attributes:
        act: What it does; a peer that is to be authenticated first, is.
        stage: How far it behaves: until "tcp", "open" (the WebSocket), or "trusted" (the token).
        status: The HTTP status it gets; None for none.
        code: The close code it gets; None for none: the connection ends without a word.
        errors: Codes of the errors it is answered with, before the end.
    """

    act: Act
    stage: str = "trusted"
    status: int | None = None
    code: int | None = None
    errors: tuple[int, ...] = ()


def sends(*data: bytes) -> Act:
    """Write bytes, then no more."""

    def act(peer: RawPeer, gateway: Gateway) -> None:
        for each in data:
            peer.send(each)
        peer.finish()

    return act


def writes(data: bytes, errors: int | None = None) -> Act:
    """Write bytes, wait for the errors, ask something sensible, and say goodbye."""

    def act(peer: RawPeer, gateway: Gateway) -> None:
        peer.send(data)
        wanted = data.count(message(2, None)) or 1 if errors is None else errors
        for _ in range(wanted):
            peer.keep(peer.receive())
        peer.send(message(9, "check_health"))
        answer = peer.receive()
        assert answer is not None
        assert (answer.request_id, answer.check_health_response.healthy) == (9, True)
        peer.send(frame(CLOSE, struct.pack(">H", 1000)))

    return act


def asks(**changes: Any) -> Act:
    """Begin the opening handshake another way."""

    def act(peer: RawPeer, gateway: Gateway) -> None:
        peer.send(upgrade(gateway.port, **changes))
        peer.finish()

    return act


def shows(token: Callable[[str], str]) -> Act:
    """Show another token than the right one, which the function gets."""

    def act(peer: RawPeer, gateway: Gateway) -> None:
        peer.send(message(1, "auth_handshake", token=token(gateway.auth_token)))

    return act


def _resets(peer: RawPeer, gateway: Gateway) -> None:
    peer.send(frame(BINARY, b"x" * 10, announced=1000))
    peer.reset()


def _nested(depth: int) -> bytes:
    """A request about a folder about a folder about a folder."""
    inner = request(2, "check_health").SerializeToString()
    for _ in range(depth):
        outer = ipc_pb2.IpcClientMessage(request_id=2)
        outer.scoped.directory = "/"
        outer.scoped.request = inner
        inner = outer.SerializeToString()
    return frame(BINARY, inner)


INVALID = ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
GOOD = message(2, "check_health")
UNKNOWN_FIELD = b"\x08\x02\xfa\x7f\x03abc"  # id 2, and a field of number 2047

AT_THE_DOOR = {
    "nothing at all": Case(sends(), "tcp"),
    "one byte": Case(sends(b"G"), "tcp"),
    "a TLS hello": Case(sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "tcp"),
    "a POST": Case(asks(line="POST / HTTP/1.1"), "tcp", status=405),
    "HTTP 1.0": Case(asks(line="GET / HTTP/1.0"), "tcp", status=505),
    "no version": Case(asks(without="Sec-WebSocket-Version"), "tcp", status=400),
    "an old version": Case(
        asks(without="Sec-WebSocket-Version", more="Sec-WebSocket-Version: 8\r\n"),
        "tcp",
        status=400,
    ),
    "no key": Case(asks(without="Sec-WebSocket-Key"), "tcp", status=400),
    "a short key": Case(
        asks(without="Sec-WebSocket-Key", more="Sec-WebSocket-Key: c2hvcnQ=\r\n"),
        "tcp",
        status=400,
    ),
    "two keys": Case(
        asks(more="Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "tcp", status=400
    ),
    "no upgrade": Case(asks(without="Upgrade"), "tcp", status=426),
    "no connection header": Case(asks(without="Connection"), "tcp", status=426),
    "a page's origin": Case(asks(more="Origin: https://evil.example\r\n"), "tcp", status=403),
    "two origins": Case(asks(more="Origin: null\r\nOrigin: null\r\n"), "tcp", status=400),
    "no host": Case(asks(without="Host"), "tcp", status=403),
    "a name bound to us": Case(
        asks(without="Host", more="Host: evil.example\r\n"), "tcp", status=403
    ),
    "a body": Case(asks(more="Content-Length: 5\r\n"), "tcp"),
    "a thousand headers": Case(asks(more="X: y\r\n" * 1000), "tcp", status=431),
    "a header without a colon": Case(asks(more="rubbish\r\n"), "tcp"),
    "a folded header": Case(asks(more="X: y\r\n z\r\n"), "tcp"),
}

WITHOUT_THE_TOKEN = {
    "a wrong token": Case(shows(lambda right: "wrong"), "open", code=1008),
    "an empty token": Case(shows(lambda right: ""), "open", code=1008),
    "the token and a blank": Case(shows(lambda right: right + " "), "open", code=1008),
    "all but one character": Case(shows(lambda right: right[:-1]), "open", code=1008),
    "the token in capitals": Case(shows(lambda right: right.upper() + "X"), "open", code=1008),
    "a token of 30 kB": Case(shows(lambda right: right + "x" * 3000), "open", code=1008),
    "a request first": Case(sends(GOOD), "open", code=1008),
    "an extension first": Case(sends(message(1, "subscribe")), "open", code=1008),
    "a request about a folder first": Case(sends(_nested(1)), "open", code=1008),
    "rubbish first": Case(sends(frame(BINARY, b"\xff" * 50)), "open", code=1008),
    "an empty message first": Case(sends(frame(BINARY)), "open", code=1008),
    "text first": Case(sends(frame(TEXT, b"{}")), "open", code=1008),
    "goodbye first": Case(sends(frame(CLOSE, b"\x03\xe8")), "open", code=1000),
    "a hundred pings, then nothing": Case(sends(frame(PING, b"p") * 100), "open"),
}

FRAMES = {
    **{
        f"reserved bits {bits:03b}": Case(sends(frame(BINARY, b"x", reserved=bits)), code=1002)
        for bits in (1, 2, 4)
    },
    **{
        f"opcode {opcode:#x}": Case(sends(frame(opcode, b"x")), code=1002)
        for opcode in (0x3, 0x7, 0xB, 0xF)
    },
    "no mask": Case(sends(frame(BINARY, GOOD, masked=False)), code=1002),
    "a continuation of nothing": Case(sends(frame(CONTINUATION, b"x")), code=1002),
    "a message inside another": Case(
        sends(frame(BINARY, b"x", final=False), frame(BINARY, b"y")), code=1002
    ),
    "a ping in fragments": Case(sends(frame(PING, b"x", final=False)), code=1002),
    "a ping of 126 bytes": Case(sends(frame(PING, b"x" * 126)), code=1002),
    "half a close code": Case(sends(frame(CLOSE, b"\x03")), code=1002),
    "the close code that means none": Case(sends(frame(CLOSE, b"\x03\xed")), code=1002),
    "close code 0": Case(sends(frame(CLOSE, bytes(2))), code=1002),
    "a close reason that is no text": Case(sends(frame(CLOSE, b"\x03\xe8\xff")), code=1007),
    "one byte more than allowed": Case(sends(frame(BINARY, b"x" * (LARGEST + 1))), code=1009),
    "a terabyte announced": Case(sends(frame(BINARY, announced=1 << 40)), code=1009),
    "a length with its top bit set": Case(sends(frame(BINARY, announced=1 << 63)), code=1009),
    "too much in fragments": Case(
        sends(*(frame(CONTINUATION if n else BINARY, b"x" * 1000, final=False) for n in range(5))),
        code=1009,
    ),
    "too much in text": Case(sends(frame(TEXT, b"x" * (LARGEST + 1))), code=1009),
    "half a frame, then the end": Case(sends(frame(BINARY, b"x", announced=1000))),
    "half a header, then the end": Case(sends(b"\x82")),
    "half a message, then the end": Case(sends(frame(BINARY, b"x", final=False))),
    "half a frame, then a reset": Case(_resets),
    "frames behind a goodbye": Case(
        sends(frame(CLOSE, struct.pack(">H", 1000)), message(2, "create_session")), code=1000
    ),
}

MESSAGES = {
    "rubbish": Case(writes(frame(BINARY, b"\xff" * 64)), code=1000, errors=(INVALID,)),
    "a field cut short": Case(
        writes(frame(BINARY, b"\x08\x02\xa2\x01\x05\x0a")), code=1000, errors=(INVALID,)
    ),
    "an empty message": Case(writes(frame(BINARY)), code=1000, errors=(INVALID,)),
    "no payload": Case(writes(message(2, None)), code=1000, errors=(INVALID,)),
    "a field nobody knows": Case(
        writes(frame(BINARY, UNKNOWN_FIELD)), code=1000, errors=(INVALID,)
    ),
    "id 0": Case(writes(message(0, "check_health")), code=1000, errors=(INVALID,)),
    "a handshake again": Case(
        writes(message(2, "auth_handshake", token="another")),
        code=1000,
        errors=(ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,),
    ),
    "an id twice": Case(
        writes(message(2, None) + message(2, None)), code=1000, errors=(INVALID, INVALID)
    ),
    "a folder inside a folder": Case(writes(_nested(2)), code=1000, errors=(INVALID,)),
    "a hundred folders": Case(writes(_nested(100)), code=1000, errors=(INVALID,)),
    "a folder and rubbish": Case(
        writes(message(2, "scoped", directory="/", request=b"\xff")),
        code=1000,
        errors=(INVALID,),
    ),
    "a folder that is none": Case(
        writes(message(2, "scoped", directory="../x", request=b"\x42\x00")),
        code=1000,
        errors=(INVALID,),
    ),
    "an impossible port": Case(
        writes(message(2, "spawn_server", port=70000)), code=1000, errors=(INVALID,)
    ),
    "text": Case(writes(frame(TEXT, b"{}"), errors=0), code=1000),
    "pongs for no ping": Case(writes(frame(PONG, b"x") * 100, errors=0), code=1000),
}

CASES = {
    **{f"at the door: {name}": case for name, case in AT_THE_DOOR.items()},
    **{f"without the token: {name}": case for name, case in WITHOUT_THE_TOKEN.items()},
    **{f"frames: {name}": case for name, case in FRAMES.items()},
    **{f"messages: {name}": case for name, case in MESSAGES.items()},
}


def _met(case: Case, gateway: Gateway) -> Ended | None:
    with RawPeer(gateway.port) as peer:
        if case.stage != "tcp":
            peer.open(gateway.port)
        if case.stage == "trusted":
            peer.authenticate(gateway.auth_token)
        case.act(peer, gateway)
        return None if case.act is _resets else peer.end()


@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_it(name: str, start: Start) -> None:
    case = CASES[name]
    gateway = start(max_message_size=LARGEST)
    ended = _met(case, gateway)
    if ended is not None:
        errors = tuple(answer.error.code for answer in ended.answers if answer.HasField("error"))
        assert (ended.status, ended.code, errors) == (case.status, case.code, case.errors)
        # Nothing was done for it, and nothing was told.
        assert not any(answer.HasField("session_info") for answer in ended.answers)
        assert gateway.auth_token.encode() not in ended.shown
    _is_served(gateway)


def _is_served(gateway: Gateway) -> None:
    """A peer in good order is served as if nothing had been."""
    with RawPeer(gateway.port) as peer:
        peer.open(gateway.port)
        peer.authenticate(gateway.auth_token)
        peer.send(GOOD)
        answer = peer.receive()
        assert answer is not None
        assert answer.check_health_response.healthy


def test_there_are_at_least_40() -> None:
    assert len(CASES) >= 40


def test_all_of_them_at_once_disturb_nobody(start: Start) -> None:
    """One gateway for all, and a peer that asks on while they come and go."""
    gateway = start(max_message_size=LARGEST)
    with RawPeer(gateway.port) as good:
        good.open(gateway.port)
        good.authenticate(gateway.auth_token)
        for number, case in enumerate(CASES.values(), 2):
            _met(case, gateway)
            good.send(message(number, "check_health"))
            answer = good.receive()
            assert answer is not None
            assert (answer.request_id, answer.check_health_response.healthy) == (number, True)

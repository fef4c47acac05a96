"""Cutting a proxied stream into what faults strike, wherever the network cuts it."""

from __future__ import annotations

import random

import pytest

from opencode_sync.testing.units import (
    UnitKind,
    UnitReader,
    close_frame,
    refragmented,
    with_host,
)
from opencode_sync.transport.frames import FrameReader, parse_close
from tests.unit.testing.wire import KEY, REQUEST, RESPONSE, frame, masked

HEAD, MESSAGE, CONTROL, BYTES = UnitKind.HEAD, UnitKind.MESSAGE, UnitKind.CONTROL, UnitKind.BYTES

STREAM = [
    (HEAD, RESPONSE),
    (MESSAGE, frame(2, b"one")),
    (CONTROL, frame(9, b"ping")),
    (MESSAGE, frame(2, b"x" * 300)),
    (MESSAGE, frame(1, b"te", final=False) + frame(0, b"xt")),
    (MESSAGE, frame(2, b"")),
    (MESSAGE, frame(2, b"y" * 70000)),
    (CONTROL, frame(8, b"\x03\xe8")),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096, 10**6])
def test_units_are_the_same_however_the_bytes_come(size: int) -> None:
    data = b"".join(part for _, part in STREAM)
    reader = UnitReader()
    units = [unit for at in range(0, len(data), size) for unit in reader.feed(data[at : at + size])]
    assert [(unit.kind, unit.data) for unit in units] == STREAM
    assert [unit.number for unit in units] == [0, 1, 1, 2, 3, 4, 5, 5]
    assert [unit.start for unit in units] == [
        sum(len(part) for _, part in STREAM[:index]) for index in range(len(STREAM))
    ]
    assert reader.rest() is None


def test_a_ping_between_fragments_comes_first() -> None:
    reader = UnitReader()
    reader.feed(RESPONSE)
    units = reader.feed(frame(2, b"a", final=False) + frame(9) + frame(0, b"b"))
    assert [unit.kind for unit in units] == [CONTROL, MESSAGE]


def test_what_is_not_completed_is_the_rest() -> None:
    reader = UnitReader()
    reader.feed(REQUEST)
    half = frame(2, b"a", final=False, key=KEY) + frame(0, b"bcd", key=KEY)[:-1]
    assert reader.feed(half) == []
    rest = reader.rest()
    assert rest is not None
    assert (rest.kind, rest.data, rest.start) == (BYTES, half, len(REQUEST))
    assert reader.rest() is None


@pytest.mark.parametrize("code", [b"403 Forbidden", b"302 Found"])
def test_behind_a_refusal_are_only_bytes(code: bytes) -> None:
    reader = UnitReader()
    head = b"HTTP/1.1 " + code + b"\r\n\r\n"
    units = reader.feed(head + b"\x82\x01a")
    assert [(unit.kind, unit.data) for unit in units] == [(HEAD, head), (BYTES, b"\x82\x01a")]


def test_a_head_without_an_end_is_only_bytes() -> None:
    reader = UnitReader()
    units = reader.feed(b"x" * 70000)
    assert [unit.kind for unit in units] == [BYTES]
    assert reader.feed(b"y")[0].start == 70000


def test_a_message_beyond_all_measure_is_only_bytes() -> None:
    reader = UnitReader()
    reader.feed(RESPONSE)
    announced = b"\x82\x7f" + (2**40).to_bytes(8, "big")
    assert [(unit.kind, unit.data) for unit in reader.feed(announced)] == [(BYTES, announced)]
    assert [unit.kind for unit in reader.feed(b"more")] == [BYTES]


def test_another_protocol_is_only_bytes() -> None:
    reader = UnitReader(websocket=False)
    assert [(unit.kind, unit.start) for unit in reader.feed(b"abc")] == [(BYTES, 0)]
    assert [(unit.kind, unit.start) for unit in reader.feed(b"def")] == [(BYTES, 3)]


@pytest.mark.parametrize("key", [None, KEY])
def test_a_frame_cut_anywhere_in_its_header_is_waited_for(key: bytes | None) -> None:
    for length in (0, 125, 126, 65535, 65536):
        data = frame(2, bytes(length), key=key)
        for cut in range(1, min(len(data), 16)):
            reader = UnitReader()
            reader.feed(RESPONSE)
            assert reader.feed(data[:cut]) == []
            (unit,) = reader.feed(data[cut:])
            assert unit.data == data


@pytest.mark.parametrize("size", [1, 2, 5, 125, 126, 70000, 10**6])
@pytest.mark.parametrize("length", [0, 1, 10, 200, 70001])
def test_a_fragmented_message_says_the_same(size: int, length: int) -> None:
    payload = random.Random(size).randbytes(length)
    data = refragmented(frame(2, payload[:3], final=False) + frame(0, payload[3:]), size)
    reader = FrameReader(10**6)
    reader.feed(data)
    assert reader.next_event() == (2, payload)
    assert reader.next_event() is None
    assert len(data) <= length + 10 * max(1, -(-length // size))


def test_a_clients_message_stays_masked() -> None:
    data = refragmented(frame(2, b"abc", key=KEY), 2)
    assert data == b"\x02\x82" + KEY + masked(b"ab") + b"\x80\x81" + KEY + masked(b"c")


def test_close_frames() -> None:
    assert close_frame(None, "", None) == b"\x88\x00"
    assert parse_close(close_frame(1011, "why", None)[2:]) == (1011, "why")
    assert close_frame(1000, "", KEY) == b"\x88\x82" + KEY + masked(b"\x03\xe8")


def test_the_request_names_who_is_asked() -> None:
    head = b"GET / HTTP/1.1\r\nhost: 127.0.0.1:1\r\nX-Host: a\r\n\r\n"
    assert with_host(head, "127.0.0.1:99") == (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:99\r\nX-Host: a\r\n\r\n"
    )

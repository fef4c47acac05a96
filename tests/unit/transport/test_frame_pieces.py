"""However the network cuts the bytes, the same events come out; and rubbish never does harm."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opencode_sync.transport.base import TransportProtocolError
from opencode_sync.transport.frames import FrameReader, parse_close
from tests.support.wsserver import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_body,
    server_frame,
)

Events = list[tuple[int, bytes]]
R = TypeVar("R")

SAMPLES = {
    "short": (server_frame(BINARY, b"hello"), [(BINARY, b"hello")]),
    "empty": (server_frame(BINARY), [(BINARY, b"")]),
    "medium": (server_frame(BINARY, bytes(130)), [(BINARY, bytes(130))]),
    "pings": (
        server_frame(PING, b"1") + server_frame(PONG) + server_frame(PING, bytes(125)),
        [(PING, b"1"), (PONG, b""), (PING, bytes(125))],
    ),
    "fragments with control frames between": (
        server_frame(TEXT, b"ab", final=False)
        + server_frame(PING, b"p")
        + server_frame(CONTINUATION, final=False)
        + server_frame(PONG, b"q")
        + server_frame(CONTINUATION, bytes(126), final=False)
        + server_frame(CONTINUATION, b"c")
        + server_frame(BINARY, b"next"),
        [(PING, b"p"), (PONG, b"q"), (TEXT, b"ab" + bytes(126) + b"c"), (BINARY, b"next")],
    ),
    "a goodbye behind a message": (
        server_frame(BINARY, b"last") + server_frame(CLOSE, close_body(1001, "bye")),
        [(BINARY, b"last"), (CLOSE, close_body(1001, "bye"))],
    ),
}


def decode(pieces: list[bytes], *, limit: int = 1 << 24) -> Events:
    """Return what a reader makes of pieces fed one after the other."""
    reader = FrameReader(limit)
    found: Events = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next_event()) is not None:
            found.append(event)
    return found


def unless_refused(step: Callable[[], R], *codes: int) -> R | None:
    """Return what ``step`` does, None if the peer's bytes were refused with one of the codes."""
    refused = 0
    try:
        return step()
    except TransportProtocolError as error:
        refused = error.code
    assert refused in codes
    return None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_at_any_place_changes_nothing(name: str) -> None:
    data, expected = SAMPLES[name]
    for cut in range(len(data) + 1):
        assert decode([data[:cut], data[cut:]]) == expected, f"cut at {cut}"


@pytest.mark.parametrize("name", SAMPLES)
def test_two_cuts_at_any_places_near_each_other_change_nothing(name: str) -> None:
    data, expected = SAMPLES[name]
    for cut in range(len(data)):
        for width in (1, 2, 3, 9, 14):
            pieces = [data[:cut], data[cut : cut + width], data[cut + width :]]
            assert decode(pieces) == expected, f"{width} bytes alone at {cut}"


@pytest.mark.parametrize("name", SAMPLES)
def test_single_bytes_change_nothing(name: str) -> None:
    data, expected = SAMPLES[name]
    assert decode([data[index : index + 1] for index in range(len(data))]) == expected


def test_large_and_small_pieces_by_turns_are_one_message() -> None:
    payload = b"".join(bytes([n % 256]) * n for n in range(1, 400))
    data = server_frame(BINARY, payload)
    sizes = [10, 4096, 4095, 1, 20_000, 3, 4, 5000]
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    pieces = [data[start:end] for start, end in pairwise([0, *ends, len(data)])]
    assert decode(pieces) == [(BINARY, payload)]


def test_a_peer_of_tiny_pieces_costs_no_object_for_each() -> None:
    reader = FrameReader(1 << 20)
    for byte in server_frame(BINARY, bytes(10_000))[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next_event() is None
    assert len(reader._pieces) == 1


def test_the_long_form_of_the_length_may_be_cut_anywhere() -> None:
    payload = bytes(range(256)) * 300
    data = server_frame(BINARY, payload) + server_frame(BINARY, b"next")
    for cut in [*range(16), 65546, len(data) - 7, len(data) - 6, len(data) - 1]:
        assert decode([data[:cut], data[cut:]]) == [(BINARY, payload), (BINARY, b"next")]


def test_an_offence_is_found_wherever_the_bytes_are_cut() -> None:
    good = server_frame(BINARY, b"good")
    for bad in (server_frame(0xF), server_frame(BINARY, b"", length_bytes=2)):
        data = good + bad
        for cut in range(len(data) + 1):
            with pytest.raises(TransportProtocolError):
                decode([data[:cut], data[cut:]])


# --- Any messages, cut into any fragments, delivered in any pieces ---

payloads = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 70_000).map(lambda size: bytes(index % 251 for index in range(size))),
)
controls = st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=125))


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, Events]:
    """Bytes a lawful server may send, and the events they mean."""
    data = bytearray()
    expected: Events = []

    def interject() -> None:
        for opcode, payload in draw(st.lists(controls, max_size=2)):
            data.extend(server_frame(opcode, payload))
            expected.append((opcode, payload))

    for opcode, message in draw(
        st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), payloads), max_size=5)
    ):
        interject()
        cuts = sorted(draw(st.lists(st.integers(0, len(message)), max_size=5)))
        ends = [*cuts, len(message)]
        start = 0
        for index, end in enumerate(ends):
            if index:
                interject()
            final = index == len(ends) - 1
            piece = message[start:end]
            data.extend(server_frame(opcode if index == 0 else CONTINUATION, piece, final=final))
            start = end
        expected.append((opcode, message))
    return bytes(data), expected


@settings(max_examples=150, deadline=None)
@given(streams(), st.data())
def test_lawful_streams_decode_to_what_was_meant(
    stream: tuple[bytes, Events], data: st.DataObject
) -> None:
    wire, expected = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    edges = [0, *cuts, len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(edges)]
    assert decode(pieces) == expected


@settings(max_examples=60, deadline=None)
@given(streams())
def test_a_stream_cut_short_yields_the_beginning_and_no_error(stream: tuple[bytes, Events]) -> None:
    wire, expected = stream
    found = decode([wire[: len(wire) * 2 // 3]])
    assert found == expected[: len(found)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=10))
@example([b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"])
@example([b"\x82", b"\x7e\x00", b"\x7e"])
def test_rubbish_raises_nothing_but_a_protocol_error(pieces: list[bytes]) -> None:
    size = sum(len(piece) for piece in pieces)
    found = unless_refused(lambda: decode(pieces, limit=1000), 1002, 1009)
    # Not more came out than went in: each event costs its header, and nothing is invented.
    assert sum(2 + len(payload) for _, payload in found or []) <= size


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_a_flipped_bit_raises_nothing_but_a_protocol_error(
    stream: tuple[bytes, Events], data: st.DataObject
) -> None:
    wire = bytearray(stream[0])
    if wire:
        place = data.draw(st.integers(0, len(wire) - 1))
        wire[place] ^= 1 << data.draw(st.integers(0, 7))
    unless_refused(lambda: decode([bytes(wire)], limit=70_000), 1002, 1009)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=125))
def test_any_close_payload_is_read_or_refused(payload: bytes) -> None:
    found = unless_refused(lambda: parse_close(payload), 1002, 1007)
    if found is not None:
        code, reason = found
        assert payload == (b"" if code is None else close_body(code, reason))

"""What RFC 6455 forbids a server, and what it allows: ``FrameReader`` enforces each rule."""

from __future__ import annotations

import struct

import pytest

from opencode_sync.transport import frames
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

LIMIT = 100_000


def events(data: bytes, *, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    """Return what a reader makes of ``data``, given to it at once."""
    reader = FrameReader(limit)
    reader.feed(data)
    found = []
    while (event := reader.next_event()) is not None:
        found.append(event)
    return found


def refusal(data: bytes, *, limit: int = LIMIT) -> TransportProtocolError:
    """Return the error a reader raises for ``data``."""
    with pytest.raises(TransportProtocolError) as caught:
        events(data, limit=limit)
    return caught.value


# --- What is allowed ---


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [0, 1, 2, 124, 125])
def test_short_payloads_are_allowed_in_every_frame(opcode: int, size: int) -> None:
    payload = bytes(range(size))
    assert events(server_frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [126, 127, 128, 65535, 65536, 65537])
def test_each_form_of_the_length_is_read(opcode: int, size: int) -> None:
    payload = bytes(size)
    assert events(server_frame(opcode, payload)) == [(opcode, payload)]


def test_a_message_is_put_together_from_its_fragments() -> None:
    data = (
        server_frame(BINARY, b"one ", final=False)
        + server_frame(CONTINUATION, b"", final=False)
        + server_frame(CONTINUATION, b"two ", final=False)
        + server_frame(CONTINUATION, b"three")
    )
    assert events(data) == [(BINARY, b"one two three")]


def test_a_message_may_be_of_empty_fragments_only() -> None:
    data = server_frame(TEXT, final=False) + server_frame(CONTINUATION)
    assert events(data) == [(TEXT, b"")]


def test_control_frames_may_stand_between_fragments() -> None:
    data = (
        server_frame(PING, b"a")
        + server_frame(BINARY, b"1", final=False)
        + server_frame(PING, b"b")
        + server_frame(PONG, b"")
        + server_frame(CONTINUATION, b"2", final=False)
        + server_frame(CLOSE, close_body(1001))
        + server_frame(CONTINUATION, b"3")
    )
    assert events(data) == [
        (PING, b"a"),
        (PING, b"b"),
        (PONG, b""),
        (CLOSE, b"\x03\xe9"),
        (BINARY, b"123"),
    ]


def test_messages_follow_each_other_whole_or_in_fragments() -> None:
    data = (
        server_frame(BINARY, b"1")
        + server_frame(BINARY, b"2", final=False)
        + server_frame(CONTINUATION, b"3")
        + server_frame(TEXT, b"4")
        + server_frame(BINARY, b"")
    )
    assert events(data) == [(BINARY, b"1"), (BINARY, b"23"), (TEXT, b"4"), (BINARY, b"")]


def test_nothing_is_an_event_before_its_last_byte() -> None:
    reader = FrameReader(LIMIT)
    assert reader.next_event() is None
    data = server_frame(BINARY, b"abc")
    reader.feed(data[:-1])
    assert reader.next_event() is None
    assert reader.next_event() is None  # asking again changes nothing
    reader.feed(b"")
    assert reader.next_event() is None
    reader.feed(data[-1:])
    assert reader.next_event() == (BINARY, b"abc")
    assert reader.next_event() is None


# --- What is forbidden ---


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits_are_refused(opcode: int, reserved: int) -> None:
    error = refusal(server_frame(opcode, b"", reserved=reserved))
    assert error.code == 1002
    assert "reserved bits" in str(error)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("payload", [b"", b"abcde"])
def test_masked_frames_are_refused(opcode: int, payload: bytes) -> None:
    error = refusal(server_frame(opcode, payload, key=b"\1\2\3\4"))
    assert error.code == 1002
    assert "masked" in str(error)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF])
@pytest.mark.parametrize("final", [True, False])
def test_unknown_opcodes_are_refused(opcode: int, final: bool) -> None:
    error = refusal(server_frame(opcode, b"", final=final))
    assert error.code == 1002
    assert f"unknown opcode {opcode}" in str(error)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_must_not_be_fragments(opcode: int) -> None:
    assert refusal(server_frame(opcode, b"", final=False)).code == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 200, 65536])
def test_control_frames_of_more_than_125_bytes_are_refused_by_their_header(
    opcode: int, size: int
) -> None:
    error = refusal(server_frame(opcode, bytes(size))[:2])
    assert error.code == 1002
    assert "125" in str(error)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_must_use_the_short_form_of_the_length(opcode: int) -> None:
    assert refusal(server_frame(opcode, b"ab", length_bytes=2)).code == 1002
    assert refusal(server_frame(opcode, b"ab", length_bytes=8)).code == 1002


@pytest.mark.parametrize(
    ("size", "length_bytes"),
    [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)],
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_lengths_longer_than_they_have_to_be_are_refused(
    opcode: int, size: int, length_bytes: int
) -> None:
    error = refusal(server_frame(opcode, bytes(size), length_bytes=length_bytes))
    assert error.code == 1002
    assert "longer than it has to be" in str(error)


@pytest.mark.parametrize("final", [True, False])
def test_a_continuation_of_nothing_is_refused(final: bool) -> None:
    assert "had not begun" in str(refusal(server_frame(CONTINUATION, b"x", final=final)))


@pytest.mark.parametrize("final", [True, False])
def test_a_continuation_after_a_finished_message_is_refused(final: bool) -> None:
    whole = server_frame(BINARY, b"a")
    cut = server_frame(BINARY, b"a", final=False) + server_frame(CONTINUATION, b"b")
    for before in (whole, cut, whole + server_frame(PING)):
        error = refusal(before + server_frame(CONTINUATION, b"x", final=final))
        assert "had not begun" in str(error)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("final", [True, False])
def test_a_message_inside_another_is_refused(opcode: int, final: bool) -> None:
    for first in (TEXT, BINARY):
        data = server_frame(first, b"a", final=False) + server_frame(opcode, b"b", final=final)
        assert "inside another" in str(refusal(data))


def test_events_before_the_offence_are_still_delivered() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(server_frame(BINARY, b"good") + server_frame(PING) + server_frame(0xF))
    assert reader.next_event() == (BINARY, b"good")
    assert reader.next_event() == (PING, b"")
    with pytest.raises(TransportProtocolError):
        reader.next_event()


# --- The limit on size ---


@pytest.mark.parametrize("limit", [1, 125, 126, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_may_have_the_limit_and_no_byte_more(limit: int, opcode: int) -> None:
    for size in (limit - 1, limit):
        assert events(server_frame(opcode, bytes(size)), limit=limit) == [(opcode, bytes(size))]
    error = refusal(server_frame(opcode, bytes(limit + 1)), limit=limit)
    assert error.code == 1009
    assert str(limit) in str(error)
    assert "max_message_size" in str(error)


@pytest.mark.parametrize("pieces", [1, 2, 3, 7])
def test_fragments_together_may_have_the_limit_and_no_byte_more(pieces: int) -> None:
    limit = 1000

    def fragmented(size: int) -> bytes:
        data = server_frame(BINARY, bytes(size % pieces), final=False)
        for index in range(pieces):
            data += server_frame(CONTINUATION, bytes(size // pieces), final=index == pieces - 1)
        return data

    for size in (limit - 1, limit):
        assert events(fragmented(size), limit=limit) == [(BINARY, bytes(size))]
    assert refusal(fragmented(limit + 1), limit=limit).code == 1009


def test_the_limit_is_for_each_message_anew() -> None:
    data = server_frame(BINARY, bytes(90), final=False) + server_frame(CONTINUATION, bytes(10))
    assert len(events(data * 50 + server_frame(BINARY, bytes(100)), limit=100)) == 51


def test_control_frames_are_not_counted_into_the_message() -> None:
    data = (
        server_frame(BINARY, bytes(50), final=False)
        + server_frame(PING, bytes(100))
        + server_frame(CONTINUATION, bytes(50))
    )
    assert [opcode for opcode, _ in events(data, limit=100)] == [PING, BINARY]


@pytest.mark.parametrize("announced", [1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_monstrous_length_is_refused_by_its_header_alone(announced: int) -> None:
    header = server_frame(BINARY, length_bytes=8, announce=announced)
    assert len(header) == 10
    error = refusal(header)
    assert error.code == 1009
    assert str(announced) in str(error)


def test_a_monstrous_length_in_a_later_fragment_is_refused_by_its_header_alone() -> None:
    data = server_frame(BINARY, b"a", final=False)
    assert refusal(data + server_frame(CONTINUATION, announce=1 << 40)).code == 1009


# --- The limit on the number of fragments ---


def test_a_message_may_have_so_many_fragments_and_none_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAGMENTS", 10)
    begin = server_frame(BINARY, final=False)
    between = server_frame(CONTINUATION, final=False)
    assert events(begin + 8 * between + server_frame(CONTINUATION)) == [(BINARY, b"")]
    error = refusal(begin + 10 * between)
    assert error.code == 1009
    assert "10 fragments" in str(error)


def test_fragments_are_counted_for_each_message_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAGMENTS", 3)
    whole = server_frame(BINARY, b"w")
    cut = (
        server_frame(BINARY, b"c", final=False)
        + server_frame(CONTINUATION, b"u", final=False)
        + server_frame(CONTINUATION, b"t")
    )
    # Whole messages are no fragments, however many come one after another.
    assert len(events(20 * whole)) == 20
    assert len(events(20 * cut)) == 20
    assert len(events(10 * (5 * whole + cut))) == 60


def test_a_hundred_thousand_fragments_of_one_byte_make_one_message() -> None:
    count = 100_000
    middle = server_frame(CONTINUATION, b"x", final=False) * (count - 2)
    data = server_frame(BINARY, b"x", final=False) + middle + server_frame(CONTINUATION, b"x")
    assert events(data) == [(BINARY, b"x" * count)]


def test_a_large_message_fed_in_small_pieces_arrives_whole() -> None:
    payload = bytes(range(256)) * 4096
    data = server_frame(BINARY, payload)
    reader = FrameReader(len(payload))
    for start in range(0, len(data), 13):
        assert reader.next_event() is None
        reader.feed(data[start : start + 13])
    assert reader.next_event() == (BINARY, payload)


# --- Close frames ---


@pytest.mark.parametrize(
    "code",
    [
        1000,
        1001,
        1002,
        1003,
        1007,
        1008,
        1009,
        1010,
        1011,
        1012,
        1013,
        1014,
        3000,
        3999,
        4000,
        4999,
    ],
)
def test_codes_a_peer_may_send_are_read(code: int) -> None:
    assert parse_close(close_body(code, "why ü")) == (code, "why ü")
    assert parse_close(close_body(code)) == (code, "")


def test_a_close_may_have_no_code() -> None:
    assert parse_close(b"") == (None, "")


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_codes_nobody_may_send_are_refused(code: int) -> None:
    with pytest.raises(TransportProtocolError, match=str(code)) as caught:
        parse_close(close_body(code))
    assert caught.value.code == 1002


@pytest.mark.parametrize("byte", [b"\x00", b"\x03", b"\xff"])
def test_half_a_close_code_is_refused(byte: bytes) -> None:
    with pytest.raises(TransportProtocolError, match="half a close code"):
        parse_close(byte)


@pytest.mark.parametrize(
    "reason", [b"\xff", b"ok\xce", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]
)
def test_a_reason_that_is_not_utf_8_is_refused(reason: bytes) -> None:
    with pytest.raises(TransportProtocolError, match="not UTF-8") as caught:
        parse_close(struct.pack(">H", 1000) + reason)
    assert caught.value.code == 1007
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_the_longest_reason_is_read() -> None:
    assert parse_close(close_body(1000, "r" * 123)) == (1000, "r" * 123)

"""The client's frames, checked by websocket-client's own reading of them and by hand."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websocket import ABNF

from opencode_sync.transport.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    close_payload,
    encode_frame,
    parse_close,
)


def decode(frame: bytes) -> tuple[int, bytes, bytes]:
    """Return opcode, payload and mask key of a client's frame; an assertion fails if it is none."""
    first, second = frame[0], frame[1]
    assert first & 0xF0 == 0x80, "not one final frame without reserved bits"
    assert second & 0x80, "not masked"
    length, at = second & 0x7F, 2
    if length == 126:
        (length,), at = struct.unpack_from(">H", frame, 2), 4
        assert length >= 126
    elif length == 127:
        (length,), at = struct.unpack_from(">Q", frame, 2), 10
        assert length >= 0x10000
    key, masked = frame[at : at + 4], frame[at + 4 :]
    assert len(masked) == length
    return first & 0x0F, ABNF.mask(key, masked), key


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 124, 125, 126, 127, 65535, 65536, 65537, 1 << 20])
def test_a_payload_of_any_size_is_read_back(size: int) -> None:
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    opcode, found, _ = decode(encode_frame(BINARY, payload))
    assert (opcode, found) == (BINARY, payload)


@settings(deadline=None)
@given(st.sampled_from([BINARY, PING, PONG, CLOSE]), st.binary(max_size=125))
@example(BINARY, b"\0" * 8)
@example(BINARY, b"\xff" * 9)
def test_any_frame_is_read_back(opcode: int, payload: bytes) -> None:
    found, content, _ = decode(encode_frame(opcode, payload))
    assert (found, content) == (opcode, payload)


def test_leading_and_trailing_zeros_survive_the_masking() -> None:
    for payload in (b"\0", b"\0" * 100, b"\0\0a", b"a\0\0", b"\0" * 70_000):
        assert decode(encode_frame(BINARY, payload))[1] == payload


def test_every_frame_has_a_key_of_its_own() -> None:
    keys = {decode(encode_frame(BINARY, b"same"))[2] for _ in range(600)}
    assert len(keys) >= 598  # of four random bytes, two may be alike once in a blue moon
    assert all(len(key) == 4 for key in keys)


@pytest.mark.parametrize("code", [1000, 1001, 1009, 4999])
@pytest.mark.parametrize("reason", ["", "why", "ü" * 10, "🎈"])
def test_a_close_is_read_back(code: int, reason: str) -> None:
    assert parse_close(close_payload(code, reason)) == (code, reason)


@pytest.mark.parametrize(
    "reason", ["x" * 200, "ü" * 100, "a" + "ü" * 100, "🎈" * 50, "x" * 123 + "ü"]
)
def test_a_long_reason_is_cut_between_two_characters(reason: str) -> None:
    payload = close_payload(1000, reason)
    assert 120 <= len(payload) <= 125
    assert reason.startswith(parse_close(payload)[1])


def test_a_reason_that_has_no_utf_8_is_still_sent_as_utf_8() -> None:
    assert parse_close(close_payload(1000, "a\ud800b")) == (1000, "a?b")

"""The bytes of responder and raw socket; protobuf and websocket-client are the judges."""

from __future__ import annotations

import struct

import pytest
import websocket

from benchmarks.responder import http_answers
from benchmarks.wire import (
    Answers,
    FrameCutter,
    accept_key,
    health_request,
    list_request,
    masked_frame,
    plain_frame,
    pong_frame,
    unanswered_request,
)
from opencode_sync.wire import ipc_pb2


@pytest.mark.parametrize("request_id", [1, 127, 128, 16_384, 2**40])
def test_answers_carry_the_request_s_id(request_id: int) -> None:
    answers = Answers(3)
    healthy = ipc_pb2.IpcServerMessage.FromString(answers.answer(health_request(request_id)) or b"")
    assert healthy.request_id == request_id
    assert healthy.check_health_response.healthy
    listed = ipc_pb2.IpcServerMessage.FromString(answers.answer(list_request(request_id)) or b"")
    assert listed.request_id == request_id
    assert [each.id[-1] for each in listed.session_list.sessions] == ["0", "1", "2"]


def test_a_handshake_is_accepted() -> None:
    hello = ipc_pb2.IpcClientMessage(request_id=1)
    hello.auth_handshake.token = "anything"
    answer = Answers(0).answer(hello.SerializeToString())
    assert ipc_pb2.IpcServerMessage.FromString(answer or b"").auth_handshake_response.success


def test_one_request_is_never_answered() -> None:
    assert Answers(0).answer(unanswered_request(5)) is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_survive_being_cut_anywhere(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))
    frames = [plain_frame(payload)]
    if size < 65_536:
        frames.append(masked_frame(payload))
    for frame in frames:
        for piece in (1, 7, len(frame)):
            if len(frame) / piece > 1000:
                continue
            cutter, found = FrameCutter(), []
            for start in range(0, len(frame), piece):
                found += cutter.cut(frame[start : start + piece])
            assert found == [payload]


def test_masked_frames_are_what_the_library_makes() -> None:
    frame = masked_frame(b"some payload")
    made = websocket.ABNF.create_frame(b"some payload", websocket.ABNF.OPCODE_BINARY)
    made.get_mask_key = lambda size: frame[2:6]
    assert frame == made.format()


def test_pings_and_closes_are_no_messages() -> None:
    cutter = FrameCutter()
    assert cutter.cut(b"\x89\x02hi" + plain_frame(b"message") + b"\x88\x02\x03\xe8") == [b"message"]
    assert cutter.pings == [b"hi"]
    assert cutter.closed
    assert pong_frame(b"hi") == b"\x8a\x02hi"


def test_lengths_are_in_network_order() -> None:
    assert plain_frame(bytes(300))[:4] == struct.pack(">BBH", 0x82, 126, 300)


def test_the_accept_key_is_that_of_the_rfc() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_http_answers_are_whole() -> None:
    head, _, body = http_answers(Answers(1))[b"/session"].partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b'"projectID"' in body
    assert b'"created": 1700000000000' in body

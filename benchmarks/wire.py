"""The bytes that contenders and responder share: requests, answers, and frames made by hand."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from typing import Final

from opencode_sync.wire import ipc_pb2, oc_session_pb2

__all__ = [
    "TOKEN",
    "Answers",
    "FrameCutter",
    "accept_key",
    "health_request",
    "list_request",
    "masked_frame",
    "plain_frame",
    "pong_frame",
    "unanswered_request",
]

TOKEN: Final = "benchmark-token-of-no-use"
_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CREATE: Final = b"\xaa\x01"  # the tag of the field create_session
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9


def health_request(request_id: int) -> bytes:
    """Encode a health check, as a user of protobuf would."""
    request = ipc_pb2.IpcClientMessage(request_id=request_id)
    request.check_health.SetInParent()
    encoded: bytes = request.SerializeToString()
    return encoded


def list_request(request_id: int) -> bytes:
    """Encode a request for all sessions."""
    request = ipc_pb2.IpcClientMessage(request_id=request_id)
    request.list_sessions.SetInParent()
    encoded: bytes = request.SerializeToString()
    return encoded


def unanswered_request(request_id: int) -> bytes:
    """Encode the request that the responder never answers."""
    request = ipc_pb2.IpcClientMessage(request_id=request_id)
    request.discover_server.SetInParent()
    encoded: bytes = request.SerializeToString()
    return encoded


class Answers:
    """Answers made in advance: only the request's id is put in front. Any thread.

    So the responder costs the same few bytes' work for every contender. Only a session that is to
    be created is read: its title comes back, however long.
    """

    def __init__(self, sessions: int) -> None:
        """Prepare the answers; ``sessions`` is how many a list has."""
        healthy = ipc_pb2.IpcServerMessage()
        healthy.check_health_response.healthy = True
        welcome = ipc_pb2.IpcServerMessage()
        welcome.auth_handshake_response.success = True
        listed = ipc_pb2.IpcServerMessage()
        listed.session_list.sessions.extend(session(number) for number in range(sessions))
        self.sessions = listed.session_list
        self._welcome = welcome.SerializeToString()
        self._by_body: dict[bytes, bytes | None] = {
            health_request(0): healthy.SerializeToString(),
            list_request(0): listed.SerializeToString(),
            unanswered_request(0): None,
        }

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer to an encoded request; None for the one that gets none."""
        end = 1  # behind the tag of the id, which comes first
        while request[end] > 0x7F:
            end += 1
        end += 1
        body = request[end:]
        if body.startswith(_CREATE):
            return _created(request)
        answer = self._by_body.get(body, self._welcome)
        return None if answer is None else request[:end] + answer


def _created(request: bytes) -> bytes:
    asked = ipc_pb2.IpcClientMessage.FromString(request)
    answer = ipc_pb2.IpcServerMessage(request_id=asked.request_id)
    answer.session_info.id = "ses_1"
    answer.session_info.title = asked.create_session.title
    encoded: bytes = answer.SerializeToString()
    return encoded


def session(number: int) -> oc_session_pb2.OcSessionInfo:
    """Return a session as OpenCode has them."""
    made = oc_session_pb2.OcSessionInfo(
        id=f"ses_{number:026d}",
        project_id="4b0ea68d7af9a6031a7ffda7ad66e0cb83315750",
        directory=f"/home/somebody/projects/project-{number % 40}",
        title=f"What the session with the number {number} is about",
        version="1.18.33",
    )
    made.time.created = 1_700_000_000_000 + number
    made.time.updated = 1_700_000_100_000 + number
    return made


def masked_frame(payload: bytes) -> bytes:
    """Return a client's binary frame; payloads below 64 KiB."""
    key = os.urandom(4)
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
    if size < 126:
        return bytes((0x82, 0x80 | size)) + key + masked
    return struct.pack(">BBH", 0x82, 0xFE, size) + key + masked


def pong_frame(payload: bytes) -> bytes:
    """Return a server's answer to a ping."""
    return bytes((0x8A, len(payload))) + payload


def plain_frame(payload: bytes) -> bytes:
    """Return a server's binary frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 0x10000:
        return struct.pack(">BBH", 0x82, 126, size) + payload
    return struct.pack(">BBQ", 0x82, 127, size) + payload


class FrameCutter:
    """Cuts received bytes into the payloads of binary frames, masked or not. One thread.

    No more than the contenders here need of RFC 6455: no fragments, no checks.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.closed = False
        """Whether a close frame has come."""
        self.pings: list[bytes] = []
        """The payloads of pings that nobody has answered yet."""

    def cut(self, data: bytes) -> list[bytes]:
        """Add bytes and return the payloads that are now complete."""
        self._buffer += data
        buffer, position, payloads = self._buffer, 0, []
        while len(buffer) - position >= 2:
            start, size = position + 2, buffer[position + 1] & 0x7F
            if size > 125:
                width = 2 if size == 126 else 8
                if len(buffer) < start + width:
                    break
                size = int.from_bytes(buffer[start : start + width], "big")
                start += width
            masked = buffer[position + 1] & 0x80
            end = start + size + (4 if masked else 0)
            if len(buffer) < end:
                break
            payload = _unmask(buffer, start, end) if masked else bytes(buffer[start:end])
            opcode = buffer[position] & 0x0F
            if opcode == _BINARY:
                payloads.append(payload)
            elif opcode == _PING:
                self.pings.append(payload)
            elif opcode == _CLOSE:
                self.closed = True
            position = end
        del buffer[:position]
        return payloads


def _unmask(buffer: bytearray, start: int, end: int) -> bytes:
    size = end - start - 4
    mask = (bytes(buffer[start : start + 4]) * (size // 4 + 1))[:size]
    number = int.from_bytes(buffer[start + 4 : end], "big") ^ int.from_bytes(mask, "big")
    return number.to_bytes(size, "big")


def accept_key(key: bytes) -> bytes:
    """Return what a WebSocket server answers to ``Sec-WebSocket-Key``."""
    digest = hashlib.sha1(key + _ACCEPT, usedforsecurity=False).digest()
    return base64.b64encode(digest)

"""A peer of the gateway made of bytes, so that it can break every rule."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Any, Self

from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE, request

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    announced: int | None = None,
    form: int | None = None,
) -> bytes:
    """Return a client's frame, right or wrong.

    Args:
        opcode: Its kind.
        payload: What it carries.
        final: Whether its message ends with it.
        reserved: The three reserved bits.
        masked: Whether it is masked, as it has to be.
        announced: The length that its header says; None: the right one.
        form: Bytes of the length field: 1, 2 or 8; None: the shortest that holds it.
    """
    length = len(payload) if announced is None else announced
    if form is None:
        form = 1 if length < 126 else 2 if length < 0x10000 else 8
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    if form == 1:
        head = struct.pack(">BB", first, bit | length)
    elif form == 2:
        head = struct.pack(">BBH", first, bit | 126, length)
    else:
        head = struct.pack(">BBQ", first, bit | 127, length)
    return head + (bytes(4) if masked else b"") + payload  # masked with zeros


def message(request_id: int, operation: str | None, /, **fields: Any) -> bytes:
    """Return a request as a frame."""
    return frame(BINARY, request(request_id, operation, **fields).SerializeToString())


def upgrade(port: int, *, without: str = "", more: str = "", line: str = "") -> bytes:
    """Return the request of the opening handshake.

    Args:
        port: The gateway's.
        without: The header left out.
        more: Lines added, or put in the place of the one left out; each with its line end.
        line: The first line, if another one than the right one.
    """
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    headers.pop(without, None)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line or 'GET / HTTP/1.1'}\r\n{lines}{more}\r\n".encode("latin-1")


@dataclass
class Ended:
    """How the gateway ended a connection.

    Attributes:
        status: Of the HTTP response, if it refused the handshake.
        code: Of the close frame, if it sent one.
        answers: What it answered before.
        shown: Every byte it sent.
    """

    status: int | None = None
    code: int | None = None
    answers: list[ipc_pb2.IpcServerMessage] = field(default_factory=list)
    shown: bytes = b""


class RawPeer:
    """One connection. One thread uses it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._buffer = bytearray()
        self._shown = bytearray()
        self._kept: list[ipc_pb2.IpcServerMessage] = []
        self._code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Write bytes; that the gateway has ended the connection meanwhile is no failure."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def reset(self) -> None:
        """End the connection with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def finish(self) -> None:
        """Send no more, but go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def open(self, port: int) -> None:
        """Do the opening handshake, as it ought to be."""
        self.send(upgrade(port))
        while b"\r\n\r\n" not in self._buffer:
            assert self._more(), "the gateway ended the handshake"
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        assert b" 101 " in head
        self._buffer[:] = rest

    def authenticate(self, token: str) -> None:
        """Show the token; it has to be accepted."""
        self.send(message(1, "auth_handshake", token=token))
        answer = self.receive()
        assert answer is not None
        assert answer.auth_handshake_response.success

    def receive(self) -> ipc_pb2.IpcServerMessage | None:
        """Return the next answer, or None if a close frame or the end comes first."""
        while (found := self._frame()) is not None:
            opcode, payload = found
            if opcode == BINARY:
                return ipc_pb2.IpcServerMessage.FromString(payload)
            if opcode == CLOSE:
                self._code = struct.unpack(">H", payload[:2])[0] if payload else None
                return None
        return None

    def frame(self) -> tuple[int, bytes] | None:
        """Return the next frame's opcode and payload, or None if the end comes first."""
        return self._frame()

    def keep(self, answer: ipc_pb2.IpcServerMessage | None) -> None:
        """Have an answer that was received already shown among those before the end."""
        if answer is not None:
            self._kept.append(answer)

    def end(self) -> Ended:
        """Read until the gateway has ended the connection; return how."""
        ended = Ended(answers=self._kept)
        if self._peek().startswith(b"HTTP/"):
            while self._more():
                pass
            ended.status = int(bytes(self._buffer).split(b" ", 2)[1])
        else:
            while (answer := self.receive()) is not None:
                ended.answers.append(answer)
            ended.code = self._code
            while self._more():
                pass
        ended.shown = bytes(self._shown)
        return ended

    def _peek(self) -> bytes:
        while len(self._buffer) < 5 and self._more():
            pass
        return bytes(self._buffer[:5])

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._buffer += data
        self._shown += data
        return bool(data)

    def _frame(self) -> tuple[int, bytes] | None:
        head = self._take(2)
        if head is None:
            return None
        length, width = head[1] & 0x7F, 0
        if length > 125:
            width = 2 if length == 126 else 8
            more = self._take(width)
            if more is None:
                return None
            length = int.from_bytes(more, "big")
        payload = self._take(length)
        return None if payload is None else (head[0] & 0x0F, payload)

    def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            if not self._more():
                return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

"""A WebSocket server's end of a connection, made by hand and played by the test step by step.

Unlike ``ipcserver`` it has no thread and no script: a test starts the client in the background,
accepts, and says what happens next. Nothing of the package under test is used, so that its frames
are judged by another reading of RFC 6455::

    with RawServer() as server:
        connecting = Background(transport.connect, Deadline.after(5))
        peer = server.accept()
        peer.upgrade()
        connecting.result()
        peer.send_frame(BINARY, b"hello")

Every wait ends by itself, with an error, after ``WAIT`` seconds.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
WAIT: Final = 10.0
_XOR: Final = [bytes(byte ^ other for other in range(256)) for byte in range(256)]
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def server_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    key: bytes | None = None,
    length_bytes: int | None = None,
    announce: int | None = None,
) -> bytes:
    """Return one frame, right or wrong.

    Args:
        opcode: Any number of four bits.
        payload: What follows the header.
        final: The FIN bit.
        reserved: The three RSV bits.
        key: Masks the payload, which servers must not.
        length_bytes: 0, 2 or 8: the form of the length, by default the shortest.
        announce: Say this length, whatever the payload's is.
    """
    length = len(payload) if announce is None else announce
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 0x10000 else 8
    short = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes((final << 7 | reserved << 4 | opcode, (key is not None) << 7 | short))
    head += length.to_bytes(length_bytes, "big") if length_bytes else b""
    if key is not None:
        head += key
        payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return head + payload


def close_body(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame."""
    return struct.pack(">H", code) + reason.encode()


@dataclass(frozen=True)
class ClientFrame:
    """One frame of a client as a strict server reads it."""

    opcode: int
    payload: bytes
    key: bytes
    final: bool


class PeerGone(Exception):
    """The client ended the TCP connection."""


class RawPeer:
    """One accepted connection. Use it from one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.request: list[str] = []
        """The lines of the client's handshake, once it was read."""
        self._buffer = bytearray()
        sock.settimeout(WAIT)

    # --- The handshake ---

    def read_request(self) -> list[str]:
        """Read the client's whole request and return its lines."""
        data = bytearray()
        while not data.endswith(b"\r\n\r\n"):
            data += self._read(1)
        self.request = data.decode("ascii").split("\r\n")[:-2]
        return self.request

    def header(self, name: str) -> str | None:
        """Return a header of the request, None if it has none, an error if it has two."""
        found = [
            value.strip()
            for key, _, value in (line.partition(":") for line in self.request[1:])
            if key.lower() == name.lower()
        ]
        assert len(found) < 2, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    def response(self, *headers: str, accept: str | None = None) -> bytes:
        """Return the right answer to the request, with more headers or a wrong key if asked."""
        key = (self.header("Sec-WebSocket-Key") or "").encode()
        right = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {right if accept is None else accept}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def upgrade(self, *headers: str, then: bytes = b"") -> None:
        """Answer the handshake as a good server; ``then`` goes out in the same piece."""
        self.read_request()
        self.send_raw(self.response(*headers) + then)

    # --- Frames ---

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Write one frame as servers may."""
        self.send_raw(server_frame(opcode, payload, final=final))

    def read_frame(self) -> ClientFrame:
        """Read one frame and hold it against the rules for clients."""
        first, second = self._read(2)
        assert first & 0x70 == 0, "the client set reserved bits"
        assert second & 0x80, "the client did not mask a frame"
        length, opcode = second & 0x7F, first & 0x0F
        if length == 126:
            length = int.from_bytes(self._read(2), "big")
            assert length > 125, "not the shortest form of the length"
        elif length == 127:
            length = int.from_bytes(self._read(8), "big")
            assert length > 0xFFFF, "not the shortest form of the length"
        if opcode >= CLOSE:
            assert first & 0x80, "the client cut a control frame into fragments"
            assert length < 126, "the client sent too long a control frame"
        key = self._read(4)
        masked = self._read(length)
        payload = bytearray(length)
        for index, byte in enumerate(key):
            payload[index::4] = masked[index::4].translate(_XOR[byte])
        return ClientFrame(opcode, bytes(payload), key, bool(first & 0x80))

    def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.socket.recv(1 << 18)
            if not data:
                raise PeerGone
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def read_to_end(self) -> bytes:
        """Read until the client's end and return what came."""
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 18):
                self._buffer += data
        return bytes(self._buffer)

    # --- What every backend's end of a link can do, ``MemoryPeer`` as well ---

    def receive(self, timeout: float | None = None) -> bytes:
        """Wait for the client's next binary message."""
        self.socket.settimeout(timeout or WAIT)
        frame = self.read_frame()
        assert frame.opcode == BINARY, f"expected a message, got opcode {frame.opcode}"
        assert frame.final
        return frame.payload

    def send(self, message: bytes) -> None:
        """Send a whole binary message."""
        self.send_frame(BINARY, message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        self.send_frame(CLOSE, close_body(code, reason))

    def drop(self) -> None:
        """End the connection in good order for TCP, without a word on the WebSocket."""
        self.socket.close()

    def violate(self) -> None:
        """Break the framing rules."""
        self.send_frame(0xF)

    def reset(self) -> None:
        """End the connection with a reset, as a crashed process may."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class RawServer:
    """Listens on a free loopback port; a context manager that closes all it has accepted."""

    def __init__(self, *, ipv6: bool = False, backlog: int = 16) -> None:
        family, self.host = (socket.AF_INET6, "::1") if ipv6 else (socket.AF_INET, "127.0.0.1")
        self._listener = socket.socket(family)
        # Fixed, so that a peer that does not read takes the same little every time.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listener.bind((self.host, 0))
        self._listener.listen(backlog)
        self._listener.settimeout(WAIT)
        self.port: int = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> RawPeer:
        """Wait for the next client."""
        sock, _ = self._listener.accept()
        self._accepted.append(sock)
        return RawPeer(sock)

    def nobody_else_came(self) -> bool:
        """Whether no connection waits to be accepted."""
        self._listener.settimeout(0)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Stop listening and close every connection."""
        for sock in (self._listener, *self._accepted):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

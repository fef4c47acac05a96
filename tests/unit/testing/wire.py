"""Both ends of a proxied connection, by hand."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

WAIT = 5.0
"""Seconds after which what should have come is taken not to."""

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUpgrade: websocket\r\n\r\n"
RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
KEY = b"\x01\x02\x03\x04"


def masked(payload: bytes, key: bytes = KEY) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, key: bytes | None = None
) -> bytes:
    """A frame of a server, or with a key of a client."""
    first, flag = (0x80 if final else 0) | opcode, 0 if key is None else 0x80
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", first, flag | length)
    elif length < 0x10000:
        head = struct.pack(">BBH", first, flag | 126, length)
    else:
        head = struct.pack(">BBQ", first, flag | 127, length)
    return head + (payload if key is None else key + masked(payload, key))


class Socket:
    """A connected socket that never waits for ever."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            assert piece, f"the end came after {data!r}"
            data += piece
        return data

    def rest(self) -> bytes:
        """Read until the end."""
        data = b""
        while piece := self.sock.recv(65536):
            data += piece
        return data

    def ended_by_reset(self) -> bool:
        """Read until the end; whether it was a reset."""
        try:
            self.rest()
        except ConnectionResetError:
            return True
        return False

    def hears_nothing(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes for a moment."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(WAIT)

    def close(self) -> None:
        self.sock.close()


class Backend:
    """Listens; ``accept`` returns the next connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._open: list[Socket] = []

    def accept(self) -> Socket:
        connection = Socket(self._listener.accept()[0])
        self._open.append(connection)
        return connection

    def connect(self, port: int) -> Socket:
        """The client's end."""
        connection = Socket(socket.create_connection(("127.0.0.1", port), WAIT))
        self._open.append(connection)
        return connection

    def shake_hands(self, port: int) -> tuple[Socket, Socket]:
        """Return client and server of a proxied link with the opening handshake behind it."""
        client = self.connect(port)
        server = self.accept()
        client.send(REQUEST)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += server.read(1)
        server.send(RESPONSE)
        client.read(len(RESPONSE))
        return client, server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._open:
            connection.close()
        self._listener.close()

"""The floor of the machine: a socket, frames made by hand, no thread, no futures."""

from __future__ import annotations

import itertools
import socket

from benchmarks.contenders.base import PATIENCE, Contender
from benchmarks.wire import TOKEN, FrameCutter, health_request, list_request, masked_frame
from opencode_sync.wire import ipc_pb2

__all__ = ["RawSocket"]

_PIECE = 65_536


class RawSocket(Contender):
    """One thread that sends and then reads. It encodes and decodes as the others do."""

    name = "raw socket"

    def __init__(self, port: int) -> None:
        self._ids = itertools.count(2)
        self._cutter = FrameCutter()
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._socket.recv(_PIECE)
        self._socket.settimeout(None)
        hello = ipc_pb2.IpcClientMessage(request_id=1)
        hello.auth_handshake.token = TOKEN
        self._socket.sendall(masked_frame(hello.SerializeToString()))
        self._read(1)

    def check_health(self) -> bool:
        self._socket.sendall(masked_frame(health_request(next(self._ids))))
        (message,) = self._read(1)
        healthy: bool = message.check_health_response.healthy
        return healthy

    def list_sessions(self) -> int:
        self._socket.sendall(masked_frame(list_request(next(self._ids))))
        (message,) = self._read(1)
        return len(message.session_list.sessions)

    def pipeline(self, count: int, window: int) -> None:
        """Send ``window`` requests in one piece, read their answers, and again."""
        for _ in range(count // window):
            frames = (masked_frame(health_request(next(self._ids))) for _ in range(window))
            self._socket.sendall(b"".join(frames))
            self._read(window)

    def close(self) -> None:
        self._socket.close()

    def _read(self, count: int) -> list[ipc_pb2.IpcServerMessage]:
        messages: list[ipc_pb2.IpcServerMessage] = []
        while len(messages) < count:
            data = self._socket.recv(_PIECE)
            if not data:
                raise EOFError("the responder has gone")
            messages += map(ipc_pb2.IpcServerMessage.FromString, self._cutter.cut(data))
        return messages

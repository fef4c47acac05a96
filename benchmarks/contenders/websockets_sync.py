"""The other WebSocket library's blocking client, with the same reader and futures."""

from __future__ import annotations

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.contenders.futures import FuturesContender

__all__ = ["WebsocketsSync"]


class WebsocketsSync(FuturesContender):
    """``websockets.sync`` without compression."""

    name = "websockets.sync"

    def __init__(self, port: int) -> None:
        self._connection = connect(
            f"ws://127.0.0.1:{port}/", compression=None, max_size=None, proxy=None
        )
        super().__init__()

    def _send(self, message: bytes) -> None:
        self._connection.send(message)

    def _receive(self) -> bytes:
        try:
            message = self._connection.recv()
        except ConnectionClosed as error:
            raise EOFError from error
        assert isinstance(message, bytes)
        return message

    def _end(self) -> None:
        self._connection.close()

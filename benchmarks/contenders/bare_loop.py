"""The floor of our shape on our library: websocket-client, a reader thread, a dict of futures."""

from __future__ import annotations

from typing import Any

import websocket

from benchmarks.contenders.futures import FuturesContender

__all__ = ["BareLoop"]


class BareLoop(FuturesContender):
    """What one would write in ten minutes."""

    name = "bare loop"

    def __init__(self, port: int) -> None:
        self._socket: Any = websocket.create_connection(
            f"ws://127.0.0.1:{port}/", suppress_origin=True, http_no_proxy=["127.0.0.1"]
        )
        super().__init__()

    def _send(self, message: bytes) -> None:
        self._socket.send_binary(message)

    def _receive(self) -> bytes:
        try:
            message = self._socket.recv()
        except (websocket.WebSocketException, OSError) as error:
            raise EOFError from error
        assert isinstance(message, bytes)
        return message

    def _end(self) -> None:
        self._socket.abort()

    def close(self) -> None:
        super().close()
        self._socket.shutdown()

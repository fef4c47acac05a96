"""The floor of the machine for our shape: a raw socket, read by a thread that wakes the caller."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from benchmarks.contenders.base import PATIENCE
from benchmarks.contenders.raw_socket import RawSocket
from benchmarks.wire import health_request, masked_frame
from opencode_sync.wire import ipc_pb2

__all__ = ["RawReader"]


class _Place:
    """Where the answer of one call is put, and who waits for it."""

    __slots__ = ("answer", "arrived")

    def __init__(self) -> None:
        self.arrived = threading.Lock()
        self.arrived.acquire()
        self.answer: ipc_pb2.IpcServerMessage | None = None


class RawReader(RawSocket):
    """What ``RawSocket`` costs when the answer has to change threads: no checks, no futures."""

    name = "raw socket, second thread"

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._places: dict[int, _Place] = {}
        self._thread = threading.Thread(target=self._wake, name="benchmark-reader", daemon=True)
        self._thread.start()

    def check_health(self) -> bool:
        request_id = next(self._ids)
        self._places[request_id] = place = _Place()
        self._socket.sendall(masked_frame(health_request(request_id)))
        place.arrived.acquire()
        assert place.answer is not None
        healthy: bool = place.answer.check_health_response.healthy
        return healthy

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        super().close()

    def _wake(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                for message in self._read(1):
                    place = self._places.pop(message.request_id)
                    place.answer = message
                    place.arrived.release()

"""The plain shape that two contenders share: a reader thread and a dict of futures."""

from __future__ import annotations

import itertools
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from benchmarks.contenders.base import PATIENCE, Contender
from benchmarks.wire import TOKEN, health_request, list_request, unanswered_request
from opencode_sync.wire import ipc_pb2

__all__ = ["FuturesContender"]


class FuturesContender(Contender):
    """A reader thread, a dict of futures, and nothing else: no time-outs, no errors, no end."""

    def __init__(self) -> None:
        self._ids = itertools.count(2)
        self._futures: dict[int, Future[Any]] = {}
        hello = ipc_pb2.IpcClientMessage(request_id=1)
        hello.auth_handshake.token = TOKEN
        self._send(hello.SerializeToString())
        self._receive()
        self._thread = threading.Thread(target=self._read, name="benchmark-reader", daemon=True)
        self._thread.start()

    @abstractmethod
    def _send(self, message: bytes) -> None: ...

    @abstractmethod
    def _receive(self) -> bytes:
        """Return the next message; raises ``EOFError`` at the end."""

    @abstractmethod
    def _end(self) -> None:
        """Wake the reader for good."""

    def check_health(self) -> bool:
        return self.finish(self.begin())

    def begin(self) -> Future[Any]:
        return self._ask(health_request)

    def finish(self, future: Any) -> bool:
        healthy: bool = future.result(PATIENCE).check_health_response.healthy
        return healthy

    def hold(self) -> Future[Any]:
        return self._ask(unanswered_request)

    def list_sessions(self) -> int:
        return len(self._ask(list_request).result(PATIENCE).session_list.sessions)

    def close(self) -> None:
        self._end()
        self._thread.join(PATIENCE)

    def _ask(self, encode: Callable[[int], bytes]) -> Future[Any]:
        request_id = next(self._ids)
        future: Future[Any] = Future()
        self._futures[request_id] = future
        self._send(encode(request_id))
        return future

    def _read(self) -> None:
        try:
            while True:
                message = ipc_pb2.IpcServerMessage.FromString(self._receive())
                self._futures.pop(message.request_id).set_result(message)
        except EOFError:
            return

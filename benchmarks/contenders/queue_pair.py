"""The floor of a link in memory: two threads and two queues, with the same encode and decode."""

from __future__ import annotations

import itertools
import threading
from queue import SimpleQueue

from benchmarks.contenders.base import PATIENCE, Contender
from benchmarks.wire import Answers, health_request, list_request
from opencode_sync.wire import ipc_pb2

__all__ = ["QueuePair"]


class QueuePair(Contender):
    """The caller puts a request into one queue and waits at the other. One caller only."""

    name = "bare queues"

    def __init__(self, answers: Answers) -> None:
        self._ids = itertools.count(2)
        self._answers = answers
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._replies: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="benchmark-queue", daemon=True)
        self._thread.start()

    def check_health(self) -> bool:
        healthy: bool = self._ask(health_request(next(self._ids))).check_health_response.healthy
        return healthy

    def list_sessions(self) -> int:
        return len(self._ask(list_request(next(self._ids))).session_list.sessions)

    def close(self) -> None:
        self._requests.put(None)
        self._thread.join(PATIENCE)

    def _ask(self, request: bytes) -> ipc_pb2.IpcServerMessage:
        self._requests.put(request)
        reply = self._replies.get(timeout=PATIENCE)
        assert reply is not None
        return ipc_pb2.IpcServerMessage.FromString(reply)

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None:
            self._replies.put(self._answers.answer(request))

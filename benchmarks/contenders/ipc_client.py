"""What all this is about: ``IpcClient``, over a WebSocket and in memory."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from benchmarks.contenders.base import PATIENCE, Contender
from benchmarks.wire import TOKEN, Answers
from opencode_sync import IpcClient, IpcConfig
from opencode_sync.transport.base import TransportClosed
from opencode_sync.transport.memory import memory_link

__all__ = ["Client", "ClientInMemory"]


class Client(Contender):
    """``IpcClient`` as it comes: all its time-outs, checks and keep-alive on."""

    name = "IpcClient"

    def __init__(self, port: int, name: str = name) -> None:
        self.name = name
        self._use(IpcClient(IpcConfig(port, TOKEN)))

    def _use(self, client: IpcClient) -> None:
        client.connect()
        self._client, self._futures = client, client.futures

    def check_health(self) -> bool:
        return self._client.check_server_health()

    def begin(self) -> Future[Any]:
        return self._futures.check_server_health()

    def finish(self, future: Any) -> bool:
        healthy: bool = future.result(PATIENCE)
        return healthy

    def hold(self) -> Future[Any]:
        return self._futures.discover_server(timeout=3600)

    def list_sessions(self) -> int:
        return len(self._client.list_sessions())

    def create_session(self, title: str) -> int:
        """Send a message as long as the title, and get one back; returns its length."""
        return len(self._client.create_session(title).title)

    @property
    def client(self) -> IpcClient:
        """What is measured."""
        return self._client

    def close(self) -> None:
        self._client.close()


class ClientInMemory(Client):
    """``IpcClient`` on a link inside this process, with one thread that answers."""

    name = "IpcClient in memory"

    def __init__(self, answers: Answers) -> None:
        transport, self._peer = memory_link()
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, name="benchmark-peer", daemon=True)
        self._thread.start()
        config = IpcConfig(4096, TOKEN)  # any port: nobody dials it
        self._use(IpcClient(config, transport_factory=lambda config, options: transport))

    def _answer(self, request: bytes) -> bytes | None:
        return self._answers.answer(request)

    def close(self) -> None:
        super().close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        try:
            while True:
                answer = self._answer(self._peer.receive())
                if answer is not None:
                    self._peer.send(answer)
        except TransportClosed:
            return

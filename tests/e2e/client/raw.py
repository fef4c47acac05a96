"""A peer of a gateway that speaks the protocol by hand."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import websocket

from opencode_sync.gateway import Gateway
from opencode_sync.wire import ipc_pb2
from tests.e2e.client.asking import WAIT


class Raw:
    """One authenticated connection; a context manager."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __enter__(self) -> Self:
        self._link = websocket.create_connection(
            self._gateway.endpoint, timeout=WAIT, suppress_origin=True
        )
        handshake = ipc_pb2.IpcClientMessage(request_id=1)
        handshake.auth_handshake.token = self._gateway.auth_token
        assert self.ask(handshake).auth_handshake_response.success
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._link.close()

    def send(self, message: ipc_pb2.IpcClientMessage) -> None:
        """Send a message."""
        self._link.send_binary(message.SerializeToString())

    def receive(self) -> ipc_pb2.IpcServerMessage:
        """Wait for the next message."""
        content = self._link.recv()
        assert isinstance(content, bytes)
        return ipc_pb2.IpcServerMessage.FromString(content)

    def ask(self, message: ipc_pb2.IpcClientMessage) -> ipc_pb2.IpcServerMessage:
        """Send a message and return what comes next, which is about the same request."""
        self.send(message)
        answer = self.receive()
        assert answer.request_id == message.request_id
        return answer

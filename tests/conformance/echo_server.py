"""A server that sends back what it gets, on the gateway's own WebSocket link.

The gateway takes binary messages only and gives text out as None. Here text goes the same way as
binary, and what it was is remembered; nothing else is changed.
"""

from __future__ import annotations

import dataclasses
import selectors
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.websocket import WebSocketLink
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.transport.base import TransportError

__all__ = ["serve"]

_PATIENCE = 120.0
"""Seconds for one whole link; the slowest case takes a tenth of that."""


class _EchoLink(WebSocketLink):
    def __init__(self, sock: socket.socket, **settings: Any) -> None:
        super().__init__(sock, **settings)
        self._opcode = Opcode.BINARY
        self._kinds: deque[Opcode] = deque()

    def _collect(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = event.opcode
            event = dataclasses.replace(event, opcode=Opcode.BINARY)
        complete = len(self._messages)
        super()._collect(event)
        if len(self._messages) > complete:
            self._kinds.append(self._opcode)

    def echo(self, deadline: Deadline) -> None:
        message = self.receive(deadline)
        assert message is not None  # there is no text any more
        with self._lock:
            if self._protocol.state is not State.OPEN:
                return
            if self._kinds.popleft() is Opcode.TEXT:
                self._protocol.send_text(message)
            else:
                self._protocol.send_binary(message)
            self._output.add(self._protocol.data_to_send())
        self._output.write_at_once()


def serve(listener: socket.socket, peer: subprocess.Popen[bytes]) -> None:
    """Serve one connection after the other until the peer, a process, has ended.

    Args:
        listener: Where it knocks.
        peer: Its standard output is a pipe in which nothing comes but the end.
    """
    assert peer.stdout is not None  # asked for
    port = listener.getsockname()[1]
    workers = WorkerPool("opencode-sync-conformance")
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(peer.stdout, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(_PATIENCE)]
                if listener not in ready:
                    return
                _serve_one(listener.accept()[0], port, workers.submit)
    finally:
        workers.close(Deadline.after(_PATIENCE))


def _serve_one(
    sock: socket.socket, port: int, later: Callable[[Callable[[], object]], bool]
) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    limits = GatewayLimits()
    deadline = Deadline.after(_PATIENCE)
    link = _EchoLink(
        sock,
        port=port,
        max_message_size=limits.max_message_size,
        send_timeout=limits.send_timeout,
        ping_interval=limits.ping_interval,
        ping_timeout=limits.ping_timeout,
        later=later,
    )
    try:
        link.open(deadline)
        link.trust()
        while True:
            link.echo(deadline)
    except TransportError:
        return  # how it ended is for the peer to judge
    finally:
        link.dispose()

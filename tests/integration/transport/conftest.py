"""Loopback servers, transports that are always freed, and a look at what is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from opencode_sync.config import IpcConfig
from opencode_sync.deadline import Deadline
from opencode_sync.options import IpcClientOptions
from opencode_sync.transport.websocket import WebSocketTransport
from tests.support.leaks import no_leaks
from tests.support.threads import Background
from tests.support.wsserver import RawPeer, RawServer

TOKEN = "a-token-that-nobody-sees-here"

MakeTransport = Callable[..., WebSocketTransport]


@dataclass
class Link:
    """A connected transport and the raw server's end of it."""

    transport: WebSocketTransport
    peer: RawPeer


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Each test ends with the threads and descriptors it began with."""
    with no_leaks():
        yield


@pytest.fixture
def server(leaves_nothing: None) -> Iterator[RawServer]:
    """A server that listens on 127.0.0.1."""
    with RawServer() as listening:
        yield listening


@pytest.fixture
def make_transport(leaves_nothing: None) -> Iterator[MakeTransport]:
    """Makes transports to a port, and frees them."""
    made: list[WebSocketTransport] = []

    def make(port: int, *, host: str = "127.0.0.1", **options: int) -> WebSocketTransport:
        transport = WebSocketTransport(IpcConfig(port, TOKEN, host), IpcClientOptions(**options))
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.abort()
        transport.dispose()


@pytest.fixture
def open_link(server: RawServer, make_transport: MakeTransport) -> Callable[..., Link]:
    """Connects a new transport to the server; ``then`` stands right behind the handshake."""

    def connect(*, then: bytes = b"", **options: int) -> Link:
        transport = make_transport(server.port, **options)
        connecting = Background(transport.connect, Deadline.after(5))
        peer = server.accept()
        peer.upgrade(then=then)
        connecting.result()
        return Link(transport, peer)

    return connect


@pytest.fixture
def link(open_link: Callable[..., Link]) -> Link:
    """A connected transport and its peer."""
    return open_link()

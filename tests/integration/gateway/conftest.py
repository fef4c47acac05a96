"""What the gateway's tests over sockets share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opencode_sync.gateway import Gateway, GatewayLimits
from tests.unit.gateway.conftest import nothing_left
from tests.unit.gateway.doubles import KINDS, Peer, ScriptedBackend, WebSocketPeer

__all__ = ["nothing_left"]


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
def start(backend: ScriptedBackend, nothing_left: None) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with the limits given; it is stopped after the test."""
    started: list[Gateway] = []

    def start(**limits: Any) -> Gateway:
        gateway = Gateway(backend, limits=GatewayLimits(**limits))
        started.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in started:
        gateway.stop(1)


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """How a peer connects: over a WebSocket, or in memory. All behave alike."""
    return str(request.param)


@pytest.fixture
def stranger(kind: str, start: Callable[..., Gateway]) -> Iterator[Callable[[Gateway], Peer]]:
    """Connect without a handshake."""
    peers: list[Peer] = []

    def connect(gateway: Gateway) -> Peer:
        peers.append(KINDS[kind](gateway))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()


@pytest.fixture
def connect(stranger: Callable[[Gateway], Peer]) -> Callable[[Gateway], Peer]:
    """Connect and show the right token."""

    def connect(gateway: Gateway) -> Peer:
        peer = stranger(gateway)
        assert peer.authenticate(gateway.auth_token).auth_handshake_response.success
        return peer

    return connect


@pytest.fixture
def websocket_peer(start: Callable[..., Gateway]) -> Iterator[Callable[..., WebSocketPeer]]:
    """Connect over a WebSocket, with a handshake unless told otherwise."""
    peers: list[WebSocketPeer] = []

    def connect(gateway: Gateway, *, authenticate: bool = True, **options: Any) -> WebSocketPeer:
        peer = WebSocketPeer(gateway, **options)
        peers.append(peer)
        if authenticate:
            assert peer.authenticate(gateway.auth_token).auth_handshake_response.success
        return peer

    yield connect
    for peer in peers:
        peer.close()

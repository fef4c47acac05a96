"""The link in memory: what it has beyond the contract that all transports share."""

from __future__ import annotations

import time

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.memory import MemoryPeer, MemoryTransport, memory_link
from tests.support.threads import Background, together


def soon() -> Deadline:
    return Deadline.after(5)


@pytest.fixture
def ends() -> tuple[MemoryTransport, MemoryPeer]:
    transport, peer = memory_link()
    transport.connect(soon())
    return transport, peer


def test_a_link_may_refuse_like_an_absent_backend() -> None:
    transport, _ = memory_link("memory:nobody", refuse="nobody is at home")
    assert transport.endpoint == "memory:nobody"
    with pytest.raises(TransportError, match="nobody is at home") as caught:
        transport.connect(soon())
    assert type(caught.value) is TransportError


def test_a_peer_may_end_the_link_before_the_client_connects() -> None:
    transport, peer = memory_link()
    peer.close(1013, "come back later")
    with pytest.raises(TransportClosed, match="come back later") as caught:
        transport.connect(soon())
    assert caught.value.code == 1013


def test_messages_are_handed_over_without_a_copy(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    there, back = b"x" * 1000, b"y" * 1000
    transport.send([there])
    transport.flush(NOW)
    assert peer.receive(1) is there
    assert peer.send(back)
    assert transport.receive(soon()) is back


def test_a_peers_receive_has_a_time_out(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    _, peer = ends
    with pytest.raises(TransportTimeout):
        peer.receive(0)
    started = time.monotonic()
    with pytest.raises(TransportTimeout):
        peer.receive(0.03)
    assert time.monotonic() - started >= 0.03


def test_a_peers_receive_may_wait_for_ever(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    receiving = Background(peer.receive)
    transport.send([b"at last"])
    transport.flush(NOW)
    assert receiving.result() == b"at last"


def test_many_threads_may_serve_one_peer(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    takers = together(8, lambda _: [peer.receive(5) for _ in range(50)])
    sent = [str(index).encode() for index in range(400)]
    for start in range(0, 400, 10):
        transport.send(sent[start : start + 10])
        transport.flush(NOW)
    taken = [message for taker in takers for message in taker.result()]
    assert sorted(taken) == sorted(sent)


def test_every_thread_that_serves_a_peer_sees_the_end(
    ends: tuple[MemoryTransport, MemoryPeer],
) -> None:
    transport, peer = ends
    takers = [Background(peer.receive) for _ in range(4)]
    transport.close(1000, "", soon())
    for taker in takers:
        assert isinstance(taker.error(), TransportClosed)
    with pytest.raises(TransportClosed):
        peer.receive(1)


def test_a_peer_knows_how_much_is_unread(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    peer.send(b"12345")
    peer.send(b"678")
    assert peer.unread == 8
    transport.receive(soon())
    assert peer.unread == 3
    transport.abort()
    transport.abort()
    assert peer.unread == 0


def test_the_peer_sees_our_goodbye_with_its_code(
    ends: tuple[MemoryTransport, MemoryPeer],
) -> None:
    transport, peer = ends
    transport.send([b"last"])
    transport.close(1001, "going", soon())
    assert peer.receive(1) == b"last"
    with pytest.raises(TransportClosed) as caught:
        peer.receive(1)
    assert (caught.value.code, caught.value.reason, caught.value.clean) == (1001, "going", True)


def test_the_peer_sees_an_abort_without_a_code(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    transport.abort()
    with pytest.raises(TransportClosed) as caught:
        peer.receive(1)
    assert (caught.value.code, caught.value.clean) == (None, False)
    assert peer.send(b"too late") is False


def test_the_first_end_counts(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    peer.close(1001, "first")
    peer.drop()
    peer.violate()
    assert peer.send(b"too late") is False
    with pytest.raises(TransportClosed, match="first"):
        transport.receive(soon())


def test_abort_discards_what_has_come(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    peer.send(b"unread")
    transport.abort()
    with pytest.raises(TransportClosed):
        transport.receive(soon())


def test_a_violation_is_told_as_scripted(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    transport, peer = ends
    peer.violate("a message of 99 bytes", code=1009)
    with pytest.raises(TransportProtocolError, match="99 bytes") as caught:
        transport.receive(soon())
    assert caught.value.code == 1009
    with pytest.raises(TransportClosed):
        peer.receive(1)


@pytest.mark.parametrize("ending", ["close", "drop"])
def test_a_peer_that_ended_the_link_receives_the_rest_and_then_the_end(
    ends: tuple[MemoryTransport, MemoryPeer], ending: str
) -> None:
    transport, peer = ends
    transport.send([b"before"])
    transport.flush(NOW)
    getattr(peer, ending)()
    assert peer.receive(1) == b"before"
    with pytest.raises(TransportClosed):
        peer.receive(1)


def test_a_ping_counts_as_heard(ends: tuple[MemoryTransport, MemoryPeer]) -> None:
    # The link cannot be half open, so the watch over it must never take it for dead.
    transport, _ = ends
    transport.last_received_at = 0.0
    transport.ping()
    assert transport.last_received_at > 0.0
    transport.on_output_due()
    assert transport.flush(NOW)

"""The link in memory: what it has beyond the contract that all transports share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.memory import MemoryPeer, MemoryTransport, memory_link
from tests.support.leaks import eventually
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


class TestReceiveAll:
    """Messages go to whoever takes them on the threads that bring them, in order and one by one."""

    @pytest.fixture
    def taken(self) -> list[tuple[bytes, str]]:
        return []

    @pytest.fixture
    def reading(
        self, ends: tuple[MemoryTransport, MemoryPeer], taken: list[tuple[bytes, str]]
    ) -> Iterator[Background[None]]:
        transport, peer = ends
        begun = threading.Event()

        def take(message: bytes) -> None:
            taken.append((message, threading.current_thread().name))
            begun.set()

        peer.send(b"first")
        reading = Background(transport.receive_all, take)
        assert begun.wait(5)
        assert eventually(lambda: not peer.unread)  # until then others wait in line behind it
        yield reading
        transport.abort()
        with pytest.raises(TransportClosed):
            reading.result()

    def test_the_reader_takes_what_was_there_and_then_sleeps(
        self,
        ends: tuple[MemoryTransport, MemoryPeer],
        reading: Background[None],
        taken: list[tuple[bytes, str]],
    ) -> None:
        transport, peer = ends
        heard = transport.last_received_at
        peer.send(b"second")
        mine = threading.current_thread().name
        assert taken == [(b"first", reading.thread.name), (b"second", mine)]
        assert peer.unread == 0
        assert transport.last_received_at > heard

    def test_nothing_overtakes(
        self, ends: tuple[MemoryTransport, MemoryPeer], taken: list[tuple[bytes, str]]
    ) -> None:
        """What comes while a message is being taken waits for it, but whoever sends it does not."""
        transport, peer = ends
        entered, go_on = threading.Event(), threading.Event()

        def take(message: bytes) -> None:
            if message == b"slow":
                entered.set()
                assert go_on.wait(5)
            taken.append((message, threading.current_thread().name))

        reading = Background(transport.receive_all, take)
        sending = Background(peer.send, b"slow")
        assert entered.wait(5)
        assert peer.send(b"next")
        assert peer.send(b"last")
        peer.close()
        assert taken == []
        go_on.set()
        assert sending.result()
        with pytest.raises(TransportClosed, match="closed the connection"):
            reading.result()
        assert [message for message, _ in taken] == [b"slow", b"next", b"last"]

    def test_the_end_comes_after_what_is_being_taken(
        self, ends: tuple[MemoryTransport, MemoryPeer]
    ) -> None:
        transport, peer = ends
        entered, go_on = threading.Event(), threading.Event()

        def take(message: bytes) -> None:
            entered.set()
            assert go_on.wait(5)

        reading = Background(transport.receive_all, take)
        sending = Background(peer.send, b"slow")
        assert entered.wait(5)
        transport.abort()  # waits for nobody
        assert reading.running
        go_on.set()
        assert sending.result()
        with pytest.raises(TransportClosed, match="aborted"):
            reading.result()
        assert not peer.send(b"too late")

    def test_of_many_senders_each_message_is_taken_once_and_in_its_order(
        self,
        ends: tuple[MemoryTransport, MemoryPeer],
        reading: Background[None],
        taken: list[tuple[bytes, str]],
    ) -> None:
        _, peer = ends

        def send(number: int) -> None:
            for place in range(200):
                assert peer.send(b"%d %d" % (number, place))

        for sender in together(8, send):
            sender.result()
        assert eventually(lambda: not peer.unread)
        messages = [message for message, _ in taken[1:]]
        assert len(messages) == 8 * 200
        for number in range(8):
            mine = [m for m in messages if m.startswith(b"%d " % number)]
            assert mine == [b"%d %d" % (number, place) for place in range(200)]

    def test_a_message_from_within_waits_for_its_turn(
        self, ends: tuple[MemoryTransport, MemoryPeer]
    ) -> None:
        transport, peer = ends
        steps: list[bytes] = []
        done = threading.Event()

        def take(message: bytes) -> None:
            if message == b"outer":
                peer.send(b"inner")
            steps.append(message)
            if message == b"inner":
                done.set()

        reading = Background(transport.receive_all, take)
        peer.send(b"outer")
        assert done.wait(5)
        assert steps == [b"outer", b"inner"]
        transport.abort()
        with pytest.raises(TransportClosed):
            reading.result()

    def test_a_bug_in_taking_ends_the_link_and_not_the_peer(
        self, ends: tuple[MemoryTransport, MemoryPeer]
    ) -> None:
        transport, peer = ends
        seen = threading.Event()

        def take(message: bytes) -> None:
            seen.set()
            if message == b"bad":
                raise KeyError("a bug")

        peer.send(b"good")
        reading = Background(transport.receive_all, take)
        assert seen.wait(5)
        assert eventually(lambda: not peer.unread)
        assert peer.send(b"bad")
        with pytest.raises(TransportClosed, match="could not be taken: KeyError"):
            reading.result()
        assert peer.ended

"""What every transport does, whatever carries it: the same tests on each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.memory import memory_link
from tests.integration.transport.conftest import MakeTransport
from tests.support.threads import Background, together
from tests.support.wsserver import RawServer


class PeerEnd(Protocol):
    """The backend's end, as far as both kinds have it."""

    def receive(self, timeout: float | None = None) -> bytes: ...
    def send(self, message: bytes) -> object: ...
    def close(self, code: int = 1000, reason: str = "") -> None: ...
    def drop(self) -> None: ...
    def violate(self) -> None: ...


class Ends:
    """A transport that is not connected yet, and how to connect it."""

    def __init__(self, transport: Transport, connect: Callable[[], PeerEnd]) -> None:
        self.transport = transport
        self.connect = connect


SIZES = [0, 1, 124, 125, 126, 127, 65535, 65536, 65537, 1 << 20]


@pytest.fixture(params=["memory", "websocket"])
def ends(
    request: pytest.FixtureRequest, make_transport: MakeTransport, server: RawServer
) -> Iterator[Ends]:
    if request.param == "memory":
        transport, peer = memory_link()

        def connect_memory() -> PeerEnd:
            transport.connect(soon())
            return peer

        yield Ends(transport, connect_memory)
        transport.dispose()
        return

    socket_transport = make_transport(server.port)

    def connect_socket() -> PeerEnd:
        connecting = Background(socket_transport.connect, soon())
        accepted = server.accept()
        accepted.upgrade()
        connecting.result()
        return accepted

    yield Ends(socket_transport, connect_socket)


@pytest.fixture
def peer(ends: Ends) -> PeerEnd:
    return ends.connect()


@pytest.fixture
def transport(ends: Ends, peer: PeerEnd) -> Transport:
    return ends.transport


def soon() -> Deadline:
    return Deadline.after(10)


def content(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def wait_until_blocked(background: Background[object]) -> None:
    """Give a thread the time to get into its wait; what follows must hold either way."""
    background.thread.join(0.02)
    assert background.running


# --- Messages ---


def test_messages_reach_the_peer_whole_and_in_order(transport: Transport, peer: PeerEnd) -> None:
    sent = [f"message {index}".encode() * index for index in range(100)]
    transport.send(sent[:30])
    transport.send(sent[30:31])
    assert transport.flush(soon())
    transport.send(sent[31:])
    assert transport.flush(soon())
    assert [peer.receive(5) for _ in sent] == sent


def test_messages_are_received_whole_and_in_order(transport: Transport, peer: PeerEnd) -> None:
    sent = [f"message {index}".encode() * index for index in range(100)]
    for message in sent:
        peer.send(message)
    assert [transport.receive(soon()) for _ in sent] == sent


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_goes_both_ways(
    transport: Transport, peer: PeerEnd, size: int
) -> None:
    message = content(size)
    transport.send([message])
    writing = Background(transport.flush, soon())
    assert peer.receive(5) == message
    assert writing.result() is True
    sending = Background(peer.send, message)
    assert transport.receive(soon()) == message
    sending.result()


def test_no_messages_are_nothing(transport: Transport, peer: PeerEnd) -> None:
    transport.send([])
    assert not transport.output_due
    assert transport.flush(NOW)
    transport.send([b"after"])
    transport.flush(soon())
    assert peer.receive(5) == b"after"


def test_sending_writes_nothing_until_the_flush(transport: Transport, peer: PeerEnd) -> None:
    assert not transport.output_due
    transport.send([b"one"])
    assert transport.output_due
    assert transport.flush(NOW) is True  # room is there, so a passed deadline is enough
    assert not transport.output_due
    assert peer.receive(5) == b"one"


def test_both_directions_work_at_once(transport: Transport, peer: PeerEnd) -> None:
    messages = [content(5000) for _ in range(200)]

    def write() -> None:
        for message in messages:
            transport.send([message])
            assert transport.flush(soon())

    def serve() -> None:
        for message in messages:
            peer.send(message)

    writing, serving = Background(write), Background(serve)
    taking = Background(lambda: [transport.receive(soon()) for _ in messages])
    assert [peer.receive(5) for _ in messages] == messages
    assert taking.result() == messages
    writing.result()
    serving.result()


def test_the_time_of_the_newest_bytes_is_known(ends: Ends) -> None:
    before = time.monotonic()
    peer = ends.connect()
    connected_at = ends.transport.last_received_at
    assert before <= connected_at <= time.monotonic()
    peer.send(b"x")
    between = time.monotonic()
    ends.transport.receive(soon())
    assert between <= ends.transport.last_received_at <= time.monotonic()


def test_the_endpoint_tells_where_the_link_goes(ends: Ends) -> None:
    assert ends.transport.endpoint
    assert "token" not in ends.transport.endpoint


def test_a_ping_is_no_message(transport: Transport, peer: PeerEnd) -> None:
    peer.send(b"before")
    transport.ping()
    assert transport.flush(soon())
    assert transport.receive(soon()) == b"before"


# --- Deadlines of receive ---


def test_receive_gives_up_at_its_deadline(transport: Transport, peer: PeerEnd) -> None:
    started = time.monotonic()
    with pytest.raises(TransportTimeout):
        transport.receive(Deadline.after(0.05))
    assert time.monotonic() - started >= 0.05
    peer.send(b"later")
    assert transport.receive(soon()) == b"later"


def test_a_passed_deadline_does_not_wait(transport: Transport, peer: PeerEnd) -> None:
    for _ in range(3):
        with pytest.raises(TransportTimeout):
            transport.receive(NOW)
    peer.send(b"one")
    assert transport.receive(soon()) == b"one"


def test_what_has_come_is_received_even_after_the_deadline(
    transport: Transport, peer: PeerEnd
) -> None:
    peer.send(b"one")
    peer.send(b"two")
    assert transport.receive(soon()) == b"one"
    assert transport.receive(NOW) == b"two"


def test_receive_without_a_deadline_waits_for_the_message(
    transport: Transport, peer: PeerEnd
) -> None:
    receiving = Background(transport.receive)
    wait_until_blocked(receiving)
    peer.send(b"at last")
    assert receiving.result() == b"at last"


# --- Abort ---


@pytest.mark.parametrize("deadline", [None, Deadline.after(3600)])
def test_abort_wakes_a_blocked_receive(
    transport: Transport, peer: PeerEnd, deadline: Deadline | None
) -> None:
    receiving = Background(transport.receive, deadline)
    wait_until_blocked(receiving)
    transport.abort()
    assert type(receiving.error(2)) is TransportClosed


def test_abort_may_come_many_times_from_any_thread(transport: Transport, peer: PeerEnd) -> None:
    receiving = Background(transport.receive)
    wait_until_blocked(receiving)
    for job in together(8, lambda _: [transport.abort() for _ in range(20)]):
        job.result()
    assert isinstance(receiving.error(2), TransportClosed)
    transport.abort()
    transport.dispose()
    transport.abort()


def test_an_aborted_link_stays_ended(transport: Transport, peer: PeerEnd) -> None:
    transport.abort()
    for _ in range(2):
        error = catch(lambda: transport.receive(soon()))
        assert isinstance(error, TransportClosed)
        assert error.code is None
        assert not error.clean
    assert isinstance(catch(lambda: write(transport, b"x")), TransportError)


def test_abort_before_connect_ends_the_attempt(ends: Ends) -> None:
    ends.transport.abort()
    started = time.monotonic()
    assert isinstance(catch(lambda: ends.transport.connect(soon())), TransportClosed)
    assert time.monotonic() - started < 5


def test_the_peer_sees_an_abort_as_the_end(transport: Transport, peer: PeerEnd) -> None:
    write(transport, b"last")
    assert peer.receive(5) == b"last"
    transport.abort()
    with pytest.raises(Exception) as caught:  # each kind of peer has its own
        peer.receive(5)
    assert not isinstance(caught.value, TimeoutError | TransportTimeout)


# --- The peer's end ---


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going away"), (4321, "grün 🎈"), (1011, "r" * 123)]
)
def test_a_clean_close_tells_code_and_reason(
    transport: Transport, peer: PeerEnd, code: int, reason: str
) -> None:
    peer.send(b"last words")
    peer.close(code, reason)
    assert transport.receive(soon()) == b"last words"
    error = catch(lambda: transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    assert (error.code, error.reason, error.clean) == (code, reason, True)
    assert str(code) in str(error)
    assert reason in str(error)


def test_a_close_wakes_a_blocked_receive(transport: Transport, peer: PeerEnd) -> None:
    receiving = Background(transport.receive)
    wait_until_blocked(receiving)
    peer.close(1001)
    error = receiving.error(2)
    assert isinstance(error, TransportClosed)
    assert error.code == 1001


def test_a_drop_tells_no_code(transport: Transport, peer: PeerEnd) -> None:
    peer.send(b"last words")
    peer.drop()
    assert transport.receive(soon()) == b"last words"
    error = catch(lambda: transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    assert (error.code, error.reason, error.clean) == (None, "", False)


def test_a_drop_wakes_a_blocked_receive(transport: Transport, peer: PeerEnd) -> None:
    receiving = Background(transport.receive)
    wait_until_blocked(receiving)
    peer.drop()
    assert isinstance(receiving.error(2), TransportClosed)


def test_an_offence_is_told_with_the_code_we_owe(transport: Transport, peer: PeerEnd) -> None:
    peer.violate()
    error = catch(lambda: transport.receive(soon()))
    assert isinstance(error, TransportProtocolError)
    assert error.code == 1002


@pytest.mark.parametrize("ending", ["close", "drop", "violate"])
def test_after_the_end_nothing_can_be_sent_or_received(
    transport: Transport, peer: PeerEnd, ending: str
) -> None:
    getattr(peer, ending)()
    first = catch(lambda: transport.receive(soon()))
    assert isinstance(first, TransportError)
    again = catch(lambda: transport.receive(soon()))
    assert (type(again), str(again)) == (type(first), str(first))
    # What was known of the end is told to the writer too: it is why the message did not go out.
    for _ in range(2):
        refused = catch(lambda: write(transport, b"too late"))
        assert (type(refused), str(refused)) == (type(first), str(first))


@pytest.mark.parametrize("ending", ["close", "drop", "violate"])
def test_messages_that_waited_when_the_link_ended_are_told_why(
    transport: Transport, peer: PeerEnd, ending: str
) -> None:
    transport.send([b"not written yet"])
    getattr(peer, ending)()
    first = catch(lambda: transport.receive(soon()))
    refused = catch(lambda: transport.flush(soon()))
    assert (type(refused), str(refused)) == (type(first), str(first))


def test_a_writer_that_the_reader_did_not_warn_learns_of_a_drop(
    transport: Transport, peer: PeerEnd
) -> None:
    peer.drop()

    def write_on() -> None:
        while True:  # the first bytes may still fit somewhere
            write(transport, content(100_000))

    writing = Background(write_on)
    assert isinstance(writing.error(5), TransportError)


# --- Our own goodbye ---


def test_close_writes_what_is_left_and_then_the_goodbye(
    transport: Transport, peer: PeerEnd
) -> None:
    transport.send([b"one", b"two"])
    transport.close(1001, "done", soon())
    assert peer.receive(5) == b"one"
    assert peer.receive(5) == b"two"
    with pytest.raises((TransportClosed, AssertionError)):
        peer.receive(5)


def test_nothing_is_sent_after_the_goodbye(transport: Transport, peer: PeerEnd) -> None:
    transport.close(1000, "", soon())
    transport.close(1000, "", soon())
    assert isinstance(catch(lambda: write(transport, b"too late")), TransportClosed)
    transport.send([])


def test_the_peers_goodbye_still_comes_after_ours(transport: Transport, peer: PeerEnd) -> None:
    peer.send(b"under way")
    transport.close(1000, "", soon())
    peer.close(1000, "same to you")
    assert transport.receive(soon()) == b"under way"
    error = catch(lambda: transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    assert (error.clean, error.reason) == (True, "same to you")


@pytest.mark.parametrize("ending", ["abort", "drop", "dispose", "nothing"])
def test_close_never_raises(ends: Ends, ending: str) -> None:
    if ending == "nothing":  # not even connected
        ends.transport.close(1000, "", NOW)
        return
    peer = ends.connect()
    if ending == "drop":
        peer.drop()
        catch(lambda: ends.transport.receive(soon()))
    else:
        getattr(ends.transport, ending)()
    for _ in range(3):
        ends.transport.close(1000, "bye", soon())


# --- Errors ---


def test_threads_that_race_with_the_end_see_only_transport_errors(
    transport: Transport, peer: PeerEnd
) -> None:
    started = threading.Barrier(3)

    def write_on() -> None:
        started.wait(5)
        while True:
            write(transport, b"x" * 1000)

    def read_on() -> None:
        started.wait(5)
        while True:
            transport.receive(soon())

    writing, reading = Background(write_on), Background(read_on)
    started.wait(5)
    peer.send(b"one")
    transport.abort()
    assert isinstance(writing.error(5), TransportError)
    assert isinstance(reading.error(5), TransportError)


def write(transport: Transport, message: bytes) -> None:
    transport.send([message])
    transport.flush(soon())


def catch(step: Callable[[], object]) -> BaseException:
    """Return what ``step`` raises."""
    with pytest.raises(BaseException) as caught:
        step()
    return caught.value

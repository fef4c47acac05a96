"""The WebSocket transport on an open link, against a server that may do anything."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from opencode_sync.config import IpcConfig
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.options import IpcClientOptions
from opencode_sync.transport import websocket as module
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.websocket import WebSocketTransport
from tests.integration.transport.conftest import Link
from tests.support.leaks import descriptor_count
from tests.support.threads import Background
from tests.support.wsserver import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawPeer,
    close_body,
    server_frame,
)

BIG = b"f" * 1_000_000
"""More than the buffers of both ends together, which the tests keep small."""

OpenLink = Callable[..., Link]


def soon() -> Deadline:
    return Deadline.after(10)


def catch(step: Callable[[], object]) -> BaseException:
    """Return what ``step`` raises."""
    with pytest.raises(BaseException) as caught:
        step()
    return caught.value


def fix_send_buffer(link: Link) -> None:
    """Keep the system from making more room while a test looks at a full buffer."""
    sock = link.transport._socket
    assert sock is not None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)


def fill(link: Link, message: bytes = BIG) -> int:
    """Send until the peer, who does not read, takes no more; return how many messages it was."""
    fix_send_buffer(link)
    for count in range(1, 1000):
        link.transport.send([message])
        if not link.transport.flush(NOW):
            return count
    pytest.fail("the buffers of this machine have no end")


# --- Receiving ---


def test_messages_right_behind_the_handshake_are_received(open_link: OpenLink) -> None:
    then = server_frame(BINARY, b"one") + server_frame(PING, b"p") + server_frame(BINARY, b"two")
    link = open_link(then=then)
    assert [link.transport.receive(NOW) for _ in range(2)] == [b"one", b"two"]
    assert link.transport.output_due


def test_half_a_frame_behind_the_handshake_is_continued(open_link: OpenLink) -> None:
    data = server_frame(BINARY, b"h" * 300)
    link = open_link(then=data[:3])
    link.peer.send_raw(data[3:] + server_frame(BINARY, b"next"))
    assert link.transport.receive(soon()) == b"h" * 300
    assert link.transport.receive(soon()) == b"next"


def test_fragments_and_pings_in_single_bytes_make_one_message(link: Link) -> None:
    data = server_frame(BINARY, b"a", final=False)
    for letter in b"bcdefghij":
        data += server_frame(PING, bytes([letter]))
        data += server_frame(CONTINUATION, bytes([letter]), final=False)
    data += server_frame(CONTINUATION)
    link.peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    receiving = Background(link.transport.receive, soon())
    for index in range(len(data)):
        link.peer.send_raw(data[index : index + 1])
    assert receiving.result() == b"abcdefghij"


@pytest.mark.parametrize("size", [1, 2, 3, 17])
def test_the_receive_buffer_may_be_tiny(open_link: OpenLink, size: int) -> None:
    link = open_link(max_receive_buffer_size=size)
    message = bytes(range(256))
    link.peer.send(message)
    link.peer.send(b"next")
    assert link.transport.receive(soon()) == message
    assert link.transport.receive(soon()) == b"next"


def test_a_deadline_between_two_pieces_loses_nothing(link: Link) -> None:
    data = server_frame(BINARY, b"x" * 70_000, final=False) + server_frame(CONTINUATION, b"end")
    for start, end in ((0, 1), (1, 5), (5, 40_000), (40_000, 70_011), (70_011, len(data) - 1)):
        link.peer.send_raw(data[start:end])
        with pytest.raises(TransportTimeout):
            link.transport.receive(Deadline.after(0.02))
    link.peer.send_raw(data[-1:])
    assert link.transport.receive(soon()) == b"x" * 70_000 + b"end"


@pytest.mark.parametrize(
    "flood",
    [
        server_frame(PING, b"still here"),
        server_frame(PONG),
        server_frame(CONTINUATION, b"x", final=False),
        server_frame(TEXT, b"blah"),
    ],
    ids=["pings", "pongs", "fragments", "text"],
)
def test_a_flood_that_makes_no_message_does_not_stretch_the_deadline(
    open_link: OpenLink, flood: bytes
) -> None:
    link = open_link(then=server_frame(BINARY, b"first"))
    assert link.transport.receive(soon()) == b"first"
    if flood[0] & 0x0F == CONTINUATION:
        link.peer.send_frame(BINARY, b"x", final=False)

    def pour() -> None:
        while True:
            link.peer.send_raw(flood * 100)

    pouring = Background(pour)
    started = time.monotonic()
    assert isinstance(catch(lambda: link.transport.receive(Deadline.after(0.1))), TransportTimeout)
    assert 0.1 <= time.monotonic() - started < 5
    link.transport.abort()
    link.transport.dispose()
    assert isinstance(pouring.error(), OSError)


@pytest.mark.parametrize("opcode", [PING, PONG, TEXT])
def test_a_passed_deadline_takes_what_has_come_only_once(open_link: OpenLink, opcode: int) -> None:
    link = open_link(then=server_frame(BINARY, b"first"), max_receive_buffer_size=64)
    assert link.transport.receive(soon()) == b"first"
    link.peer.send_raw(server_frame(opcode, b"no message") * 100 + server_frame(BINARY, b"second"))
    rounds = 0
    while True:
        rounds += 1
        try:
            message = link.transport.receive(NOW)
            break
        except TransportTimeout:
            assert rounds < 10_000
    assert message == b"second"
    assert rounds > 10


def test_a_deadline_farther_than_the_system_can_count_is_kept(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.01)
    receiving = Background(link.transport.receive, Deadline.after(30 * 24 * 3600.0))
    receiving.thread.join(0.05)  # several rounds of the longest wait
    assert receiving.running
    link.peer.send(b"late")
    assert receiving.result() == b"late"


def test_a_month_is_a_deadline(link: Link) -> None:
    link.peer.send(b"one")
    assert link.transport.receive(Deadline.after(30 * 24 * 3600.0)) == b"one"
    fill(link)
    flushing = Background(link.transport.flush, Deadline.after(30 * 24 * 3600.0))
    link.transport.abort()
    assert isinstance(flushing.error(2), TransportClosed)


def test_the_limit_on_messages_is_the_options(open_link: OpenLink) -> None:
    link = open_link(max_message_size=1000)
    link.peer.send(b"x" * 1000)
    assert link.transport.receive(soon()) == b"x" * 1000
    link.peer.send(b"x" * 1001)
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportProtocolError)
    assert error.code == 1009


def test_a_terabyte_is_refused_when_it_is_announced(link: Link) -> None:
    link.peer.send_raw(server_frame(BINARY, announce=1 << 40))
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportProtocolError)
    assert error.code == 1009
    link.transport.close(error.code, "", soon())
    frame = link.peer.read_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_body(1009))


@pytest.mark.parametrize(
    "bad",
    [
        server_frame(BINARY, reserved=4),
        server_frame(BINARY, b"x", key=b"abcd"),
        server_frame(0x3),
        server_frame(PING, final=False),
        server_frame(CONTINUATION),
        server_frame(BINARY, b"x", length_bytes=8),
        server_frame(CLOSE, b"\x03"),
        server_frame(CLOSE, close_body(1005)),
        server_frame(CLOSE, close_body(1000) + b"\xff"),
        b"\xff" * 1000,
    ],
)
def test_an_offence_ends_the_link_for_good(link: Link, bad: bytes) -> None:
    link.peer.send_raw(server_frame(BINARY, b"good") + bad + server_frame(BINARY, b"never"))
    assert link.transport.receive(soon()) == b"good"
    first = catch(lambda: link.transport.receive(soon()))
    assert isinstance(first, TransportProtocolError)
    assert catch(lambda: link.transport.receive(soon())) is first
    assert catch(lambda: link.transport.flush(NOW)) is first


# --- Text ---


@pytest.mark.parametrize("text", [b"", b"hello", b"\xff\xfe"])
def test_text_as_the_first_message_tells_that_this_is_no_ipc_backend(
    link: Link, text: bytes
) -> None:
    link.peer.send_frame(PING)
    link.peer.send_frame(TEXT, text)
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportProtocolError)
    assert error.code == 1003
    assert "speaks text" in str(error)
    assert "another program" in str(error)


def test_text_later_is_ignored_and_counted(link: Link) -> None:
    link.peer.send(b"one")
    link.peer.send_frame(TEXT, b"half ", final=False)
    link.peer.send_frame(CONTINUATION, b"text")
    link.peer.send_frame(TEXT)
    link.peer.send(b"two")
    assert link.transport.receive(soon()) == b"one"
    assert link.transport.text_messages == 0
    assert link.transport.receive(soon()) == b"two"
    assert link.transport.text_messages == 2


# --- Pings and pongs ---


def test_the_owner_is_told_that_a_pong_is_due(link: Link) -> None:
    told = threading.Event()
    link.transport.on_output_due = told.set
    link.peer.send_frame(PING, b"are you there")
    link.peer.send(b"x")
    link.transport.receive(soon())
    assert told.is_set()
    assert link.transport.output_due
    assert link.transport.flush(soon())
    assert not link.transport.output_due
    frame = link.peer.read_frame()
    assert (frame.opcode, frame.payload) == (PONG, b"are you there")


@pytest.mark.parametrize("payload", [b"", b"x" * 125])
def test_a_pong_carries_what_the_ping_carried(link: Link, payload: bytes) -> None:
    link.transport.on_output_due = lambda: link.transport.flush(NOW)
    link.peer.send_frame(PING, payload)
    receiving = Background(link.transport.receive)
    frame = link.peer.read_frame()
    assert (frame.opcode, frame.payload) == (PONG, payload)
    assert receiving.running
    link.transport.abort()
    receiving.error()


def test_many_pings_are_answered_by_the_newest_pong_before_messages(link: Link) -> None:
    for index in range(100):
        link.peer.send_frame(PING, str(index).encode())
    link.peer.send(b"x")
    link.transport.receive(soon())
    link.transport.send([b"mine"])
    link.transport.flush(soon())
    frames = [link.peer.read_frame() for _ in range(2)]
    assert [(frame.opcode, frame.payload) for frame in frames] == [(PONG, b"99"), (BINARY, b"mine")]


def test_a_ping_while_a_writer_is_stuck_is_answered_when_it_goes_on(link: Link) -> None:
    message = BIG
    count = fill(link, message)
    writing = Background(link.transport.flush, soon())
    for index in range(3):
        link.peer.send_frame(PING, str(index).encode())
        link.peer.send(b"the reader is not held up")
        assert link.transport.receive(soon()) == b"the reader is not held up"
    assert writing.running
    frames = [link.peer.read_frame() for _ in range(count + 1)]
    assert writing.result() is True
    assert [frame.payload for frame in frames if frame.opcode == PONG] == [b"2"]
    assert [frame.payload for frame in frames if frame.opcode == BINARY] == [message] * count


def test_our_ping_is_written_and_its_pong_counts_as_heard(link: Link) -> None:
    link.transport.ping()
    assert link.transport.output_due
    assert link.transport.flush(soon())
    assert link.peer.read_frame().opcode == PING
    before = link.transport.last_received_at
    link.peer.send_frame(PONG)
    with pytest.raises(TransportTimeout):
        link.transport.receive(Deadline.after(0.1))
    assert link.transport.last_received_at > before


# --- Writing to a peer that does not read ---


@pytest.mark.parametrize("size", [10, 70_000, 1_000_000])
def test_a_passed_deadline_never_blocks_and_keeps_the_rest(link: Link, size: int) -> None:
    fix_send_buffer(link)
    messages: list[bytes] = []
    finished = True
    while finished:
        messages.append(bytes([len(messages) % 256]) * size)
        link.transport.send([messages[-1]] * max(1, 30_000 // size))
        started = time.monotonic()
        finished = link.transport.flush(NOW)
        assert time.monotonic() - started < 8
    assert link.transport.output_due
    for _ in range(3):
        assert link.transport.flush(NOW) is False
    link.transport.send([b"the last"])
    assert link.transport.flush(Deadline.after(0.02)) is False

    writing = Background(link.transport.flush, soon())
    for message in messages:
        for _ in range(max(1, 30_000 // size)):
            assert link.peer.receive() == message
    assert link.peer.receive() == b"the last"
    assert writing.result() is True
    assert not link.transport.output_due


def test_flush_waits_until_its_deadline(link: Link) -> None:
    fill(link)
    started = time.monotonic()
    assert link.transport.flush(Deadline.after(0.05)) is False
    assert time.monotonic() - started >= 0.05


@pytest.mark.parametrize("ending", ["abort", "reset"])
def test_a_stuck_flush_ends_with_the_link(link: Link, ending: str) -> None:
    fill(link)
    flushing = Background(link.transport.flush, Deadline.after(60))
    flushing.thread.join(0.02)
    assert flushing.running
    if ending == "abort":
        link.transport.abort()
    else:
        link.peer.reset()
    error = flushing.error(2)
    assert type(error) is TransportClosed
    assert isinstance(error.__cause__, OSError)


def test_a_goodbye_to_a_peer_that_does_not_read_keeps_its_deadline(link: Link) -> None:
    count = fill(link)
    started = time.monotonic()
    link.transport.close(1001, "enough", Deadline.after(0.05))
    assert 0.05 <= time.monotonic() - started < 5
    link.transport.close(1001, "enough", NOW)
    writing = Background(link.transport.flush, soon())
    frames = [link.peer.read_frame() for _ in range(count + 1)]
    assert writing.result() is True
    assert (frames[-1].opcode, frames[-1].payload) == (CLOSE, close_body(1001, "enough"))
    assert all(frame.opcode == BINARY for frame in frames[:-1])


def test_messages_that_wait_together_go_out_together(link: Link) -> None:
    link.transport.send([str(index).encode() for index in range(500)])
    assert link.transport.flush(NOW)
    keys = set()
    for index in range(500):
        frame = link.peer.read_frame()
        assert frame.payload == str(index).encode()
        keys.add(frame.key)
    assert len(keys) == 500


# --- The end ---


def test_our_goodbye_is_written_once(link: Link) -> None:
    link.transport.close(1000, "done", soon())
    link.transport.close(1001, "again", soon())
    link.peer.close(1000)
    assert isinstance(catch(lambda: link.transport.receive(soon())), TransportClosed)
    link.transport.close(1000, "", soon())  # the answer to theirs: it had ours already
    link.transport.abort()
    frame = link.peer.read_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_body(1000, "done"))
    assert link.peer.read_to_end() == b""


def test_the_peers_goodbye_can_be_answered(link: Link) -> None:
    link.peer.close(4001, "why")
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    link.transport.close(error.code or 1000, "", NOW)
    frame = link.peer.read_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_body(4001))


def test_a_goodbye_without_a_code(link: Link) -> None:
    link.peer.send_frame(CLOSE)
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    assert (error.code, error.reason, error.clean) == (None, "", True)
    assert "without a code" in str(error)


def test_what_comes_after_a_goodbye_is_not_received(link: Link) -> None:
    link.peer.send_raw(
        server_frame(CLOSE, close_body(1001)) + server_frame(BINARY, b"never") + b"\xff" * 9
    )
    for _ in range(2):
        error = catch(lambda: link.transport.receive(soon()))
        assert isinstance(error, TransportClosed)
        assert error.code == 1001


@pytest.mark.parametrize("cut", [1, 2, 5])
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_an_end_in_the_middle_of_a_frame(link: Link, how: str, cut: int) -> None:
    link.peer.send_raw(server_frame(BINARY, b"whole") + server_frame(BINARY, b"half" * 40)[:cut])
    assert link.transport.receive(soon()) == b"whole"
    getattr(link.peer, how)()
    error = catch(lambda: link.transport.receive(soon()))
    assert type(error) is TransportClosed
    assert (error.code, error.clean) == (None, False)
    if how == "reset":
        assert isinstance(error.__cause__, ConnectionResetError)
        assert "reset" in str(error)


def test_an_end_between_fragments(link: Link) -> None:
    link.peer.send_frame(BINARY, b"half", final=False)
    link.peer.drop()
    assert isinstance(catch(lambda: link.transport.receive(soon())), TransportClosed)


def test_a_goodbye_between_fragments_is_clean(link: Link) -> None:
    link.peer.send_frame(BINARY, b"half", final=False)
    link.peer.close(1011)
    error = catch(lambda: link.transport.receive(soon()))
    assert isinstance(error, TransportClosed)
    assert (error.code, error.clean) == (1011, True)


def test_an_abort_is_not_blamed_on_the_backend(link: Link) -> None:
    link.transport.abort()
    error = catch(lambda: link.transport.receive(soon()))
    assert "on this side" in str(error)
    assert "backend" not in str(error)


def test_an_unconnected_transport_says_so() -> None:
    transport = WebSocketTransport(IpcConfig(4096, "t" * 20), IpcClientOptions())
    transport.send([b"x"])
    for step in (lambda: transport.flush(NOW), lambda: transport.receive(NOW)):
        assert "not connected" in str(catch(step))
    transport.close(1000, "", NOW)
    transport.abort()
    transport.dispose()


@pytest.mark.parametrize("deadline", [None, NOW])
def test_a_disposed_transport_raises_transport_errors(
    link: Link, deadline: Deadline | None
) -> None:
    before = descriptor_count()
    link.transport.send([b"x"])
    link.transport.dispose()
    if before is not None:
        assert descriptor_count() == before - 1
    assert isinstance(catch(lambda: link.transport.receive(deadline)), TransportClosed)
    link.transport.close(1000, "", NOW)
    link.transport.abort()
    assert isinstance(catch(lambda: link.transport.flush(NOW)), TransportError)


def test_dispose_does_not_wait_for_a_thread_that_a_fork_left_behind(link: Link) -> None:
    # In a forked child the lock may be held by a thread that exists in the parent only.
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with link.transport._ending:
            held.set()
            release.wait(10)

    holding = Background(hold)
    assert held.wait(5)
    started = time.monotonic()
    link.transport.dispose()
    assert time.monotonic() - started < 5
    release.set()
    holding.result()
    assert link.transport._socket is not None
    assert link.transport._socket.fileno() == -1


# --- Signals ---


@pytest.fixture
def alarms() -> Iterator[threading.Event]:
    """A signal every 5 ms, handled on the main thread; the event is set by the third."""
    third = threading.Event()
    count = 0

    def handle(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            third.set()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    yield third
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("deadline", [None, Deadline.after(3600)])
def test_signals_do_not_disturb_a_receive(
    link: Link, alarms: threading.Event, deadline: Deadline | None
) -> None:
    def answer() -> None:
        assert alarms.wait(5)
        link.peer.send(b"after three signals")

    answering = Background(answer)
    assert link.transport.receive(deadline) == b"after three signals"
    answering.result()


def test_signals_do_not_disturb_a_flush(link: Link, alarms: threading.Event) -> None:
    message = BIG
    count = fill(link, message)

    def read() -> list[bytes]:
        assert alarms.wait(5)
        return [link.peer.receive() for _ in range(count)]

    reading = Background(read)
    assert link.transport.flush(soon()) is True
    assert reading.result() == [message] * count


def test_an_exception_out_of_a_signal_handler_passes_through(link: Link) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            link.transport.receive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    link.peer.send(b"still alive")
    assert link.transport.receive(soon()) == b"still alive"


@pytest.mark.skipif(not hasattr(socket, "MSG_NOSIGNAL"), reason="no such flag on this system")
def test_a_broken_link_sends_no_broken_pipe_signal(link: Link) -> None:
    signals = []
    before = signal.signal(signal.SIGPIPE, lambda number, _: signals.append(number))
    try:
        link.transport.abort()
        link.transport.send([b"x"])
        assert isinstance(catch(lambda: link.transport.flush(NOW)), TransportClosed)
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert signals == []


# --- Both ends at full speed ---


def test_two_streams_that_cross_with_pings_between_do_not_lock_up(link: Link) -> None:
    count, message = 10, b"m" * 300_000
    writing_lock = threading.Lock()

    def drain() -> None:
        # What the owner of a transport does: write, unless another thread is at it.
        if writing_lock.acquire(blocking=False):
            try:
                link.transport.flush(NOW)
            finally:
                writing_lock.release()

    def write() -> None:
        for _ in range(count):
            with writing_lock:
                link.transport.send([message])
                assert link.transport.flush(soon())

    def serve(peer: RawPeer) -> None:
        for index in range(count):
            peer.send_frame(PING, str(index).encode())
            peer.send(message)

    link.transport.on_output_due = drain
    writing = Background(write)
    serving = Background(serve, link.peer)
    receiving = Background(lambda: [link.transport.receive(soon()) for _ in range(count)])
    messages = 0
    while messages < count:
        frame = link.peer.read_frame()
        messages += frame.opcode == BINARY
        assert frame.opcode in (BINARY, PONG)
    assert receiving.result() == [message] * count
    writing.result()
    serving.result()

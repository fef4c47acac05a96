"""Messages that nobody waits to send: written at once, bounded, the rest handed over."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import output as output_module
from opencode_sync.gateway.link import MemoryLink
from opencode_sync.gateway.output import Output
from opencode_sync.transport.base import TransportTimeout
from opencode_sync.transport.memory import memory_link
from tests.unit.gateway.doubles import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_left")


class Later:
    """Keeps the jobs for the test to run."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], object]] = []
        self.refuse = False

    def __call__(self, job: Callable[[], object]) -> bool:
        if not self.refuse:
            self.jobs.append(job)
        return not self.refuse


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(PATIENCE)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def output(pair: tuple[socket.socket, socket.socket], later: Later) -> Iterator[Output]:
    made = Output(pair[0], patience=PATIENCE, later=later)
    yield made
    made.abort()


def fill(sock: socket.socket) -> int:
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while size := sock.send(b"x" * 65536):
            filled += size
    return filled


def drain(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(1 << 20)
    return data


class TestOutput:
    def test_what_goes_at_once_needs_no_other_thread(
        self, output: Output, later: Later, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        output.add([b"one", b"two"])
        output.write_at_once()
        assert drain(pair[1], 6) == b"onetwo"
        assert later.jobs == []

    def test_what_does_not_go_is_left_to_another_thread(
        self, output: Output, later: Later, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, theirs = pair
        filled = fill(ours)
        output.add([b"more"])
        output.write_at_once()
        assert len(later.jobs) == 1
        drain(theirs, filled)
        later.jobs.pop()()
        assert drain(theirs, 4) == b"more"

    def test_at_once_is_no_more_than_a_little(
        self, output: Output, later: Later, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        """Even while the peer takes all: who brings events is not kept writing for others."""
        ours, theirs = pair
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        size = 3 * output_module._WRITE_SIZE
        output.add([b"x" * size])
        output.write_at_once()
        assert len(later.jobs) == 1
        assert output._size >= size - output_module._WRITE_SIZE
        assert not output.dead
        writing = threading.Thread(target=later.jobs.pop())
        writing.start()
        assert drain(theirs, size) == b"x" * size
        writing.join(PATIENCE)

    @pytest.mark.parametrize("refuse", [False, True])
    def test_nobody_writes_for_ever(
        self,
        output: Output,
        later: Later,
        pair: tuple[socket.socket, socket.socket],
        refuse: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(output_module, "_SHARE", 100_000)
        later.refuse = refuse
        output.add([b"x" * 250_000])
        writing = threading.Thread(target=output.write)
        writing.start()
        if refuse:  # then there is nobody else
            assert len(drain(pair[1], 250_000)) == 250_000
            writing.join(PATIENCE)
            return
        assert len(drain(pair[1], 100_000)) == 100_000
        writing.join(PATIENCE)
        for _ in range(2):
            assert len(later.jobs) == 1
            writing = threading.Thread(target=later.jobs.pop())
            writing.start()
            drain(pair[1], min(100_000, output._size))
            writing.join(PATIENCE)
        assert output._size == 0
        assert later.jobs == []

    def test_room_is_bounded_in_bytes_and_pieces(self, output: Output) -> None:
        assert output.has_room(64 << 20)  # a single one of any size
        output.add([b"x" * (4 << 20)])
        assert not output.has_room(1)
        with output._changed:
            output._strike(1)
        assert output.has_room(1)
        assert not output.has_room(2)
        with output._changed:
            output._strike(4 << 20)
        output.add([b"x"] * 4095)
        assert output.has_room(1)
        output.add([b"x"])
        assert not output.has_room(1)
        # Those who wait for room do not wait for these alone.
        waiting = threading.Thread(target=lambda: (output.wait_for_room(), output.wait_for_few()))
        waiting.start()
        waiting.join(PATIENCE)
        assert not waiting.is_alive()

    def test_finish_writes_on_what_another_thread_let_go(
        self,
        output: Output,
        pair: tuple[socket.socket, socket.socket],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(output_module, "_SHARE", 100_000)
        output.add([b"x" * 350_000])
        finishing = threading.Thread(target=output.finish, args=(Deadline.after(PATIENCE),))
        finishing.start()
        assert len(drain(pair[1], 350_000)) == 350_000
        finishing.join(PATIENCE)
        assert output._size == 0
        assert not output.dead

    def test_finish_ends_at_the_deadline(
        self, output: Output, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        fill(pair[0])
        output.add([b"x"])
        output.finish(Deadline.after(0.05))
        assert output.dead
        output.finish(Deadline(None))

    def test_finish_that_comes_too_late_harms_nobody(
        self, output: Output, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        fill(pair[0])
        output.add([b"x"])
        output.finish(NOW)
        assert output._size == 1
        assert not output.dead


class TestMemoryLink:
    def test_offers_are_bounded_by_what_the_client_has_not_received(self) -> None:
        transport, peer = memory_link()
        link = MemoryLink(peer, max_message_size=1 << 30)
        transport.connect(NOW)
        assert link.offer(b"x" * (8 << 20))  # a single one of any size
        assert not link.offer(b"y")
        assert link.offer(b"urgent", urgent=True)
        assert link.send(b"answer")
        for size in (8 << 20, 6, 6):
            assert len(transport.receive(NOW)) == size
        with pytest.raises(TransportTimeout):
            transport.receive(NOW)
        for _ in range(4):
            assert link.offer(b"x" * (1 << 20))
        assert not link.offer(b"y")
        transport.receive(NOW)
        assert link.offer(b"y")

    def test_ended_link_takes_nothing(self) -> None:
        transport, peer = memory_link()
        link = MemoryLink(peer, max_message_size=10)
        assert link.nudge()
        transport.abort()
        assert not link.nudge()
        assert not link.offer(b"x")
        assert not link.offer(b"x", urgent=True)

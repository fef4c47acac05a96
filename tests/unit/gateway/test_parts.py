"""Corners of the gateway that no well-meaning peer reaches."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.message import EncodeError
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import websocket
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import Link, MemoryLink
from opencode_sync.gateway.listener import Listener
from opencode_sync.gateway.output import _OFFERED_SIZE, Output
from opencode_sync.gateway.peers import Peers
from opencode_sync.gateway.sockets import wait_for
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.transport.base import TransportClosed, TransportTimeout
from opencode_sync.transport.memory import MemoryTransport, memory_link
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE, Held, ScriptedBackend, answer_of, request

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    logger.enable("opencode_sync")
    sink = logger.add(lines.append, level=0)
    yield lines
    logger.remove(sink)
    logger.disable("opencode_sync")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def workers() -> Iterator[WorkerPool]:
    pool = WorkerPool("pool")
    yield pool
    assert pool.close(Deadline.after(PATIENCE))


def peers_with(workers: WorkerPool, backend: ScriptedBackend | None = None, **limits: Any) -> Peers:
    dispatcher = Dispatcher(
        backend or ScriptedBackend(), request_timeout=PATIENCE, max_message_size=1 << 20
    )
    return Peers(
        dispatcher=dispatcher, workers=workers, token="token", limits=GatewayLimits(**limits)
    )


class BrokenLink(Link):
    """A link with a bug in it."""

    def __init__(self) -> None:
        self.aborted = threading.Event()
        self.disposed = threading.Event()

    def open(self, deadline: Deadline) -> None:
        raise ValueError("a bug")

    def trust(self) -> None: ...

    def receive(self, deadline: Deadline) -> bytes | None: ...

    def wait_for_room(self) -> None: ...

    def send(self, message: bytes) -> bool:
        return False

    def offer(self, message: bytes, *, urgent: bool = False) -> bool:
        return False

    def nudge(self) -> bool:
        return False

    def close(self, code: int, reason: str, deadline: Deadline) -> None: ...

    def abort(self) -> None:
        self.aborted.set()

    def dispose(self) -> None:
        self.disposed.set()


class TestPeers:
    def memory(self, peers: Peers) -> MemoryTransport:
        transport, peer = memory_link()
        peers.serve(MemoryLink(peer, max_message_size=1 << 20))
        transport.connect(NOW)
        return transport

    def ask(self, transport: MemoryTransport, *arguments: Any, **fields: Any) -> Any:
        transport.send([request(*arguments, **fields).SerializeToString()])
        transport.flush(NOW)
        return ipc_pb2.IpcServerMessage.FromString(transport.receive(Deadline.after(PATIENCE)))

    def test_bug_in_a_link_ends_that_peer_and_is_logged(
        self, workers: WorkerPool, log: list[str]
    ) -> None:
        peers = peers_with(workers)
        link = BrokenLink()
        assert peers.serve(link)
        assert link.disposed.wait(PATIENCE)
        assert link.aborted.is_set()
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)
        assert "for a reason it does not know" in "".join(log)
        assert "a bug" in "".join(log)

    def test_nobody_is_served_after_the_stop(self, workers: WorkerPool) -> None:
        peers = peers_with(workers)
        assert peers.stop(NOW, grace=NOW)
        link = BrokenLink()
        assert not peers.serve(link)
        assert link.aborted.is_set()
        assert link.disposed.is_set()

    def test_stop_without_workers_drops_the_peers(self, workers: WorkerPool) -> None:
        peers = peers_with(workers)
        transport = self.memory(peers)
        self.ask(transport, 1, "auth_handshake", token="token")
        workers.close(NOW)
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)
        with pytest.raises(TransportClosed):
            transport.receive(Deadline.after(PATIENCE))

    def test_burst_of_clients_loses_none(self, workers: WorkerPool) -> None:
        peers = peers_with(workers, max_unauthenticated=2)
        together = threading.Barrier(16)

        def work() -> bool:
            together.wait(PATIENCE)
            answer = self.ask(self.memory(peers), 1, "auth_handshake", token="token")
            return bool(answer.auth_handshake_response.success)

        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(work) for _ in range(16)]
            assert all(future.result(PATIENCE) for future in futures)
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)

    def test_stop_ends_the_wait_for_a_place(
        self, workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.peers._STRANGER_SECONDS", 2 * PATIENCE)
        peers = peers_with(workers, max_unauthenticated=1, handshake_timeout=2 * PATIENCE)
        self.memory(peers)
        link = BrokenLink()
        served: list[bool] = []
        waiting = threading.Thread(target=lambda: served.append(peers.serve(link)))
        waiting.start()
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)
        waiting.join(PATIENCE)
        assert served == [False]
        assert link.disposed.is_set()

    def test_oldest_stranger_makes_room(
        self, workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.peers._STRANGER_SECONDS", 0.01)
        peers = peers_with(workers, max_unauthenticated=2)
        first, second = self.memory(peers), self.memory(peers)
        third = self.memory(peers)
        with pytest.raises(TransportClosed):
            first.receive(Deadline.after(PATIENCE))
        for transport in (second, third):
            answer = self.ask(transport, 1, "auth_handshake", token="token")
            assert answer.auth_handshake_response.success
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)

    def test_answer_for_a_peer_that_left_is_dropped(self, workers: WorkerPool) -> None:
        held = Held()
        backend = ScriptedBackend()
        backend.script["check_health"] = held
        peers = peers_with(workers, backend, max_in_flight=1)
        transport = self.memory(peers)
        self.ask(transport, 1, "auth_handshake", token="token")
        for request_id in (2, 3, 4):
            transport.send([request(request_id, "check_health").SerializeToString()])
        transport.flush(NOW)
        held.wait_entered()
        transport.abort()
        for thread in list(peers._threads.values()):
            thread.join(PATIENCE)
        held.released.set()
        assert workers.close(Deadline.after(PATIENCE))
        assert backend.calls.count(("check_health",)) == 1  # what waited was not begun
        assert peers.stop(NOW, grace=NOW)

    def test_request_during_the_stop_is_refused(self, workers: WorkerPool) -> None:
        held = Held()
        backend = ScriptedBackend()
        backend.script["check_health"] = held
        peers = peers_with(workers, backend)
        transport = self.memory(peers)
        self.ask(transport, 1, "auth_handshake", token="token")
        transport.send([request(2, "check_health").SerializeToString()])
        transport.flush(NOW)
        held.wait_entered()
        (session,) = peers._threads
        stopping = threading.Thread(
            target=peers.stop, args=(Deadline.after(PATIENCE),), kwargs={"grace": Deadline(None)}
        )
        stopping.start()
        book = session._requests._book
        with book.changed:
            assert book.changed.wait_for(lambda: book.stopping, PATIENCE)
        answer = self.ask(transport, 3, "list_sessions")
        assert (answer.request_id, answer.error.message) == (3, "gateway is stopping")
        held.released.set()
        assert transport.receive(Deadline.after(PATIENCE))
        stopping.join(PATIENCE)
        assert ("list_sessions",) not in backend.calls

    def test_large_answers_for_one_peer_are_made_one_after_the_other(
        self, workers: WorkerPool
    ) -> None:
        held = Held([])
        backend = ScriptedBackend()
        backend.script["list_sessions"] = held
        backend.sessions_size = 9 << 20
        peers = peers_with(workers, backend)
        transport = self.memory(peers)
        self.ask(transport, 1, "auth_handshake", token="token")
        for request_id in (2, 3, 4):
            transport.send([request(request_id, "list_sessions").SerializeToString()])
        transport.flush(NOW)
        held.wait_entered()
        # The others wait, and hold up nothing small.
        assert self.ask(transport, 5, "check_health").check_health_response.healthy
        assert not held.entered.acquire(timeout=0.1)
        # They were not begun, which is what they are told at a stop.
        peers.stop(Deadline.after(1), grace=NOW)
        errors = {}
        for _ in range(3):
            answer = ipc_pb2.IpcServerMessage.FromString(transport.receive(NOW))
            errors[answer.request_id] = answer.error.message
        begun = [number for number, text in errors.items() if "it may have been done" in text]
        assert len(begun) == 1
        assert sorted(errors) == [2, 3, 4]
        held.released.set()
        assert workers.close(Deadline.after(PATIENCE))
        assert backend.calls.count(("list_sessions",)) == 1

    def test_large_answers_that_wait_are_made_in_the_end(self, workers: WorkerPool) -> None:
        backend = ScriptedBackend()
        backend.script["list_sessions"] = list
        backend.sessions_size = 9 << 20
        peers = peers_with(workers, backend)
        transport = self.memory(peers)
        self.ask(transport, 1, "auth_handshake", token="token")
        for request_id in range(2, 12):
            transport.send([request(request_id, "list_sessions").SerializeToString()])
        transport.flush(NOW)
        answers = [transport.receive(Deadline.after(PATIENCE)) for _ in range(10)]
        ids = sorted(ipc_pb2.IpcServerMessage.FromString(answer).request_id for answer in answers)
        assert ids == list(range(2, 12))
        assert peers.stop(Deadline.after(PATIENCE), grace=NOW)


class TestMemoryLink:
    def test_it_has_nothing_to_do_for_signs_of_life(self) -> None:
        transport, peer = memory_link()
        link = MemoryLink(peer, max_message_size=10)
        assert link.nudge()
        with pytest.raises(TransportTimeout):
            transport.receive(NOW)


class TestDispatcher:
    def test_lists_are_expected_to_be_as_large_as_the_last_and_what_came_since(self) -> None:
        backend = ScriptedBackend()
        backend.sessions_size = 12345
        dispatcher = Dispatcher(backend, request_timeout=1, max_message_size=1 << 20)
        asked = request(2, "list_sessions")
        create = request(3, "create_session", title="x" * 1000)
        dispatcher.answer(create)
        assert dispatcher.expected_size(asked) == 12345
        size = len(dispatcher.answer(asked))
        assert dispatcher.expected_size(asked) == size
        grown = size + len(dispatcher.answer(create))
        assert dispatcher.expected_size(asked) == grown
        assert 1000 < dispatcher.expected_size(create) < 1100

    def test_answer_that_cannot_be_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Huge:
            def SerializeToString(self) -> bytes:
                raise EncodeError("too large")

            def ByteSize(self) -> int:
                return 1 << 31

        dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=100)
        monkeypatch.setattr(dispatcher, "_answer", lambda *arguments: Huge())
        answer = ipc_pb2.IpcServerMessage.FromString(dispatcher.answer(request(2, "check_health")))
        assert answer.request_id == 2
        assert answer.error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert answer.error.message.startswith(f"the answer has {1 << 31} bytes")

    def test_chat_with_the_store_says_what_to_do(self) -> None:
        backend = ScriptedBackend()
        backend.name = "embedded"
        dispatcher = Dispatcher(backend, request_timeout=1, max_message_size=1000)
        answer = answer_of(dispatcher, request(2, "send_message"))
        assert answer.error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
        assert "start the gateway with --backend opencode" in answer.error.message


class TestSockets:
    @pytest.mark.parametrize("with_poll", [True, False])
    def test_waiting(
        self,
        pair: tuple[socket.socket, socket.socket],
        with_poll: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if not with_poll:
            monkeypatch.delattr(select, "poll", raising=False)
        ours, theirs = pair
        assert not wait_for(ours, Deadline.after(0.01))
        assert wait_for(ours, Deadline(None), to_write=True)
        theirs.send(b"x")
        assert wait_for(ours, Deadline(None))


class TestOutput:
    def later(self, job: Callable[[], object]) -> bool:
        return False

    def fill(self, ours: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while ours.send(b"x" * 65536):
                pass

    def test_peer_that_is_owed_something_and_has_no_thread_for_it_is_dropped(
        self, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, _ = pair
        self.fill(ours)
        output = Output(ours, patience=PATIENCE, later=self.later)
        output.add([b"pong"])
        output.write_at_once()
        assert output.dead
        output.add([b"more"])
        output.write()  # nothing is left of it

    def test_one_thread_writes_for_all(self, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, theirs = pair
        output = Output(ours, patience=PATIENCE, later=self.later)
        pieces = [bytes([number]) * (number * 1000) for number in range(200)]
        received = bytearray()

        def read() -> None:
            while data := theirs.recv(65536):
                received.extend(data)

        reader = threading.Thread(target=read)
        reader.start()
        for piece in pieces:
            output.add([piece])
        output.write()
        output.abort()
        reader.join(PATIENCE)
        assert received == b"".join(pieces)

    def test_writer_is_woken_by_an_abort(self, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, _ = pair
        self.fill(ours)
        output = Output(ours, patience=PATIENCE, later=self.later)
        output.add([b"x"])
        writer = threading.Thread(target=output.write)
        writer.start()
        with output._changed:
            assert output._changed.wait_for(lambda: output._writing, PATIENCE)
        output.write()  # leaves it to the other
        output.abort()
        output.wait_unused(Deadline.after(PATIENCE))
        writer.join(PATIENCE)
        assert not writer.is_alive()


class TestWebSocketLink:
    def test_signs_of_life_end_with_the_link(
        self, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        link = websocket.WebSocketLink(
            pair[0],
            port=1,
            max_message_size=1,
            send_timeout=1,
            ping_interval=1,
            ping_timeout=1,
            later=lambda job: True,
        )
        assert not link.nudge()  # not open yet: nothing is sent
        assert not link.offer(b"")
        assert not link.send(b"")
        link.abort()
        link.dispose()
        assert pair[1].recv(1) == b""

    def test_replies_leave_together_before_the_reader_waits(
        self, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        ours, theirs = pair
        link = websocket.WebSocketLink(
            ours,
            port=1,
            max_message_size=9,
            send_timeout=1,
            ping_interval=PATIENCE,
            ping_timeout=PATIENCE,
            later=lambda job: True,
        )
        theirs.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        link.open(Deadline.after(PATIENCE))
        assert theirs.recv(65536).startswith(b"HTTP/1.1 101")
        assert link.reply(b"one")
        assert link.reply(b"two")
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        link.push()
        assert theirs.recv(65536) == b"\x82\x03one\x82\x03two"
        assert link.reply(b"six")
        with pytest.raises(TransportTimeout):
            link.receive(NOW)
        assert theirs.recv(65536) == b"\x82\x03six"
        assert link.offer(bytes(_OFFERED_SIZE + (1 << 24)))  # more than the sockets take
        assert not link.reply(b"no room")
        theirs.close()
        link.abort()
        assert not link.reply(b"too late")
        link.dispose()

    def test_what_websockets_logs_goes_where_we_log(self, log: list[str]) -> None:
        websocket._websockets_logger.error("parser %s", "failed")
        websocket._websockets_logger.info("connection open")
        assert [line for line in log if "websockets: parser failed" in line]
        assert not [line for line in log if "connection open" in line]


class TestListener:
    def test_connection_that_cannot_be_taken_is_closed(self) -> None:
        taken = threading.Semaphore(0)

        def take(connection: socket.socket) -> None:
            taken.release()
            raise MemoryError

        listener = Listener(0, take)
        listener.start()
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", listener.port), PATIENCE) as raw:
                assert taken.acquire(timeout=PATIENCE)
                assert raw.recv(1) == b""
        listener.stop(Deadline.after(PATIENCE))

    def test_accept_thread_stuck_in_taking_is_left_in_time(self) -> None:
        entered, go_on = threading.Event(), threading.Event()

        def take(connection: socket.socket) -> None:
            connection.close()
            entered.set()
            assert go_on.wait(PATIENCE)

        listener = Listener(0, take)
        listener.start()
        with socket.create_connection(("127.0.0.1", listener.port), PATIENCE):
            assert entered.wait(PATIENCE)
            listener.stop(Deadline.after(0.01))
            go_on.set()
            listener._thread.join(PATIENCE)
        with pytest.raises(OSError, match=r"."):
            socket.create_connection(("127.0.0.1", listener.port), 1).close()

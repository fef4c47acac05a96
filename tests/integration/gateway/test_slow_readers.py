"""Clients that do not read what is pushed to them cost the others nothing, and little memory."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from opencode_sync.gateway import Gateway
from opencode_sync.wire import ext_event_pb2, ext_prompt_pb2
from tests.unit.gateway.doubles import PATIENCE, Closed, Peer, StreamingBackend, WebSocketPeer

Start = Callable[..., Gateway]
Connect = Callable[[Gateway], Peer]

LARGE = "x" * 100_000


@pytest.fixture
def backend() -> StreamingBackend:
    return StreamingBackend()


def event(number: int, text: str = LARGE) -> ext_event_pb2.IpcEvent:
    return ext_event_pb2.IpcEvent(id=f"{number}", properties_json=text)


def subscribe(peer: Peer, request_id: int = 2) -> None:
    assert peer.ask(request_id, "subscribe").HasField("subscribed")


def publish(backend: StreamingBackend, count: int) -> None:
    for number in range(count):
        for stream in backend.streams:
            stream.push(event(number))


def read_until_end(peer: Peer) -> tuple[list[int], int, Any]:
    """Return the events' numbers, how many were missed, and what came in the end."""
    numbers: list[int] = []
    missed = 0
    while (answer := peer.receive()).HasField("event"):
        missed += answer.event.missed
        numbers.append(int(answer.event.event.id))
        # Whatever is missing is missing exactly here.
        assert len(numbers) + missed == numbers[-1] + 1
    return numbers, missed, answer


def test_stalled_subscriber_holds_up_nobody_and_is_dropped(
    start: Start, websocket_peer: Callable[..., WebSocketPeer], backend: StreamingBackend
) -> None:
    gateway = start(send_timeout=0.5)
    stalled, other = websocket_peer(gateway), websocket_peer(gateway)
    subscribe(stalled)
    subscribe(other)
    received: list[int] = []
    window = threading.Semaphore(20)

    def read() -> None:
        while len(received) < 300:
            received.append(int(other.receive().event.event.id))
            window.release()

    reader = threading.Thread(target=read)
    reader.start()
    slowest = 0.0
    for number in range(300):
        # As fast as the other reads, so that it misses nothing.
        assert window.acquire(timeout=PATIENCE)
        for stream in backend.streams:
            started = time.monotonic()
            stream.push(event(number))
            slowest = max(slowest, time.monotonic() - started)
    reader.join(PATIENCE)
    assert received == list(range(300))
    assert slowest < 0.4  # less than the patience with the stalled one
    assert other.ask(3, "list_sessions").HasField("session_list")
    deadline = time.monotonic() + PATIENCE
    while len(gateway._peers._threads) > 1:
        assert time.monotonic() < deadline
        assert other.ask(4, "check_health").HasField("check_health_response")
    with pytest.raises(Closed):
        read_until_end(stalled)
    # Its subscription has ended with it.
    while not backend.streams[0].closed.is_set():
        assert time.monotonic() < deadline
        assert other.ask(5, "check_health").HasField("check_health_response")
    assert not backend.streams[1].closed.is_set()


def test_who_reads_late_learns_what_is_missing_and_where(
    start: Start, connect: Connect, backend: StreamingBackend
) -> None:
    peer = connect(start())
    subscribe(peer)
    publish(backend, 300)  # 30 MB
    collected: list[Any] = []
    reader = threading.Thread(target=lambda: collected.append(read_until_end(peer)))
    reader.start()
    # Until one goes through again, which says what is missing before it.
    (stream,) = backend.streams
    number = 300
    deadline = time.monotonic() + PATIENCE
    while stream.sink._missed:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        stream.push(event(number))
        number += 1
    peer.send(3, "unsubscribe", request_id=2)
    reader.join(PATIENCE)
    ((numbers, missed, end),) = collected
    assert end.subscription_end.reason == "ended by the client"
    assert missed > 0
    assert len(numbers) + missed == number
    assert peer.receive().unsubscribe_response.found


def test_what_waits_for_one_client_has_a_bound(
    start: Start, connect: Connect, backend: StreamingBackend
) -> None:
    gateway = start()
    peer = connect(gateway)
    for request_id in range(2, 12):
        subscribe(peer, request_id)
    publish(backend, 100)  # 100 MB in all
    (served,) = gateway._peers._threads
    link = served._link
    waiting = link._output._size if hasattr(link, "_output") else link._peer.unread
    assert waiting <= 4 << 20
    # Requests and controls go on as before, in their turn.
    peer.send(50, "unsubscribe", request_id=2)
    peer.send(51, "list_sessions")
    wanted = {50: "unsubscribe_response", 51: "session_list", 2: "subscription_end"}
    while wanted:
        answer = peer.receive()
        kind = answer.WhichOneof("payload")
        if kind != "event":
            assert wanted.pop(answer.request_id) == kind


def test_many_small_events_have_a_bound_too(
    start: Start, websocket_peer: Callable[..., WebSocketPeer], backend: StreamingBackend
) -> None:
    gateway = start()
    peer = websocket_peer(gateway, sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)])
    subscribe(peer)
    (served,) = gateway._peers._threads
    (stream,) = backend.streams
    # The system would hold hundreds of thousands of them.
    served._link._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    deadline = time.monotonic() + 3 * PATIENCE
    while not stream.sink._missed:  # type: ignore[attr-defined]
        for number in range(1000):
            stream.push(event(number, ""))
        assert time.monotonic() < deadline
    assert len(served._link._output._pieces) <= 4096
    # The reader is not held up by them.
    peer.send(3, "cancel", request_id=2)
    assert stream.closed.wait(PATIENCE)


def test_run_says_how_much_was_missed_at_its_end(
    start: Start, connect: Connect, backend: StreamingBackend
) -> None:
    finished = threading.Event()

    def run(asked: Any, sink: Any, cancellation: Any) -> Any:
        for number in range(300):
            sink.event(event(number))
        finished.set()
        return ext_prompt_pb2.IpcRunResult(finish="stop")

    backend.script["prompt"] = run
    peer = connect(start())
    peer.send(2, "prompt")
    assert finished.wait(PATIENCE)
    numbers, missed, answer = read_until_end(peer)
    assert answer.run_result.finish == "stop"
    assert answer.run_result.missed > 0
    assert len(numbers) + missed + answer.run_result.missed == 300


def test_event_larger_than_a_message_is_missed(
    start: Start, connect: Connect, backend: StreamingBackend
) -> None:
    peer = connect(start(max_message_size=1000))
    subscribe(peer)
    (stream,) = backend.streams
    stream.push(event(0, "small"))
    stream.push(event(1, "x" * 1000))
    stream.push(event(2, "small"))
    stream.push(event(3, "x" * 1000))
    stream.end("over")
    numbers, missed = [], 0
    for _ in range(2):
        push = peer.receive().event
        numbers.append(int(push.event.id))
        missed += push.missed
    end = peer.receive()
    assert (numbers, missed) == ([0, 2], 1)
    assert end.subscription_end.reason == "over (1 events before the end were dropped)"

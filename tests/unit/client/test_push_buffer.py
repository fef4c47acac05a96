"""The buffer between the reader and who reads a stream: bounded, ordered, exact about gaps."""

from __future__ import annotations

import threading

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.push_buffer import PushBuffer
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from tests.support.backend import WAIT
from tests.support.threads import Background, together


def event(number: int) -> IpcEvent:
    return IpcEvent(id=str(number))


def drain(buffer: PushBuffer) -> list[str | int]:
    """Everything that is there: the ids of events, and gaps as numbers."""
    found: list[str | int] = []
    while (item := buffer.take(NOW)) is not None:
        found.append(item if isinstance(item, int) else item.id)
    return found


def test_it_keeps_the_order() -> None:
    buffer = PushBuffer(100, 1000)
    for number in range(50):
        buffer.put(event(number), 1)
    assert drain(buffer) == [str(number) for number in range(50)]


def test_what_does_not_fit_is_counted_where_it_is_missing() -> None:
    buffer = PushBuffer(2, 1000)
    for number in range(5):
        buffer.put(event(number), 1)  # 2, 3 and 4 are dropped
    taken = buffer.take(NOW)
    assert isinstance(taken, IpcEvent)
    assert taken.id == "0"
    buffer.put(event(5), 1)
    buffer.put(event(6), 1)  # dropped
    assert drain(buffer) == ["1", 3, "5", 1]
    buffer.put(event(7), 1)
    assert drain(buffer) == ["7"]


def test_bytes_are_bounded_as_well() -> None:
    buffer = PushBuffer(100, 10)
    for number, size in enumerate([4, 6, 1, 1]):
        buffer.put(event(number), size)
    assert drain(buffer) == ["0", "1", 2]
    buffer.put(event(4), 10)
    assert drain(buffer) == ["4"]


def test_one_event_that_is_larger_than_all_room_passes() -> None:
    buffer = PushBuffer(100, 10)
    buffer.put(event(0), 10_000)
    buffer.put(event(1), 1)
    assert drain(buffer) == ["0", 1]


def test_a_gap_of_the_backends_stands_before_its_event_and_joins_one_of_ours() -> None:
    buffer = PushBuffer(2, 1000)
    buffer.put(event(0), 1, missed=3)
    buffer.put(event(1), 1)
    buffer.put(event(2), 1, missed=4)  # dropped as well
    assert drain(buffer) == [3, "0", "1", 5]


def test_a_gap_at_the_end_outlives_the_end() -> None:
    buffer = PushBuffer(2, 1000)
    buffer.put(event(0), 1)
    buffer.gap(2)
    buffer.gap(0)
    buffer.finish()
    buffer.gap(5)
    buffer.put(event(1), 1)
    assert not buffer.drained
    assert drain(buffer) == ["0", 2]
    assert buffer.drained


def test_after_discarding_nothing_comes() -> None:
    buffer = PushBuffer(2, 1000)
    buffer.put(event(0), 1)
    buffer.discard()
    buffer.put(event(1), 1)
    assert buffer.take(Deadline(None)) is None
    assert buffer.drained


def test_a_wait_ends_with_an_event_with_the_end_and_with_the_deadline() -> None:
    buffer = PushBuffer(10, 1000)
    first = Background(buffer.take, Deadline.after(WAIT))
    buffer.put(event(0), 1)
    taken = first.result()
    assert isinstance(taken, IpcEvent)
    assert buffer.take(Deadline.after(0.01)) is None
    assert not buffer.drained
    second = Background(buffer.take, Deadline(None))
    buffer.finish()
    assert second.result() is None


@pytest.mark.parametrize("how", ["open", "finish", "discard"])
def test_waiting_for_the_beginning(how: str) -> None:
    buffer = PushBuffer(10, 1000)
    assert not buffer.wait_opened(Deadline.after(0.01))
    waiting = Background(buffer.wait_opened, Deadline.after(WAIT))
    getattr(buffer, how)()
    waiting.result()
    assert buffer.opened is (how == "open")


def test_looking_again_and_again_leaves_nothing_behind() -> None:
    buffer = PushBuffer(10, 1000)
    for _ in range(100):
        assert buffer.take(Deadline.after(0.0001)) is None
    assert buffer._bells == []


def test_every_event_goes_to_one_consumer_only() -> None:
    buffer = PushBuffer(100_000, 10_000_000)

    def consume(_: int) -> list[int]:
        mine = []
        while True:
            item = buffer.take(Deadline.after(WAIT))
            if item is None:
                return mine
            assert isinstance(item, IpcEvent)
            mine.append(int(item.id))

    consumers = together(4, consume)
    for number in range(5_000):
        buffer.put(event(number), 1)
    buffer.finish()
    taken = [consumer.result() for consumer in consumers]
    assert sorted(number for mine in taken for number in mine) == list(range(5_000))
    for mine in taken:
        assert mine == sorted(mine)


def test_the_reader_is_done_at_once_whatever_consumers_do() -> None:
    buffer = PushBuffer(10, 1000)
    done = threading.Event()

    def read() -> None:
        for number in range(100_000):
            buffer.put(event(number), 1)
        done.set()

    reader = Background(read)
    assert done.wait(WAIT)
    reader.result()
    assert drain(buffer) == [*map(str, range(10)), 99_990]

"""Following a stream: in batches, with backpressure, until its end or until it is called off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, Final, Self

import pytest

from opencode_sync.errors import IpcConnectionError, IpcSlowConsumerError
from tests.desktop.dispatch.manual import WAIT, Log, ManualDispatcher

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

_END: Final = object()


class Stream:
    """As this package's streams: a context manager, and an iterator that another thread ends."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.reading = threading.Semaphore(0)
        self.entered = threading.Event()
        self.closed = threading.Event()

    def __enter__(self) -> Self:
        self.entered.set()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        self.reading.release()
        item = self._items.get(timeout=WAIT)
        if isinstance(item, BaseException):
            raise item
        if item is _END:
            raise StopIteration
        number: int = item
        return number

    def bring(self, *items: object) -> None:
        for item in items:
            self._items.put(item)

    def end(self) -> None:
        self._items.put(_END)

    def close(self) -> None:
        self.closed.set()
        self.end()

    def wait_read(self, times: int) -> None:
        """Wait until the next item has been asked for so often."""
        for _ in range(times):
            assert self.reading.acquire(timeout=WAIT)


class Seen:
    """What was told, and by whom."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.threads: set[threading.Thread] = set()
        self.ended = threading.Event()

    def items(self, items: Sequence[int]) -> None:
        self.told.append(list(items))
        self.threads.add(threading.current_thread())

    def missed(self, number: int) -> None:
        self.told.append(f"{number} missed")
        self.threads.add(threading.current_thread())

    def end(self, error: BaseException | None) -> None:
        self.told.append(error)
        self.threads.add(threading.current_thread())
        self.ended.set()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def stream() -> Stream:
    return Stream()


def followers() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("opencode-sync-follow-")
    ]


def test_items_and_the_end_arrive_here_and_are_read_elsewhere(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    delivery = ui.follow(lambda: stream, seen.items, seen.end)
    stream.bring(1)
    ui.run_until(lambda: seen.told == [[1]])
    assert len(followers()) == 1
    assert not delivery.done
    stream.bring(2)
    ui.run_until(lambda: seen.told == [[1], [2]])
    stream.end()
    ui.run_until(seen.ended.is_set)
    assert seen.told == [[1], [2], None]
    assert seen.threads == {threading.current_thread()}
    assert delivery.done
    assert stream.closed.is_set()


def test_what_comes_while_the_toolkit_is_busy_arrives_together(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    ui.follow(lambda: stream, seen.items, seen.end)
    stream.bring(1, 2, 3)
    stream.wait_read(4)
    ui.run_dry()
    assert seen.told == [[1, 2, 3]]


def test_reading_waits_for_a_toolkit_that_does_not_take(stream: Stream, seen: Seen) -> None:
    """One batch waits, and nothing more is read: neither memory nor the toolkit is flooded."""
    with ManualDispatcher(batch=3) as ui:
        ui.follow(lambda: stream, seen.items, seen.end)
        stream.bring(*range(1, 9))
        stream.wait_read(4)  # the fourth was read, and there is no room for it
        assert not stream.reading.acquire(timeout=0.05), "it reads on"
        ui.run_until(lambda: bool(seen.told))
        assert seen.told == [[1, 2, 3]]
        stream.end()
        ui.run_until(seen.ended.is_set)
    numbers = [number for batch in seen.told if isinstance(batch, list) for number in batch]
    assert numbers == list(range(1, 9))
    assert all(len(batch) <= 3 for batch in seen.told if isinstance(batch, list))


def test_a_callback_that_runs_a_loop_gets_nothing_more_before_it_returns(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    """A dialog over one event is answered before the next event is told."""
    inner: list[object] = []

    def take(items: Sequence[int]) -> None:
        seen.items(items)
        if items == [1]:
            stream.bring(2)
            stream.wait_read(2)
            ui.run_dry()
            inner.extend(seen.told)

    ui.follow(lambda: stream, take, seen.end)
    stream.wait_read(1)
    stream.bring(1)
    ui.run_until(lambda: len(seen.told) == 2)
    assert inner == [[1]]
    assert seen.told == [[1], [2]]


def test_a_callback_that_raises_is_reported_and_the_next_batch_arrives(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    error = ValueError("a user's mistake")

    def take(items: Sequence[int]) -> None:
        seen.items(items)
        if items == [1]:
            raise error

    ui.follow(lambda: stream, take, seen.end)
    stream.bring(1)
    ui.run_until(lambda: seen.told == [[1]])
    assert ui.take_reported() == [error]
    stream.bring(2)
    ui.run_until(lambda: seen.told == [[1], [2]])


def test_the_end_is_told_after_all_items(stream: Stream, seen: Seen) -> None:
    """Also when more came while a callback was running."""

    def take(items: Sequence[int]) -> None:
        seen.items(items)
        if items == [1]:
            stream.bring(2)
            stream.end()
            stream.wait_read(3)

    with ManualDispatcher() as ui:
        ui.follow(lambda: stream, take, seen.end)
        stream.bring(1)
        ui.run_until(seen.ended.is_set)
    assert seen.told == [[1], [2], None]


def test_what_is_missing_is_told_where_it_is_missing_and_the_stream_goes_on(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    ui.follow(lambda: stream, seen.items, seen.end, missed=seen.missed)
    stream.bring(1, 2, IpcSlowConsumerError("too slow", missed=17), 3)
    stream.end()
    ui.run_until(seen.ended.is_set)
    flat = [each for part in seen.told for each in (part if isinstance(part, list) else [part])]
    assert flat == [1, 2, "17 missed", 3, None]


def test_what_is_missing_and_nobody_asked_for_is_logged(
    ui: ManualDispatcher, stream: Stream, seen: Seen, log: Log
) -> None:
    ui.follow(lambda: stream, seen.items, seen.end)
    stream.bring(IpcSlowConsumerError("too slow", missed=17))
    stream.end()
    ui.run_until(seen.ended.is_set)
    assert log.at("WARNING") == ["17 events are missing: they came faster than they were taken"]


def test_an_error_of_the_stream_is_its_end(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    error = IpcConnectionError("lost")
    ui.follow(lambda: stream, seen.items, seen.end)
    stream.bring(1, error)
    ui.run_until(seen.ended.is_set)
    assert seen.told == [[1], error]
    assert stream.closed.is_set()


def test_a_stream_that_does_not_open_ends_with_the_reason(ui: ManualDispatcher, seen: Seen) -> None:
    error = IpcConnectionError("nobody there")

    def open_it() -> Stream:
        raise error

    ui.follow(open_it, seen.items, seen.end)
    ui.run_until(seen.ended.is_set)
    assert seen.told == [error]


def test_a_thread_that_cannot_be_started_is_an_error_at_once(
    ui: ManualDispatcher, stream: Stream, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            ui.follow(lambda: stream, seen.items, seen.end)
    assert ui.close()
    assert not stream.entered.is_set()


# --- Calling it off ---


def test_cancelling_ends_a_read_that_waits(
    ui: ManualDispatcher, stream: Stream, seen: Seen, log: Log
) -> None:
    delivery = ui.follow(lambda: stream, seen.items, seen.end)
    stream.wait_read(1)
    delivery.cancel()
    delivery.cancel()
    assert delivery.done
    assert ui.close(WAIT), "its thread did not end"
    assert followers() == []
    assert seen.told == []
    assert stream.closed.is_set()


def test_cancelling_drops_what_was_posted(ui: ManualDispatcher, stream: Stream, seen: Seen) -> None:
    delivery = ui.follow(lambda: stream, seen.items, seen.end, missed=seen.missed)
    stream.bring(1)
    stream.wait_read(2)
    delivery.cancel()
    ui.run_dry()
    assert seen.told == []


def test_cancelling_drops_a_gap_and_an_end_that_were_posted(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    gap = ui.follow(lambda: stream, seen.items, seen.end, missed=seen.missed)
    stream.bring(IpcSlowConsumerError("too slow", missed=1))
    stream.wait_read(2)
    gap.cancel()
    end = ui.follow(lambda: nullcontext(()), seen.items, seen.end)
    for thread in threading.enumerate():
        if thread.name.startswith("opencode-sync-follow-"):
            thread.join(WAIT)
    end.cancel()
    ui.run_dry()
    assert seen.told == []


def test_cancelling_frees_a_reader_that_waits_for_the_toolkit(stream: Stream, seen: Seen) -> None:
    with ManualDispatcher(batch=1) as ui:
        delivery = ui.follow(lambda: stream, seen.items, seen.end)
        stream.bring(1, 2)
        stream.wait_read(2)
        delivery.cancel()
        assert ui.close(WAIT), "its thread did not end"
    assert seen.told == []


def test_cancelling_while_it_opens_closes_it_as_soon_as_it_is_open(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    opening, may_open = threading.Event(), threading.Event()

    def open_it() -> Stream:
        opening.set()
        assert may_open.wait(WAIT)
        return stream

    delivery = ui.follow(open_it, seen.items, seen.end)
    assert opening.wait(WAIT)
    delivery.cancel()
    assert not ui.close(0.01), "its thread cannot have ended"
    may_open.set()
    assert ui.close(WAIT)
    assert stream.closed.is_set()
    assert not stream.reading.acquire(timeout=0)


def test_a_stream_whose_cancel_does_not_wait_is_ended_by_that(
    ui: ManualDispatcher, seen: Seen
) -> None:
    class Run(Stream):
        cancelled = threading.Event()

        def cancel(self) -> None:
            self.cancelled.set()
            self.end()

    run = Run()
    delivery = ui.follow(lambda: run, seen.items, seen.end)
    run.wait_read(1)
    delivery.cancel()
    assert ui.close(WAIT)
    assert run.cancelled.is_set()


def test_closing_does_not_wait_for_a_stream_that_ends_slowly(
    ui: ManualDispatcher, seen: Seen
) -> None:
    """On a toolkit's thread that would be felt."""
    may_close = threading.Event()

    class Slow(Stream):
        def close(self) -> None:
            assert may_close.wait(WAIT)
            super().close()

    slow = Slow()
    ui.follow(lambda: slow, seen.items, seen.end)
    slow.wait_read(1)
    assert not ui.close()
    may_close.set()
    assert ui.close(WAIT)


@pytest.mark.parametrize("failing", [False, True])
def test_what_cannot_be_ended_from_outside_ends_with_its_next_item(
    ui: ManualDispatcher, seen: Seen, log: Log, failing: bool
) -> None:
    """A generator: nobody may close it while it runs."""
    reading, go_on = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        reading.set()
        assert go_on.wait(WAIT)
        yield 1
        pytest.fail("nobody wants a second one")

    @contextmanager
    def opened() -> Iterator[Iterator[int]]:
        yield numbers() if failing else map(int, numbers())

    delivery = ui.follow(opened, seen.items, seen.end)
    assert reading.wait(WAIT)
    delivery.cancel()
    go_on.set()
    assert ui.close(WAIT)
    assert seen.told == []
    if failing:
        assert any("could not be ended from outside" in text for text in log.at("DEBUG"))


def test_without_a_thread_to_end_it_a_stream_ends_with_its_next_item(
    ui: ManualDispatcher,
    stream: Stream,
    seen: Seen,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when Python ends, and starts no thread any more."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    delivery = ui.follow(lambda: stream, seen.items, seen.end)
    stream.wait_read(1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        delivery.cancel()
    assert not ui.close()
    stream.bring(1)
    assert ui.close(WAIT)
    assert seen.told == []
    assert any("only with its next item" in text for text in log.at("DEBUG"))


def test_an_error_after_it_was_called_off_is_told_to_nobody(
    ui: ManualDispatcher, seen: Seen, log: Log
) -> None:
    class Lost(Stream):
        def close(self) -> None:
            self.bring(IpcConnectionError("the end of it"))

    lost = Lost()
    delivery = ui.follow(lambda: lost, seen.items, seen.end)
    lost.wait_read(1)
    delivery.cancel()
    assert ui.close(WAIT)
    assert seen.told == []
    assert "a stream that was called off ended with: the end of it" in log.at("DEBUG")


def test_a_callback_may_call_it_off(ui: ManualDispatcher, stream: Stream, seen: Seen) -> None:
    cancel: list[Callable[[], None]] = []

    def take(items: Sequence[int]) -> None:
        seen.items(items)
        stream.bring(2)
        stream.wait_read(1)
        cancel[0]()

    stream.bring(1)
    cancel.append(ui.follow(lambda: stream, take, seen.end).cancel)
    ui.run_until(lambda: bool(seen.told))
    assert ui.close(WAIT)
    assert seen.told == [[1]]


def test_a_closed_dispatcher_opens_nothing(ui: ManualDispatcher, stream: Stream) -> None:
    ui.close()
    assert ui.follow(lambda: stream, print, print).done
    assert not stream.entered.is_set()
    assert followers() == []


def test_the_thread_that_reads_may_close_the_dispatcher(
    ui: ManualDispatcher, stream: Stream, seen: Seen
) -> None:
    def open_it() -> Stream:
        assert not ui.close(), "its own thread has not ended"
        return stream

    ui.follow(open_it, seen.items, seen.end)
    assert stream.closed.wait(WAIT)
    assert ui.close(WAIT)
    assert seen.told == []

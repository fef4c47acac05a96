"""``Sender``: one writer at a time, nobody waiting, nothing lost and nothing sent in vain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opencode_sync import InMemoryMetrics
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.keeper import Keeper
from opencode_sync.metered import MeteredSender
from opencode_sync.transport.base import TransportClosed, TransportError
from tests.support.backend import WAIT
from tests.support.leaks import eventually
from tests.support.threads import Background, together
from tests.unit.client.doubles import FakeTransport, make_call, no_thread


class Bench:
    """A sender between a fake transport and a list of what broke."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.metrics = InMemoryMetrics()
        self.keeper = Keeper("opencode-sync-keeper-of-a-test")
        self.keeper.open()
        self.broken: list[TransportError] = []
        self.sender = MeteredSender(
            self.metrics,
            self.transport,
            name="opencode-sync-writer-of-a-test",
            keeper=self.keeper,
            on_broken=self.broken.append,
        )

    def writers(self) -> int:
        return sum(t.name == "opencode-sync-writer-of-a-test" for t in threading.enumerate())


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.transport.abort()
    assert bench.sender.retire(Deadline.after(WAIT))
    bench.keeper.stop()
    bench.keeper.wait_ended(Deadline.after(WAIT))


def test_a_message_is_written_at_once_and_marked_as_sent_first(bench: Bench) -> None:
    call = make_call()
    seen: list[bool] = []
    bench.transport.before_flush = lambda: seen.append(call.sent)
    bench.sender.submit(call, b"one")
    assert bench.transport.written == [b"one"]
    assert seen == [True]
    assert bench.metrics.snapshot().operations["check_health"].sent == 1
    assert bench.writers() == 0


def test_a_call_that_has_ended_is_not_written(bench: Bench) -> None:
    call = make_call()
    assert call.cancel()
    bench.sender.submit(call, b"nobody wants it")
    assert bench.transport.written == []
    assert bench.metrics.snapshot().operations == {}


def test_who_finds_a_writer_at_work_leaves_his_message_to_him(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stop_once() -> None:
        bench.transport.before_flush = lambda: None
        inside.set()
        assert go_on.wait(WAIT)

    bench.transport.before_flush = stop_once
    first = Background(bench.sender.submit, make_call(), b"one")
    assert inside.wait(WAIT)
    bench.sender.submit(make_call(), b"two")  # returns although the writer stands still
    bench.sender.submit(make_call(), b"three")
    assert bench.transport.written == []
    go_on.set()
    first.result()
    assert bench.transport.written == [b"one", b"two", b"three"]


def test_many_threads_lose_nothing_and_keep_each_ones_order(bench: Bench) -> None:
    def submit(index: int) -> None:
        for step in range(100):
            bench.sender.submit(make_call(), b"%d/%d" % (index, step))

    for job in together(8, submit):
        job.result()
    bench.sender.drain()
    assert len(bench.transport.written) == 800
    for index in range(8):
        mine = [m for m in bench.transport.written if m.startswith(b"%d/" % index)]
        assert mine == [b"%d/%d" % (index, step) for step in range(100)]


def test_large_messages_go_out_in_several_pieces(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def note() -> None:
        sizes.append(len(bench.transport.output))
        if len(sizes) == 1:
            inside.set()
            assert go_on.wait(WAIT)

    bench.transport.before_flush = note
    first = Background(bench.sender.submit, make_call(), b"first")
    assert inside.wait(WAIT)
    for _ in range(4):
        bench.sender.submit(make_call(), bytes(40_000))
    go_on.set()
    first.result()
    assert sizes == [1, 2, 2]


# --- Slow peers ---


def test_a_slow_peer_holds_nobody_up_and_gets_all_when_it_takes_it(bench: Bench) -> None:
    bench.transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    bench.sender.submit(make_call(), b"two")
    assert bench.transport.written == []
    bench.transport.resume()
    assert eventually(lambda: bench.transport.written == [b"one", b"two"])
    assert eventually(lambda: bench.writers() == 0)
    bench.sender.submit(make_call(), b"three")
    assert bench.transport.written == [b"one", b"two", b"three"]


def test_a_slow_peer_costs_one_thread_and_no_more(bench: Bench) -> None:
    bench.transport.stuck = True
    for job in together(8, lambda index: bench.sender.submit(make_call(), b"%d" % index)):
        job.result()
    assert bench.writers() == 1


def test_a_call_that_ends_while_it_queues_behind_a_slow_peer_is_not_sent(bench: Bench) -> None:
    bench.transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    late = make_call()
    bench.sender.submit(late, b"two")
    assert late.sent is False
    assert late.cancel()
    bench.transport.resume()
    assert eventually(lambda: bench.transport.written == [b"one"])
    bench.sender.submit(make_call(), b"three")
    assert eventually(lambda: bench.transport.written == [b"one", b"three"])


def test_what_is_handed_in_as_the_patient_thread_ends_is_sent_all_the_same(bench: Bench) -> None:
    """It has looked at the queue and found nothing; it has not let go of the lock yet."""
    looked, go_on = threading.Event(), threading.Event()

    class Watched(FakeTransport):
        @property
        def output_due(self) -> bool:
            due = super().output_due
            mine = threading.current_thread().name == "opencode-sync-writer-of-a-test"
            if mine and not due and not looked.is_set() and self.written:
                looked.set()
                assert go_on.wait(WAIT)
            return due

    bench.transport = transport = Watched()
    bench.sender._transport = transport
    transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    transport.resume()
    assert looked.wait(WAIT)
    bench.sender.submit(make_call(), b"two")
    go_on.set()
    assert eventually(lambda: transport.written == [b"one", b"two"], 1.0)


def test_a_link_that_breaks_under_the_patient_thread_is_reported(bench: Bench) -> None:
    bench.transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    bench.transport.abort()
    assert eventually(lambda: len(bench.broken) == 1)
    assert eventually(lambda: bench.writers() == 0)


def test_no_thread_for_a_slow_peer_breaks_the_link(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.transport.stuck = True
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        bench.sender.submit(make_call(), b"one")
    assert len(bench.broken) == 1
    assert "can't start new thread" in str(bench.broken[0])


# --- Faults ---


def test_a_broken_link_is_reported_once_and_not_raised(bench: Bench) -> None:
    fault = TransportClosed("gone")
    bench.transport.fault = fault
    bench.sender.submit(make_call(), b"one")
    assert bench.broken == [fault]


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), ValueError("a bug")])
def test_an_interrupted_write_dooms_the_link_and_passes_on(
    bench: Bench, raised: BaseException
) -> None:
    bench.transport.fault = raised
    with pytest.raises(type(raised)):
        bench.sender.submit(make_call(), b"one")
    assert len(bench.broken) == 1
    assert isinstance(bench.broken[0], TransportClosed)
    assert "interrupted" in str(bench.broken[0])
    bench.transport.fault = None
    bench.sender.submit(make_call(), b"two")  # the gate itself still opens
    assert b"two" in bench.transport.written


# --- Pings and goodbyes ---


def test_a_ping_goes_out_alone_or_along(bench: Bench) -> None:
    bench.sender.ping()
    assert bench.transport.pings == 1
    bench.transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    bench.sender.ping()
    bench.transport.resume()
    assert eventually(lambda: bench.transport.pings == 2)
    assert eventually(lambda: bench.transport.written == [b"one"])


def test_what_the_transport_owes_is_written_by_drain(bench: Bench) -> None:
    bench.transport.send([b"a pong"])
    bench.sender.drain()
    assert bench.transport.written == [b"a pong"]


def test_goodbye_waits_for_the_writer_but_not_for_ever(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stop_once() -> None:
        bench.transport.before_flush = lambda: None
        inside.set()
        assert go_on.wait(WAIT)

    bench.transport.before_flush = stop_once
    writer = Background(bench.sender.submit, make_call(), b"one")
    assert inside.wait(WAIT)
    bench.sender.say_goodbye(1000, "", NOW)
    assert bench.transport.closes == []
    goodbye = Background(bench.sender.say_goodbye, 1000, "bye", Deadline.after(WAIT))
    go_on.set()
    writer.result()
    goodbye.result()
    assert bench.transport.closes == [(1000, "bye")]


def test_after_retiring_nothing_is_written_any_more(bench: Bench) -> None:
    assert bench.sender.retire(Deadline.after(WAIT)) is True
    bench.sender.submit(make_call(), b"too late")
    bench.sender.ping()
    bench.sender.say_goodbye(1000, "", Deadline.after(0.01))
    assert bench.transport.written == []
    assert bench.transport.pings == 0
    assert bench.transport.closes == []


def test_retiring_reports_a_writer_that_does_not_go(bench: Bench) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stop_once() -> None:
        bench.transport.before_flush = lambda: None
        inside.set()
        assert go_on.wait(WAIT)

    bench.transport.before_flush = stop_once
    writer: Background[Any] = Background(bench.sender.submit, make_call(), b"one")
    assert inside.wait(WAIT)
    assert bench.sender.retire(Deadline.after(0.02)) is False
    go_on.set()
    writer.result()


def test_retiring_waits_for_the_patient_thread(bench: Bench) -> None:
    bench.transport.stuck = True
    bench.sender.submit(make_call(), b"one")
    assert bench.writers() == 1
    bench.transport.abort()
    assert bench.sender.retire(Deadline.after(WAIT)) is True
    assert bench.writers() == 0


# --- Messages that leave together ---


class Clock:
    """In place of ``time``: a moment that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("opencode_sync.sender.time", clock)
    return clock


@pytest.fixture
def planned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What the keeper was asked to do; it does none of it by itself."""
    planned: list[Callable[[], None]] = []
    monkeypatch.setattr(bench.keeper, "call_at", lambda at, action: planned.append(action))
    monkeypatch.setattr(Keeper, "is_running", True)
    return planned


def _begin(bench: Bench, *messages: bytes) -> None:
    for message in messages:
        bench.sender.submit_with_others(make_call(), message)


def test_a_message_on_its_own_leaves_at_once(
    bench: Bench, clock: Clock, planned: list[Callable[[], None]]
) -> None:
    for message in (b"one", b"two"):
        _begin(bench, message)
        assert bench.transport.written[-1] == message
        clock.now += 0.001
    assert planned == []


def test_a_burst_leaves_together_when_the_keeper_gets_its_turn(
    bench: Bench, clock: Clock, planned: list[Callable[[], None]]
) -> None:
    _begin(bench, b"one", b"two", b"three")
    assert bench.transport.written == [b"one"]
    (drain,) = planned  # once for all of them
    drain()
    assert bench.transport.written == [b"one", b"two", b"three"]
    _begin(bench, b"four")
    assert len(planned) == 2


def test_a_burst_of_many_leaves_when_there_are_enough(
    bench: Bench, clock: Clock, planned: list[Callable[[], None]]
) -> None:
    messages = [b"%d" % n for n in range(33)]
    _begin(bench, *messages)
    assert bench.transport.written == messages


def test_whoever_is_in_a_hurry_sends_what_waits(
    bench: Bench, clock: Clock, planned: list[Callable[[], None]]
) -> None:
    _begin(bench, b"one", b"two")
    bench.sender.submit(make_call(), b"three")
    assert bench.transport.written == [b"one", b"two", b"three"]


def test_the_keeper_sends_a_burst_without_anybody_asking(bench: Bench, clock: Clock) -> None:
    _begin(bench, b"one", b"two")
    assert eventually(lambda: bench.transport.written == [b"one", b"two"], WAIT)


@pytest.mark.parametrize("stopped", [True, False])
def test_without_a_keepers_thread_a_burst_leaves_at_once(
    bench: Bench, clock: Clock, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    if stopped:
        bench.keeper.stop()
    else:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
    _begin(bench, b"one", b"two")
    assert bench.transport.written == [b"one", b"two"]
    monkeypatch.undo()


def test_an_interrupt_while_planning_leaves_it_to_the_next(
    bench: Bench, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(at: float, action: Callable[[], None]) -> None:
        raise KeyboardInterrupt

    _begin(bench, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(bench.keeper, "call_at", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _begin(bench, b"two")
    _begin(bench, b"three")
    assert eventually(lambda: bench.transport.written == [b"one", b"two", b"three"], WAIT)

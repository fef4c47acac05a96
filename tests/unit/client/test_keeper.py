"""``Keeper`` and ``DeadlineSweep``: one thread for everything that waits for the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from opencode_sync import IpcTimeoutError
from opencode_sync.deadline import Deadline
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.keeper import Keeper, Timer
from tests.support.backend import WAIT
from tests.support.leaks import eventually
from tests.unit.client.doubles import make_call, no_thread


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper("opencode-sync-keeper-of-a-test")
    keeper.open()
    yield keeper
    keeper.stop()
    assert _ended()


def _threads() -> int:
    return sum(t.name == "opencode-sync-keeper-of-a-test" for t in threading.enumerate())


@contextmanager
def _held(keeper: Keeper) -> Iterator[None]:
    """Keep its thread busy, so that what is planned meanwhile is planned at leisure."""
    go_on = threading.Event()
    keeper.call_later(0.0, lambda: _assert(go_on.wait(WAIT)))
    yield
    go_on.set()


def _assert(outcome: bool) -> None:
    assert outcome


def _ended() -> bool:
    return eventually(lambda: _threads() == 0)


def test_an_idle_keeper_has_no_thread(keeper: Keeper) -> None:
    assert _threads() == 0


def test_timers_run_in_the_order_of_their_time_on_one_thread(keeper: Keeper) -> None:
    order: list[str] = []
    done = threading.Event()
    now = time.monotonic()
    keeper.call_at(now + 0.03, lambda: order.append("c"))
    keeper.call_at(now + 0.03, done.set)
    keeper.call_at(now + 0.02, lambda: order.append("b"))
    keeper.call_at(now - 1, lambda: order.append("a"))
    assert _threads() == 1
    assert done.wait(WAIT)
    assert time.monotonic() - now >= 0.03
    assert order == ["a", "b", "c"]


def test_timers_of_one_moment_run_in_the_order_they_were_made(keeper: Keeper) -> None:
    order: list[int] = []
    done = threading.Event()
    at = time.monotonic() + 0.02
    for number in range(20):
        keeper.call_at(at, lambda number=number: order.append(number))  # type: ignore[misc]
    keeper.call_at(at, done.set)
    assert done.wait(WAIT)
    assert order == list(range(20))


def test_an_earlier_timer_wakes_it(keeper: Keeper) -> None:
    keeper.call_later(3600, lambda: pytest.fail("too early"))
    done = threading.Event()
    keeper.call_later(0.0, done.set)
    assert done.wait(WAIT)


def test_a_cancelled_timer_does_not_run(keeper: Keeper) -> None:
    ran: list[str] = []
    done = threading.Event()
    with _held(keeper):
        timer = keeper.call_later(0.0, lambda: ran.append("cancelled"))
        keeper.call_later(0.0, done.set)
        timer.cancel()
        timer.cancel()
    assert done.wait(WAIT)
    assert ran == []


def test_a_timer_runs_once_and_cancelling_it_then_does_nothing(keeper: Keeper) -> None:
    ran: list[str] = []
    done = threading.Event()
    timer = keeper.call_later(0.0, lambda: ran.append("once"))
    keeper.call_later(0.01, done.set)
    assert done.wait(WAIT)
    timer.cancel()
    assert ran == ["once"]


def test_a_timer_may_cancel_itself_and_another(keeper: Keeper) -> None:
    ran: list[str] = []
    done = threading.Event()
    timers: list[Timer] = []

    def act() -> None:
        ran.append("first")
        for timer in timers:
            timer.cancel()

    with _held(keeper):
        timers.append(keeper.call_later(0.0, act))
        timers.append(keeper.call_later(0.0, lambda: ran.append("second")))
        keeper.call_later(0.0, done.set)
    assert done.wait(WAIT)
    assert ran == ["first"]


def test_without_timers_the_thread_ends(keeper: Keeper) -> None:
    timer = keeper.call_later(3600, lambda: None)
    assert _threads() == 1
    timer.cancel()
    assert _ended()
    done = threading.Event()
    keeper.call_later(0.0, done.set)
    assert done.wait(WAIT)
    assert _ended()


def test_no_thread_to_be_had_is_made_up_for_by_the_next_timer(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = threading.Event(), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        keeper.call_later(0.0, first.set)
    assert _threads() == 0
    keeper.call_later(0.0, second.set)
    assert first.wait(WAIT)
    assert second.wait(WAIT)


def test_a_timer_that_fails_does_not_stop_the_next(keeper: Keeper) -> None:
    def fail() -> None:
        raise ValueError("a bug")

    done = threading.Event()
    keeper.call_later(0.0, fail)
    keeper.call_later(0.0, done.set)
    assert done.wait(WAIT)


def test_a_stopped_keeper_drops_its_timers_and_takes_none(keeper: Keeper) -> None:
    ran: list[str] = []
    keeper.call_later(60, lambda: ran.append("dropped"))
    keeper.stop()
    keeper.call_later(0.0, lambda: ran.append("refused"))
    assert _ended()
    assert ran == []


def test_it_can_be_opened_again(keeper: Keeper) -> None:
    keeper.call_later(3600, lambda: None)
    keeper.stop()
    keeper.open()
    done = threading.Event()
    keeper.call_later(0.0, done.set)
    assert done.wait(WAIT)


def test_a_timer_may_stop_the_keeper_it_runs_on(keeper: Keeper) -> None:
    def stop() -> None:
        keeper.stop()

    keeper.call_later(0.0, stop)
    keeper.call_later(3600, lambda: None)
    assert _ended()


# --- Deadlines of futures ---


def test_what_has_a_deadline_expires_and_what_has_none_does_not(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    for_ever, soon, later = make_call(timeout=None), make_call(timeout=0.02), make_call(timeout=60)
    for call in (for_ever, later, soon):
        sweep.watch(call)
    assert isinstance(soon.exception(WAIT), IpcTimeoutError)
    assert not for_ever.done()
    assert not later.done()
    later.cancel()
    assert sweep._live == set()


def test_all_that_are_due_expire_and_the_next_is_planned(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    calls = [make_call(timeout=0.01 + n * 0.01) for n in (0, 2, 1, 4, 3)]
    for call in calls:
        sweep.watch(call)
    for call in calls:
        assert isinstance(call.exception(WAIT), IpcTimeoutError)
    assert sweep._live == set()


def test_a_call_that_has_ended_is_forgotten_and_keeps_its_outcome(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    call = make_call(timeout=0.02)
    sweep.watch(call)
    assert call.claim()
    call.succeed(True)
    assert sweep._live == set()
    other = make_call(timeout=0.03)
    sweep.watch(other)
    assert isinstance(other.exception(WAIT), IpcTimeoutError)
    assert call.result(0) is True


def test_a_call_that_ended_before_it_was_watched_is_not_kept(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    call = make_call(timeout=60)
    call.cancel()
    sweep.watch(call)
    assert sweep._live == set()


def test_thousands_of_calls_cost_one_timer(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    calls = [make_call(timeout=60) for _ in range(5000)]
    for call in calls:
        sweep.watch(call)
    assert len(keeper._timers) < 10
    for call in calls:
        call.cancel()
    assert sweep._live == set()


def test_after_a_restart_deadlines_count_again(keeper: Keeper) -> None:
    sweep = DeadlineSweep(keeper)
    sweep.watch(make_call(timeout=60))
    keeper.stop()
    assert _ended()
    keeper.open()
    sweep.reset()
    call = make_call(timeout=0.02)
    sweep.watch(call)
    assert isinstance(call.exception(WAIT), IpcTimeoutError)


# --- Deadline ---


def test_deadlines() -> None:
    never, past, later = Deadline(None), Deadline.after(-1), Deadline.after(60)
    assert never.remaining() is None
    assert not never.passed()
    assert past.remaining() == 0.0
    assert past.passed()
    left = later.remaining()
    assert left is not None
    assert 59 < left <= 60
    assert not later.passed()
    assert Deadline.after(None).at is None
    assert Deadline.after(0).passed()


def test_the_earlier_of_two() -> None:
    never, past, later = Deadline(None), Deadline.after(-1), Deadline.after(60)
    assert never.earlier(past) is past
    assert past.earlier(never) is past
    assert never.earlier(never) is never
    assert later.earlier(past) is past
    assert past.earlier(later) is past


def test_deadlines_have_a_readable_repr() -> None:
    assert repr(Deadline(None)) == "Deadline(never)"
    assert repr(Deadline.after(-1)) == "Deadline(in 0.000 s)"

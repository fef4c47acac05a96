"""Calls, and the tables that hold them: every call ends exactly once."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import Any

import pytest

from opencode_sync import (
    CancelToken,
    InMemoryMetrics,
    IpcCancelledError,
    IpcTimeoutError,
    IpcUsageError,
    operations,
)
from opencode_sync import pending as module
from opencode_sync.call import BlockingCall, Call, FutureCall
from opencode_sync.pending import PendingRequests, WaitingCalls
from tests.support.backend import WAIT
from tests.support.leaks import eventually
from tests.support.threads import Background, together
from tests.unit.client.doubles import make_blocking_call, make_call


def table(limit: int = 10, remark: str = "") -> PendingRequests:
    return PendingRequests(limit, lambda: remark)


# --- One call ---


def test_only_one_claim_succeeds_whoever_comes() -> None:
    for _ in range(20):
        call = make_call()
        claims = [job.result() for job in together(8, lambda _, call=call: call.claim())]  # type: ignore[misc]
        assert claims.count(True) == 1


def test_all_ways_of_ending_at_once_have_one_outcome() -> None:
    metrics = InMemoryMetrics()
    for _ in range(30):
        call = make_call(metrics=metrics)

        def answer(call: FutureCall[Any] = call) -> None:
            if call.claim():
                call.succeed(True)

        def lose(call: FutureCall[Any] = call) -> None:
            if call.claim():
                call.fail(ConnectionError())

        ways = [answer, lose, call.expire, call.cancel, call.cancel_by_token]
        for job in together(len(ways), lambda index, ways=ways: ways[index]()):  # type: ignore[misc]
            job.result()
        assert call.done()
    figures = metrics.snapshot().operations["check_health"]
    assert figures.succeeded + figures.failed == 30


def test_a_call_knows_its_operation_and_starts_unsent() -> None:
    call = make_call()
    assert (call.operation, call.sent, call.request_id, call.repeated) == (
        "check_health",
        False,
        0,
        False,
    )
    assert not call.claimed


def test_expiring_without_a_time_out_still_makes_a_sentence() -> None:
    call = make_call(timeout=None)
    assert call.expire() is True
    assert call.expire() is False
    error = call.exception(0)
    assert isinstance(error, IpcTimeoutError)
    assert "could not be sent within the time allowed" in str(error)


def test_the_holders_remark_is_shown_in_a_time_out() -> None:
    pending = table(remark="; and the moon is full")
    call = make_call()
    pending.register(call)
    call.expire()
    assert "the moon is full" in str(call.exception(0))
    assert len(pending) == 0


def test_cancelling_is_final_in_every_order() -> None:
    call = make_call()
    assert call.cancel() is True
    assert call.claim() is False
    assert call.expire() is False
    call.cancel_by_token()
    assert call.cancelled()
    with pytest.raises(CancelledError):
        call.result(0)


def test_waiting_detaches_the_token_however_it_ends() -> None:
    token = CancelToken()
    call = make_blocking_call(timeout=0.01)
    with pytest.raises(IpcTimeoutError):
        call.wait_or_cancel(token)
    assert token._waiting == {}
    other = make_blocking_call()
    waiting = Background(other.wait_or_cancel, token)
    token.cancel()
    assert isinstance(waiting.error(), IpcCancelledError)
    with pytest.raises(IpcCancelledError):
        make_blocking_call().wait_or_cancel(token)


def test_who_waits_gets_the_one_outcome_whoever_ends_the_call() -> None:
    metrics = InMemoryMetrics()
    for _ in range(30):
        call = make_blocking_call(metrics=metrics)

        def answer(call: Call[Any] = call) -> None:
            if call.claim():
                call.succeed(True)

        def lose(call: Call[Any] = call) -> None:
            if call.claim():
                call.fail(ConnectionError())

        def outcome(call: BlockingCall[Any] = call) -> object:
            try:
                return call.wait()
            except Exception as error:
                return type(error)

        ways = [answer, lose, call.expire, call.cancel_by_token]
        waiting = Background(outcome)
        for job in together(len(ways), lambda index, ways=ways: ways[index]()):  # type: ignore[misc]
            job.result()
        assert waiting.result() in (True, ConnectionError, IpcTimeoutError, IpcCancelledError)
    figures = metrics.snapshot().operations["check_health"]
    assert figures.succeeded + figures.failed == 30


def test_a_result_that_comes_as_the_time_runs_out_counts() -> None:
    call = make_blocking_call(timeout=0.01)
    assert call.claim()
    waiting = Background(call.wait)
    assert eventually(call.deadline.passed, WAIT)
    call.succeed(True)
    assert waiting.result() is True


def test_who_waits_for_an_outcome_that_never_comes_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when an interrupt hits the main thread between claiming a call and ending it."""
    monkeypatch.setattr("opencode_sync.call._CLAIMED_WAIT", 0.01)
    call = make_blocking_call(timeout=0.01)
    assert call.claim()
    with pytest.raises(IpcTimeoutError):
        call.wait()


def test_a_raised_error_is_not_held_by_its_own_traceback() -> None:
    call = make_blocking_call()
    assert call.claim()
    call.fail(ConnectionError())
    with pytest.raises(ConnectionError):
        call.wait()
    assert call._error is None


def test_a_dropped_call_has_left_its_table_and_ends_no_other_way() -> None:
    pending = table()
    call = make_blocking_call()
    pending.register(call)
    assert call.drop() is True
    assert len(pending) == 0
    assert call.drop() is call.claim() is call.expire() is False


# --- The table ---


def test_ids_begin_at_2_and_count_up() -> None:
    pending = table()
    calls = [make_call() for _ in range(3)]
    assert all(pending.register(call) for call in calls)
    assert [call.request_id for call in calls] == [2, 3, 4]
    assert pending.take(3) is calls[1]
    assert pending.take(3) is None
    again = make_call()
    pending.register(again)
    assert again.request_id == 5


def test_ids_are_unique_among_threads() -> None:
    pending = table(1000)
    calls = [[make_call() for _ in range(50)] for _ in range(8)]

    def register(index: int) -> None:
        for call in calls[index]:
            assert pending.register(call)

    for job in together(8, register):
        job.result()
    ids = [call.request_id for row in calls for call in row]
    assert sorted(ids) == list(range(2, 402))


def test_a_closed_table_takes_nothing_and_hands_out_what_it_held_once() -> None:
    pending = table()
    calls = [make_call() for _ in range(3)]
    for call in calls:
        pending.register(call)
    assert pending.close() == calls
    assert pending.close() == []
    late = make_call()
    assert pending.register(late) is False
    assert (late.request_id, late.holder) == (0, None)


def test_a_full_table_refuses_one_more() -> None:
    pending = table(1)
    pending.register(make_call())
    with pytest.raises(IpcUsageError, match="max_pending_requests"):
        pending.register(make_call())


def test_registering_and_closing_at_once_loses_no_call() -> None:
    """Each call is either refused, or among those the closer has to end."""
    for _ in range(30):
        pending = table(100)
        calls = [make_call() for _ in range(4)]
        handed: list[Call[Any]] = []
        taken = [False] * 4

        def act(
            index: int,
            pending: PendingRequests = pending,
            handed: list[Call[Any]] = handed,
            taken: list[bool] = taken,
            calls: list[Call[Any]] = calls,
        ) -> None:
            if index == 4:
                handed += pending.close()
            else:
                taken[index] = pending.register(calls[index])

        for job in together(5, act):
            job.result()
        assert {id(call) for call in handed} == {
            id(call) for call, was in zip(calls, taken, strict=True) if was
        }


def test_strays_are_told_apart() -> None:
    pending = table()
    sent, unsent, answered = make_call(), make_call(), make_call()
    for call in (sent, unsent, answered):
        pending.register(call)
    sent.sent = True
    sent.cancel()
    unsent.cancel()
    pending.take(answered.request_id)
    assert pending.classify_stray(sent.request_id) == "late"
    assert pending.classify_stray(sent.request_id) == "duplicate"
    assert pending.classify_stray(answered.request_id) == "duplicate"
    assert pending.classify_stray(5) == "unknown"
    assert pending.classify_stray(2**64 - 1) == "unknown"


def test_what_it_remembers_of_abandoned_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    pending = table()
    calls = [make_call() for _ in range(3)]
    for call in calls:
        pending.register(call)
        call.sent = True
        call.cancel()
    assert pending.classify_stray(calls[0].request_id) == "duplicate"  # forgotten
    assert pending.classify_stray(calls[1].request_id) == "late"
    assert pending.classify_stray(calls[2].request_id) == "late"


# --- The line ---


def test_finding_a_call_leaves_it_where_it_is() -> None:
    pending = table()
    call = make_call()
    pending.register(call)
    assert pending.find(call.request_id) is pending.find(call.request_id) is call
    assert pending.find(99) is None
    assert pending.take(call.request_id) is call
    assert pending.find(call.request_id) is None


def _message() -> Call[Any]:
    request = operations.send_message("ses_1", "Hi", model_id="m", provider_id="p", agent=None)
    return make_call(request)


def test_who_is_told_of_calls_that_were_given_up() -> None:
    told: list[Call[Any]] = []
    pending = PendingRequests(10, lambda: "", told.append)
    given_up, unsent, answered, short = _message(), _message(), _message(), make_call()
    for call in (given_up, unsent, answered, short):
        pending.register(call)
        call.sent = call is not unsent
    pending.take(answered.request_id)
    for call in (given_up, unsent, answered, short):
        assert call.cancel()
        call.drop()
    assert told == [given_up]
    lost = _message()
    pending.register(lost)
    lost.sent = True
    assert pending.close() == [lost]
    assert lost.cancel()
    assert told == [given_up]
    assert pending.is_abandoned(given_up.request_id)
    assert pending.classify_stray(given_up.request_id) == "cancelled"
    assert not pending.is_abandoned(given_up.request_id)
    assert pending.classify_stray(short.request_id) == "late"


def test_the_line_keeps_its_order_and_is_emptied_as_a_whole() -> None:
    line = WaitingCalls(10, str)
    calls = [make_call() for _ in range(3)]
    for call in calls:
        line.add(call)
    assert len(line) == 3
    assert line.take_all() == calls
    assert line.take_all() == []


def test_who_ends_leaves_the_line_and_who_has_ended_never_enters() -> None:
    line = WaitingCalls(10, str)
    call = make_call()
    line.add(call)
    call.cancel()
    assert len(line) == 0
    line.add(call)
    assert len(line) == 0


def test_the_line_is_bounded() -> None:
    line = WaitingCalls(1, str)
    line.add(make_call())
    with pytest.raises(IpcUsageError, match="max_pending_requests"):
        line.add(make_call())


def test_nothing_here_needs_a_thread() -> None:
    before = set(threading.enumerate())
    call = make_call()
    table().register(call)
    call.cancel()
    assert set(threading.enumerate()) <= before

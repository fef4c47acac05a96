"""``client.futures``: pipelining, waiting, cancelling, deadlines and callbacks."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import time
from concurrent.futures import CancelledError, Future, as_completed, wait
from typing import Any

import pytest

from opencode_sync import (
    IpcArgumentError,
    IpcClient,
    IpcConnectionError,
    IpcServerError,
    IpcTimeoutError,
    IpcUsageError,
)
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.leaks import eventually
from tests.support.threads import Background


def test_every_operation_gives_what_its_blocking_twin_returns(client: IpcClient) -> None:
    futures = client.futures
    assert futures.check_server_health().result(WAIT) is True
    assert futures.discover_server().result(WAIT).port == 5000  # type: ignore[union-attr]
    assert futures.spawn_server(7000).result(WAIT).port == 5001
    assert futures.list_sessions().result(WAIT)[0].title == "one"
    assert futures.create_session("x").result(WAIT).title == "x"
    assert futures.delete_session("ses_x").result(WAIT) is True
    assert futures.stop_server().result(WAIT) is True


def test_health_as_a_future_never_fails_for_an_unhealthy_backend(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("check_health", b.error(6, "it is ill"))
    assert client.futures.health_check().result(WAIT) is False


def test_they_return_before_the_answer_is_there(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    assert isinstance(future, Future)
    assert not future.done()
    assert not future.cancelled()
    with pytest.raises(TimeoutError):
        future.result(0)
    backend.link().answer(backend.link().request(), b.sessions("a"))
    assert future.result(WAIT)[0].title == "a"
    assert future.exception(0) is None


def test_as_completed_yields_them_as_the_answers_come(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("create_session", HOLD)
    futures = {client.futures.create_session(name): name for name in "abc"}
    link = backend.link()
    link.request(2)
    requests = {request.create_session.title: request for request in link.requests}
    finished = as_completed(futures, WAIT)
    for name in "bca":
        link.answer(requests[name], b.session(name))
        assert futures[next(finished)] == name


def test_wait_returns_at_the_first_failure(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("create_session", HOLD)
    futures = [client.futures.create_session(name) for name in "abc"]
    link = backend.link()
    link.answer(link.request(1), b.error(6))
    done, pending = wait(futures, WAIT, return_when=concurrent.futures.FIRST_EXCEPTION)
    assert done == {futures[1]}
    assert pending == {futures[0], futures[2]}
    assert isinstance(futures[1].exception(0), IpcServerError)


def test_wait_and_as_completed_see_cancelled_ones(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions() for _ in range(3)]
    waiting = Background(wait, futures, WAIT)
    for future in futures:
        assert future.cancel()
    assert waiting.result().not_done == set()
    assert set(as_completed(futures, 0)) == set(futures)


# --- Cancelling ---


def test_cancel_before_the_answer_frees_the_request(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    assert future.cancel() is True
    assert future.cancelled()
    assert future.done()
    assert not future.running()
    with pytest.raises(CancelledError):
        future.result(0)
    with pytest.raises(CancelledError):
        future.exception(0)
    assert future.cancel() is True  # as a Future says of one that is cancelled already
    backend.link().answer(backend.link().request(), b.sessions())
    assert client.check_server_health() is True


def test_of_many_made_in_one_go_the_one_cancelled_at_once_has_been_sent(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    """They leave together, a moment later; but what is cancelled has always been asked for."""
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions() for _ in range(5)]
    assert futures[-1].cancel()
    assert [backend.link().request(n).WhichOneof("payload") for n in range(5)]


def test_what_was_made_before_a_close_goes_out_before_it(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions() for _ in range(5)]
    client.close()
    for future in futures:
        error = future.exception(0)
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True


def test_cancel_after_the_answer_is_refused_and_the_result_stays(client: IpcClient) -> None:
    future = client.futures.check_server_health()
    assert future.result(WAIT) is True
    assert future.cancel() is False
    assert not future.cancelled()
    assert future.result(0) is True


def test_cancel_wakes_a_thread_that_waits(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    waiting = Background(future.result, WAIT)
    future.cancel()
    assert isinstance(waiting.error(), CancelledError)


def test_a_user_who_sets_the_result_himself_does_not_disturb_the_reader(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    request = backend.link().request()
    future.set_result([])  # wrong, but this must stay the user's own problem
    backend.link().answer(request, b.sessions())
    assert client.check_server_health() is True


# --- Deadlines without a waiter ---


def test_a_future_ends_in_time_with_nobody_waiting(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    ended = threading.Event()
    began = time.monotonic()
    future = client.futures.list_sessions(timeout=0.05)
    future.add_done_callback(lambda _: ended.set())
    assert ended.wait(WAIT)
    assert time.monotonic() - began >= 0.05
    error = future.exception(0)
    assert isinstance(error, IpcTimeoutError)
    assert (error.request_id, error.timeout, error.operation) == (2, 0.05, "list_sessions")
    assert error.request_sent is True


def test_an_earlier_deadline_overtakes_a_later_one(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    late = client.futures.list_sessions(timeout=60)
    early = client.futures.list_sessions(timeout=0.02)
    assert isinstance(early.exception(WAIT), IpcTimeoutError)
    assert not late.done()
    late.cancel()


def test_many_deadlines_are_all_met_by_one_thread(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    before = threading.active_count()
    futures = [client.futures.list_sessions(timeout=0.02 + n / 5000) for n in range(200)]
    assert threading.active_count() <= before + 1  # the keeper
    assert wait(futures, WAIT).not_done == set()
    assert all(isinstance(future.exception(0), IpcTimeoutError) for future in futures)


def test_deadlines_work_again_after_closing_and_connecting(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    client.futures.list_sessions(timeout=60)
    client.close()
    client.connect()
    future = client.futures.list_sessions(timeout=0.02)
    assert isinstance(future.exception(WAIT), IpcTimeoutError)


# --- Callbacks ---


def test_callbacks_run_in_order_on_the_notifier_and_never_on_the_reader(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    seen: list[tuple[int, str]] = []
    done = threading.Event()
    future = client.futures.list_sessions()

    def note(number: int, _: Future[Any]) -> None:
        seen.append((number, threading.current_thread().name))

    for number in range(3):
        future.add_done_callback(functools.partial(note, number))
    future.add_done_callback(lambda _: done.set())
    backend.link().answer(backend.link().request(), b.sessions())
    assert done.wait(WAIT)
    assert [number for number, _ in seen] == [0, 1, 2]
    assert {name for _, name in seen} == {"opencode-sync-notifier"}


@pytest.mark.parametrize("how", ["answered", "cancelled", "expired", "lost", "refused", "done"])
def test_however_it_ends_the_callback_runs_once_on_the_notifier(
    backend: ScriptedBackend, client: IpcClient, how: str
) -> None:
    backend.rule("list_sessions", HOLD)
    runs: list[tuple[Any, str]] = []
    done = threading.Event()

    def note(future: Future[Any]) -> None:
        runs.append((future, threading.current_thread().name))
        done.set()

    if how == "refused":
        client.close()
    future = client.futures.list_sessions(timeout=0.02 if how == "expired" else 30)
    if how == "done":
        backend.link().answer(backend.link().request(), b.sessions())
        future.result(WAIT)
    future.add_done_callback(note)
    if how == "answered":
        backend.link().answer(backend.link().request(), b.sessions())
    elif how == "cancelled":
        future.cancel()
    elif how == "lost":
        backend.link().peer.drop()
    assert done.wait(WAIT)
    client.close()
    assert runs == [(future, "opencode-sync-notifier")]


@pytest.mark.parametrize("raised", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_callback_raises_stops_neither_the_next_nor_the_client(
    client: IpcClient, raised: BaseException
) -> None:
    def explode(future: Future[Any]) -> None:
        raise raised

    done = threading.Event()
    future = client.futures.check_server_health()
    future.add_done_callback(explode)
    future.add_done_callback(lambda _: done.set())
    assert done.wait(WAIT)
    assert client.check_server_health() is True


def test_a_blocking_call_in_a_callback_is_refused_and_a_future_is_not(client: IpcClient) -> None:
    outcome: list[BaseException] = []
    inner: list[Future[bool]] = []
    done = threading.Event()

    def call_back(_: Future[Any]) -> None:
        for blocking in (client.check_server_health, client.health_check, client.connect):
            try:
                blocking()
            except IpcUsageError as error:
                outcome.append(error)
        try:
            client.wait_for_state(client.state)
        except IpcUsageError as error:
            outcome.append(error)
        inner.append(client.futures.check_server_health())
        done.set()

    client.futures.check_server_health().add_done_callback(call_back)
    assert done.wait(WAIT)
    assert len(outcome) == 4
    assert all("client.futures" in str(error) for error in outcome)
    assert inner[0].result(WAIT) is True


def test_a_slow_callback_holds_up_neither_answers_nor_deadlines(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    release, entered = threading.Event(), threading.Event()

    def dawdle(_: Future[Any]) -> None:
        entered.set()
        assert release.wait(WAIT)

    client.futures.check_server_health().add_done_callback(dawdle)
    assert entered.wait(WAIT)
    assert client.check_server_health() is True
    backend.rule("list_sessions", HOLD)
    assert isinstance(client.futures.list_sessions(timeout=0.02).exception(WAIT), IpcTimeoutError)
    release.set()


def test_callbacks_of_calls_that_close_failed_have_run_when_close_returns(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    seen: list[BaseException | None] = []
    for _ in range(10):
        client.futures.list_sessions().add_done_callback(lambda f: seen.append(f.exception()))
    client.close()
    assert len(seen) == 10
    assert all(isinstance(error, IpcConnectionError) for error in seen)


# --- Refusals ---


def test_wrong_arguments_raise_at_once(client: IpcClient) -> None:
    with pytest.raises(IpcArgumentError):
        client.futures.create_session(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(IpcArgumentError):
        client.futures.delete_session(" ")
    with pytest.raises(IpcArgumentError):
        client.futures.list_sessions(timeout=0)


def test_without_a_connection_they_fail_with_the_reason(backend: ScriptedBackend) -> None:
    error = backend.client().futures.list_sessions().exception(0)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is False


def test_making_futures_takes_no_thread_when_nothing_needs_one(backend: ScriptedBackend) -> None:
    before = set(threading.enumerate())
    client = backend.client()
    client.futures.list_sessions()
    assert eventually(lambda: set(threading.enumerate()) == before, 0.1)

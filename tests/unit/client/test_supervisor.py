"""``Supervisor``: the interleavings that whole clients reach too rarely to be tested by them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcConnectionError,
    IpcTimeoutError,
    IpcUsageError,
    ReconnectPolicy,
)
from opencode_sync.call import Call
from opencode_sync.deadline import Deadline
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.keeper import Keeper
from opencode_sync.loss import timeout_error
from opencode_sync.notifier import Notifier
from opencode_sync.own_threads import OwnThreads
from opencode_sync.state import StateMachine
from opencode_sync.supervisor import Supervisor
from tests.support.backend import WAIT
from tests.support.threads import Background
from tests.unit.client.doubles import make_call

S = ConnectionState
LATER = ReconnectPolicy(initial_delay=60.0, maximum_delay=60.0, jitter=0.0)
FAIL_FAST = ReconnectPolicy(
    initial_delay=60.0, maximum_delay=60.0, jitter=0.0, wait_while_down=False
)


class FakeConnection:
    """Does what the test says, and remembers what it was told."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.calls: list[Call[Any]] = []
        self.takes_calls = True
        self.doomed: Exception | None = None
        self.disowned = False
        self.before_submit: Callable[[], None] = lambda: None
        self.on_start: Callable[[FakeConnection], None] = lambda connection: None
        self.on_join: Callable[[], None] = lambda: None

    def start(self) -> None:
        self.on_start = self.bench.on_start
        self.on_start(self)

    def submit(self, call: Call[Any]) -> bool:
        self.before_submit()
        if self.takes_calls:
            self.calls.append(call)
        return self.takes_calls

    def close(self, cause: Exception, deadline: Deadline) -> list[Call[Any]]:
        self.takes_calls = False
        calls, self.calls = self.calls, []
        return calls

    def join(self, deadline: Deadline) -> bool:
        self.on_join()
        self.bench.supervisor.ended(self, IpcConnectionError("closed"), [])  # type: ignore[arg-type]
        return True

    def wait_ended(self, deadline: Deadline) -> bool:
        return True

    def doom(self, cause: Exception) -> None:
        self.doomed = cause

    def disown(self) -> None:
        self.disowned = True

    def is_current_thread(self) -> bool:
        return False

    # --- What the test has it report ---

    def open(self) -> None:
        self.bench.supervisor.authenticating(self)  # type: ignore[arg-type]
        self.bench.supervisor.opened(self)  # type: ignore[arg-type]

    def end(self, text: str = "lost") -> None:
        calls = self.close(IpcConnectionError(text), Deadline(None))
        self.bench.supervisor.ended(self, IpcConnectionError(text), calls)  # type: ignore[arg-type]


class Bench:
    """A supervisor of fake connections."""

    def __init__(self, policy: ReconnectPolicy | None, *, patience: float = 30.0) -> None:
        self.connections: list[FakeConnection] = []
        self.on_start: Callable[[FakeConnection], None] = lambda connection: connection.open()
        self.notifier = Notifier("opencode-sync-notifier", OwnThreads())
        self.machine = StateMachine(self.notifier, None)
        self.keeper = Keeper("opencode-sync-keeper")
        self.supervisor = Supervisor(
            make_connection=self._make,  # type: ignore[arg-type]
            machine=self.machine,
            keeper=self.keeper,
            sweep=DeadlineSweep(self.keeper),
            policy=policy,
            connection_timeout=patience,
            authentication_timeout=patience,
            max_waiting=2,
        )

    def _make(self) -> FakeConnection:
        self.connections.append(FakeConnection(self))
        return self.connections[-1]

    def stop(self) -> None:
        self.supervisor.close(Deadline.after(WAIT))
        self.notifier.stop(Deadline.after(WAIT))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(LATER)
    yield bench
    bench.stop()


@pytest.fixture
def fail_fast() -> Iterator[Bench]:
    bench = Bench(FAIL_FAST)
    yield bench
    bench.stop()


def test_a_call_finds_the_new_connection_when_the_old_one_ends_in_its_hands(
    bench: Bench,
) -> None:
    bench.supervisor.open()
    old = bench.connections[0]

    def replace() -> None:
        old.takes_calls = False
        old.end()
        bench.supervisor.open()

    old.before_submit = replace
    call = make_call()
    bench.supervisor.submit(call)
    assert bench.connections[1].calls == [call]
    assert not call.done()


def test_a_call_waits_when_the_connection_has_ended_and_nobody_has_noticed_yet(
    bench: Bench,
) -> None:
    bench.supervisor.open()
    bench.connections[0].takes_calls = False
    call = make_call()
    bench.supervisor.submit(call)
    assert not call.done()
    bench.connections[0].end()
    assert not call.done()
    bench.supervisor.open()
    assert bench.connections[1].calls == [call]


def test_without_a_policy_such_a_call_fails_at_once() -> None:
    bench = Bench(None)
    bench.supervisor.open()
    bench.connections[0].takes_calls = False
    call = make_call()
    bench.supervisor.submit(call)
    error = call.exception(0)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is False
    bench.stop()


def test_what_a_given_up_connection_reports_is_ignored(bench: Bench) -> None:
    bench.supervisor.open()
    old = bench.connections[0]
    old.end()
    bench.supervisor.open()
    bench.supervisor.authenticating(old)  # type: ignore[arg-type]
    bench.supervisor.opened(old)  # type: ignore[arg-type]
    bench.supervisor.ended(old, IpcConnectionError("again"), [])  # type: ignore[arg-type]
    assert bench.machine.state is S.CONNECTED
    call = make_call()
    bench.supervisor.submit(call)
    assert bench.connections[1].calls == [call]


def test_a_connection_that_opens_while_the_client_closes_stays_closed(bench: Bench) -> None:
    started = threading.Event()
    bench.on_start = lambda connection: started.set()
    connecting = Background(bench.supervisor.open)
    assert started.wait(WAIT)
    connection = bench.connections[0]
    bench.supervisor.authenticating(connection)  # type: ignore[arg-type]
    connection.on_join = lambda: bench.supervisor.opened(connection)  # type: ignore[arg-type]
    bench.supervisor.close(Deadline.after(WAIT))
    assert isinstance(connecting.error(), IpcConnectionError)
    assert bench.machine.state is S.FAILED


def test_connecting_while_a_close_does_not_end_is_a_time_out() -> None:
    bench = Bench(None, patience=0.02)
    bench.supervisor.open()
    inside, go_on = threading.Event(), threading.Event()

    def dawdle() -> None:
        inside.set()
        assert go_on.wait(WAIT)

    bench.connections[0].on_join = dawdle
    closing = Background(bench.supervisor.close, Deadline.after(WAIT))
    assert inside.wait(WAIT)
    with pytest.raises(IpcTimeoutError, match="still closing"):
        bench.supervisor.open()
    call = make_call()
    bench.supervisor.submit(call)
    assert isinstance(call.exception(0), IpcConnectionError)
    go_on.set()
    closing.result()
    bench.stop()


def test_a_connection_whose_thread_does_not_end_is_left_behind(bench: Bench) -> None:
    bench.supervisor.open()
    connection = bench.connections[0]
    connection.join = lambda deadline: False  # type: ignore[method-assign]
    bench.supervisor.close(Deadline.after(0.01))
    assert bench.machine.state is S.DISCONNECTED
    bench.supervisor.ended(connection, IpcConnectionError("at last"), [])  # type: ignore[arg-type]
    assert bench.machine.state is S.DISCONNECTED


def test_an_attempt_that_does_not_end_is_given_up_and_doomed() -> None:
    bench = Bench(LATER, patience=0.02)
    bench.on_start = lambda connection: None
    with pytest.raises(IpcTimeoutError, match="did not end"):
        bench.supervisor.open()
    assert isinstance(bench.connections[0].doomed, IpcTimeoutError)
    assert bench.machine.state is S.FAILED
    bench.stop()


def test_giving_up_an_attempt_that_has_just_succeeded_changes_nothing(bench: Bench) -> None:
    bench.supervisor.open()
    bench.supervisor._give_up(bench.connections[0], timeout_error(1.0, "why"))  # type: ignore[arg-type]
    assert bench.connections[0].doomed is None
    assert bench.machine.state is S.CONNECTED


def test_giving_up_a_retry_keeps_those_who_wait_when_another_follows() -> None:
    policy = ReconnectPolicy(initial_delay=0.0, maximum_delay=60.0, jitter=0.0)
    bench = Bench(policy, patience=0.03)
    bench.supervisor.open()
    first = threading.Event()

    def start(connection: FakeConnection) -> None:
        if len(bench.connections) == 2:
            first.set()  # this one hangs
        else:
            connection.open()

    bench.on_start = start
    bench.connections[0].end()
    assert first.wait(WAIT)
    call = make_call()
    bench.supervisor.submit(call)
    assert bench.machine.wait_for(S.CONNECTED, Deadline.after(WAIT))
    assert isinstance(bench.connections[1].doomed, IpcTimeoutError)
    assert bench.connections[2].calls == [call]
    bench.stop()


def test_a_retry_that_comes_after_the_user_has_connected_does_nothing(bench: Bench) -> None:
    bench.supervisor.open()
    bench.connections[0].end()
    bench.supervisor.open()
    bench.supervisor.retry_now()
    assert len(bench.connections) == 2


def test_failing_fast_an_unsent_call_is_told_that_it_was_not_sent(fail_fast: Bench) -> None:
    fail_fast.supervisor.open()
    call = make_call()
    fail_fast.supervisor.submit(call)
    fail_fast.connections[0].end()
    error = call.exception(0)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is False
    assert "never sent" in str(error)


def test_a_call_that_ended_meanwhile_is_not_failed_again(bench: Bench) -> None:
    bench.supervisor.open()
    call = make_call()
    call.sent = True
    call.repeated = True
    bench.supervisor.submit(call)
    assert call.claim()
    bench.connections[0].end()
    call.succeed(True)
    assert call.result(0) is True


def test_a_refused_call_that_has_ended_stays_as_it_is(bench: Bench) -> None:
    call = make_call()
    call.cancel()
    bench.supervisor.submit(call)  # there is no connection
    assert call.cancelled()


def test_repeats_too_are_bounded_by_the_line(bench: Bench) -> None:
    bench.supervisor.open()
    calls = [make_call() for _ in range(3)]
    for call in calls:
        bench.supervisor.submit(call)
    bench.connections[0].end()
    assert [call.done() for call in calls].count(True) <= 1
    for call in calls:
        if call.done():
            assert isinstance(call.exception(0), IpcConnectionError | IpcUsageError)


def test_disowning_reaches_the_connection_if_there_is_one(bench: Bench) -> None:
    bench.supervisor.disown()
    bench.supervisor.open()
    bench.supervisor.disown()
    assert bench.connections[0].disowned

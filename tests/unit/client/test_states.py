"""States: the legal steps, told to every listener once and in order, and waiting for one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from opencode_sync import (
    ConnectionState,
    InMemoryMetrics,
    IpcArgumentError,
    IpcAuthenticationError,
    IpcConnectionError,
    IpcError,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.deadline import Deadline
from opencode_sync.notifier import Notifier
from opencode_sync.own_threads import OwnThreads
from opencode_sync.state import TRANSITIONS, StateMachine
from tests.support import backend as b
from tests.support.backend import WAIT, ScriptedBackend
from tests.support.leaks import eventually
from tests.support.threads import Background

S = ConnectionState
LEGAL = {
    (S.DISCONNECTED, S.CONNECTING),
    (S.CONNECTING, S.AUTHENTICATING),
    (S.CONNECTING, S.FAILED),
    (S.AUTHENTICATING, S.CONNECTED),
    (S.AUTHENTICATING, S.FAILED),
    (S.CONNECTED, S.DISCONNECTING),
    (S.CONNECTED, S.DISCONNECTED),
    (S.CONNECTED, S.FAILED),
    (S.DISCONNECTING, S.DISCONNECTED),
    (S.FAILED, S.CONNECTING),
}
"""Written down from the design, not from the code."""

WAY_TO = {
    S.DISCONNECTED: (),
    S.CONNECTING: (S.CONNECTING,),
    S.AUTHENTICATING: (S.CONNECTING, S.AUTHENTICATING),
    S.CONNECTED: (S.CONNECTING, S.AUTHENTICATING, S.CONNECTED),
    S.DISCONNECTING: (S.CONNECTING, S.AUTHENTICATING, S.CONNECTED, S.DISCONNECTING),
    S.FAILED: (S.CONNECTING, S.FAILED),
}


class Listener:
    """Keeps what it was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards changes and threads
        self.changes: list[StateChange] = []
        self.threads: set[str] = set()

    def __call__(self, change: StateChange) -> None:
        with self._changed:
            self.changes.append(change)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait(self, count: int) -> list[StateChange]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.changes) >= count, WAIT), self.changes
            return list(self.changes)

    @property
    def steps(self) -> list[tuple[S, S]]:
        return [(change.old, change.new) for change in self.changes]


@pytest.fixture
def notifier() -> Iterator[Notifier]:
    notifier = Notifier("opencode-sync-notifier", OwnThreads())
    yield notifier
    notifier.stop(Deadline.after(WAIT))


@pytest.fixture
def machine(notifier: Notifier) -> StateMachine:
    return StateMachine(notifier, None)


# --- The table ---


def test_the_table_is_the_designs() -> None:
    steps = {(old, new) for old, news in TRANSITIONS.items() for new in news}
    assert steps == LEGAL
    assert set(TRANSITIONS) == set(S)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(S, S)))
def test_each_step_is_taken_or_refused(machine: StateMachine, old: S, new: S) -> None:
    for step in WAY_TO[old]:
        machine.advance(step)
    if (old, new) in LEGAL:
        machine.advance(new)
        assert machine.state is new
    else:
        with pytest.raises(RuntimeError, match=f"{old.name} to {new.name}"):
            machine.advance(new)
        assert machine.state is old


def test_a_refused_step_is_told_to_nobody(machine: StateMachine, notifier: Notifier) -> None:
    listener = Listener()
    machine.subscribe(listener)
    with pytest.raises(RuntimeError):
        machine.advance(S.CONNECTED)
    notifier.stop(Deadline.after(WAIT))
    assert listener.changes == []


# --- Listeners ---


def test_each_listener_gets_each_change_once_in_order_with_its_fields(
    machine: StateMachine,
) -> None:
    first, second = Listener(), Listener()
    machine.subscribe(first)
    machine.subscribe(second)
    cause = IpcConnectionError("gone")
    machine.advance(S.CONNECTING, attempt=1)
    machine.advance(S.FAILED, cause=cause, attempt=1, retry_in=0.5)
    machine.advance(S.CONNECTING, attempt=2)
    expected = [
        StateChange(S.DISCONNECTED, S.CONNECTING, None, 1, None),
        StateChange(S.CONNECTING, S.FAILED, cause, 1, 0.5),
        StateChange(S.FAILED, S.CONNECTING, None, 2, None),
    ]
    assert first.wait(3) == expected
    assert second.wait(3) == expected
    assert first.threads == {"opencode-sync-notifier"}


def test_one_function_may_listen_twice_and_each_time_ends_by_itself(
    machine: StateMachine,
) -> None:
    listener = Listener()
    end_first = machine.subscribe(listener)
    machine.subscribe(listener)
    machine.advance(S.CONNECTING)
    listener.wait(2)
    end_first()
    end_first()  # idempotent
    machine.advance(S.FAILED)
    machine.advance(S.CONNECTING)
    assert listener.wait(4)
    assert listener.steps[2:] == [(S.CONNECTING, S.FAILED), (S.FAILED, S.CONNECTING)]


def test_after_unsubscribing_nothing_more_comes_not_even_what_is_queued(
    machine: StateMachine, notifier: Notifier
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(change: StateChange) -> None:
        entered.set()
        assert go_on.wait(WAIT)

    late = Listener()
    end_slow = machine.subscribe(slow)
    end_late = machine.subscribe(late)
    machine.advance(S.CONNECTING)
    assert entered.wait(WAIT)
    end_late()
    end_slow()
    go_on.set()
    notifier.stop(Deadline.after(WAIT))
    assert late.changes == []


@pytest.mark.parametrize("raised", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_a_listener_that_raises_harms_neither_the_others_nor_the_client(
    backend: ScriptedBackend, raised: BaseException
) -> None:
    def explode(change: StateChange) -> None:
        raise raised

    listener = Listener()
    client = backend.client()
    client.on_state_change(explode)
    client.on_state_change(listener)
    with client:
        assert client.check_server_health() is True
    assert listener.steps == [
        (S.DISCONNECTED, S.CONNECTING),
        (S.CONNECTING, S.AUTHENTICATING),
        (S.AUTHENTICATING, S.CONNECTED),
        (S.CONNECTED, S.DISCONNECTING),
        (S.DISCONNECTING, S.DISCONNECTED),
    ]


# --- Waiting ---


def test_waiting_for_the_state_it_is_in_returns_at_once(machine: StateMachine) -> None:
    assert machine.wait_for(S.DISCONNECTED, Deadline.after(0)) is True
    assert machine.wait_for(S.CONNECTED, Deadline.after(0.01)) is False


def test_a_state_that_was_left_again_at_once_still_counts(machine: StateMachine) -> None:
    """The waiter may be slow to wake; what it waited for has been all the same."""
    machine.advance(S.CONNECTING)
    waiting = Background(machine.wait_for, S.AUTHENTICATING, Deadline.after(WAIT))
    assert eventually(lambda: bool(machine._changed._waiters))  # type: ignore[attr-defined]
    with machine._changed:  # so that the waiter cannot look in between
        machine.advance(S.AUTHENTICATING)
        machine.advance(S.FAILED)
    assert waiting.result() is True


def test_a_state_of_the_past_does_not_count(machine: StateMachine) -> None:
    machine.advance(S.CONNECTING)
    machine.advance(S.FAILED)
    assert machine.wait_for(S.CONNECTING, Deadline.after(0.01)) is False


def test_wait_for_state_of_a_client(backend: ScriptedBackend) -> None:
    client = backend.client()
    assert client.wait_for_state(S.CONNECTED, 0) is False
    waiting = Background(client.wait_for_state, S.CONNECTED, WAIT)
    for_ever = Background(client.wait_for_state, S.CONNECTED)
    client.connect()
    assert waiting.result() is True
    assert for_ever.result() is True
    client.close()
    assert client.wait_for_state(S.DISCONNECTED, 0) is True


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), "1", 1e300])
def test_wait_for_state_refuses_a_time_out_that_is_none(
    backend: ScriptedBackend, timeout: object
) -> None:
    with pytest.raises(IpcArgumentError) as caught:
        backend.client().wait_for_state(S.CONNECTED, timeout)  # type: ignore[arg-type]
    assert caught.value.field == "timeout"


# --- What a client goes through ---


def test_an_orderly_life(backend: ScriptedBackend) -> None:
    listener, metrics = Listener(), InMemoryMetrics()
    client = backend.client(metrics=metrics)
    client.on_state_change(listener)
    with client:
        pass
    assert listener.changes == [
        StateChange(S.DISCONNECTED, S.CONNECTING, None, 1, None),
        StateChange(S.CONNECTING, S.AUTHENTICATING, None, 1, None),
        StateChange(S.AUTHENTICATING, S.CONNECTED, None, 1, None),
        StateChange(S.CONNECTED, S.DISCONNECTING, None, 0, None),
        StateChange(S.DISCONNECTING, S.DISCONNECTED, None, 0, None),
    ]
    assert metrics.snapshot().state_changes == tuple(listener.steps)


def test_a_refused_token_and_a_second_try(backend: ScriptedBackend) -> None:
    listener = Listener()
    backend.handshake = b.refuse
    client = backend.client()
    client.on_state_change(listener)
    with pytest.raises(IpcAuthenticationError):
        client.connect()
    backend.handshake = b.accept
    client.connect()
    client.close()
    assert listener.steps[:6] == [
        (S.DISCONNECTED, S.CONNECTING),
        (S.CONNECTING, S.AUTHENTICATING),
        (S.AUTHENTICATING, S.FAILED),
        (S.FAILED, S.CONNECTING),
        (S.CONNECTING, S.AUTHENTICATING),
        (S.AUTHENTICATING, S.CONNECTED),
    ]
    failed = listener.changes[2]
    assert isinstance(failed.cause, IpcAuthenticationError)
    assert failed.retry_in is None


@pytest.mark.parametrize(
    ("code", "state"),
    [(1000, S.DISCONNECTED), (1001, S.DISCONNECTED), (None, S.DISCONNECTED), (1011, S.FAILED)],
)
def test_how_the_backend_closes_decides_the_state(
    backend: ScriptedBackend, code: int | None, state: S
) -> None:
    listener = Listener()
    with backend.client(reconnect=None) as client:
        client.on_state_change(listener)
        backend.link().peer.close(code, "bye")  # type: ignore[arg-type]
        change = listener.wait(1)[0]
        assert (change.old, change.new) == (S.CONNECTED, state)
        assert isinstance(change.cause, IpcConnectionError)
        assert change.cause.close_code == code
        assert change.cause.close_reason == "bye"
        assert change.retry_in is None
        assert not client.is_connected


@pytest.mark.parametrize("end", ["drop", "violate"])
def test_a_lost_or_broken_connection_is_a_failure(backend: ScriptedBackend, end: str) -> None:
    listener = Listener()
    with backend.client(reconnect=None) as client:
        client.on_state_change(listener)
        getattr(backend.link().peer, end)()
        change = listener.wait(1)[0]
        assert (change.old, change.new) == (S.CONNECTED, S.FAILED)
        assert isinstance(change.cause, IpcError)


def test_however_it_is_used_only_legal_steps_are_seen_and_they_connect(
    backend: ScriptedBackend,
) -> None:
    """Losses, closes and connects from several threads at once."""
    listener = Listener()
    client = backend.client(reconnect=ReconnectPolicy(initial_delay=0.0, jitter=0.001))
    client.on_state_change(listener)

    def use(index: int) -> None:
        for _ in range(6):
            try:
                client.connect()
                client.check_server_health(timeout=2)
                if index == 0:
                    backend.link(backend.links - 1).peer.drop()
                elif index == 1:
                    client.close()
            except IpcError:
                continue

    for job in [Background(use, index) for index in range(3)]:
        job.result(30)
    client.close()
    assert set(listener.steps) <= LEGAL
    for before, after in itertools.pairwise(listener.changes):
        assert before.new is after.old
    assert len(listener.steps) > 5

"""``Liveness``: a silent link is pinged, a dead one is given up, a busy one is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from opencode_sync import (
    IpcClientOptions,
    IpcConnectionError,
)
from opencode_sync import liveness as module
from opencode_sync.deadline import Deadline
from opencode_sync.keeper import Keeper
from opencode_sync.liveness import Liveness
from opencode_sync.sender import Sender
from tests.support.backend import HOLD, WAIT, ScriptedBackend, WrappedTransport
from tests.unit.client.doubles import FakeTransport


class FakeTimer:
    """Something the clock below will do."""

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Clock:
    """A keeper and a clock that move only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[FakeTimer] = []

    def monotonic(self) -> float:
        return self.now

    def call_at(self, at: float, action: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(at, action)
        self.timers.append(timer)
        return timer

    def advance_to(self, at: float) -> None:
        while due := sorted((t for t in self.timers if t.at <= at), key=lambda t: t.at):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0].at)
            if due[0].action is not None:
                due[0].action()
        self.now = at


class Watch:
    """A watch with an interval of 20 s and a time-out of 10 s over a fake link."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.transport = FakeTransport()
        self.transport.last_received_at = clock.now
        self.dead: list[IpcConnectionError] = []
        self.silences: list[float] = []
        sender = Sender(
            self.transport,
            name="opencode-sync-writer-of-a-test",
            keeper=clock,  # type: ignore[arg-type]
            on_broken=lambda error: None,
        )
        self.liveness = Liveness(
            keeper=clock,  # type: ignore[arg-type]
            transport=self.transport,
            sender=sender,
            interval=20.0,
            timeout=10.0,
            on_dead=self.dead.append,
            on_silence=lambda: self.silences.append(clock.now),
        )

    def hear(self) -> None:
        self.transport.last_received_at = self.clock.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    clock = Clock()

    class Time:
        monotonic = staticmethod(clock.monotonic)

    monkeypatch.setattr(module, "time", Time)
    watch = Watch(clock)
    watch.liveness.start()
    return watch


def test_a_silent_link_is_pinged_after_the_interval(watch: Watch) -> None:
    watch.clock.advance_to(1019.9)
    assert watch.transport.pings == 0
    watch.clock.advance_to(1020)
    assert watch.transport.pings == 1
    assert watch.dead == []


def test_a_silence_is_told_when_it_is_pinged(watch: Watch) -> None:
    watch.clock.advance_to(1010)
    watch.hear()
    watch.clock.advance_to(1039)
    assert watch.silences == [1030]


def test_a_link_that_stays_silent_is_given_up_after_the_time_out(watch: Watch) -> None:
    watch.clock.advance_to(1029.9)
    assert watch.dead == []
    watch.clock.advance_to(1030)
    assert len(watch.dead) == 1
    assert watch.dead[0].endpoint == "ws://fake/"
    assert "30.0 s" in str(watch.dead[0])
    assert watch.transport.pings == 1


def test_any_byte_after_the_ping_is_life(watch: Watch) -> None:
    watch.clock.advance_to(1025)
    watch.hear()
    watch.clock.advance_to(1044.9)
    assert watch.dead == []
    assert watch.transport.pings == 1
    watch.clock.advance_to(1045)
    assert watch.transport.pings == 2
    watch.clock.advance_to(1055)
    assert len(watch.dead) == 1


def test_while_there_is_traffic_nothing_is_pinged_and_few_timers_run(watch: Watch) -> None:
    for second in range(1001, 1200):
        watch.clock.advance_to(second)
        watch.hear()
        assert len(watch.clock.timers) == 1  # idle means idle: one timer, whatever the traffic
    assert watch.transport.pings == 0
    assert watch.dead == []


def test_a_byte_in_the_very_moment_of_the_time_out_saves_it(watch: Watch) -> None:
    watch.clock.advance_to(1020)
    watch.clock.now = 1030
    watch.hear()
    watch.clock.advance_to(1030)
    assert watch.dead == []


def test_a_check_that_comes_early_waits_on(watch: Watch) -> None:
    watch.clock.advance_to(1020)
    watch.clock.now = 1025
    watch.clock.timers.pop().at = 1025
    watch.liveness._check()
    assert watch.dead == []
    watch.clock.advance_to(1030)
    assert len(watch.dead) == 1


def test_a_stopped_watch_does_nothing_more(watch: Watch) -> None:
    watch.liveness.stop()
    watch.clock.advance_to(2000)
    watch.liveness._check()
    watch.liveness._plan(2001)
    watch.clock.advance_to(3000)
    assert watch.transport.pings == 0
    assert watch.dead == []


def test_a_watch_that_never_began_can_be_stopped() -> None:
    Watch(Clock()).liveness.stop()


# --- In a client ---


class DeafTransport(WrappedTransport):
    """A link whose pings nobody answers."""

    pinged = threading.Event()

    @property
    def last_received_at(self) -> float:  # type: ignore[override]
        return self._heard

    def connect(self, deadline: Deadline) -> None:
        super().connect(deadline)
        self._heard = time.monotonic()

    def ping(self) -> None:
        self.pinged.set()


@pytest.fixture
def deaf(backend: ScriptedBackend) -> None:
    DeafTransport.pinged.clear()
    backend.wrap = DeafTransport


def test_calls_on_a_dead_link_fail_long_before_their_time_out(
    backend: ScriptedBackend, deaf: None
) -> None:
    backend.rule("list_sessions", HOLD)
    options = IpcClientOptions(ping_interval=0.03, ping_timeout=0.03)
    with backend.client(options=options, reconnect=None) as client:
        future = client.futures.list_sessions()
        error = future.exception(WAIT)
        assert DeafTransport.pinged.is_set()
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert "taken for dead" in str(error)


def test_without_an_interval_nothing_watches_the_link(backend: ScriptedBackend, deaf: None) -> None:
    with backend.client(options=IpcClientOptions(ping_interval=None)) as client:
        assert client.check_server_health() is True
        live = client._supervisor._live
        assert live is not None
        assert live._liveness is None
    assert not DeafTransport.pinged.is_set()


def test_a_link_in_memory_is_alive(backend: ScriptedBackend) -> None:
    options = IpcClientOptions(ping_interval=0.005, ping_timeout=0.005)
    with backend.client(options=options, reconnect=None) as client:
        assert client.wait_for_state(client.state.FAILED, 0.05) is False
        assert client.check_server_health() is True


def test_the_keeper_takes_the_clocks_place() -> None:
    """The double above has the one method that the watch uses of a keeper."""
    assert callable(Keeper("x").call_at)

"""Metrics: what is reported when, and what a broken recorder may not break."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    InMemoryMetrics,
    IpcCancelledError,
    IpcConfigError,
    IpcServerError,
    IpcTimeoutError,
    enable_logging,
)
from opencode_sync.metrics import MetricsSnapshot, OperationFigures
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.threads import Background, together

S = ConnectionState


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as one."""
    texts: list[str] = []
    disable = enable_logging("WARNING", lambda message: texts.append(message.record["message"]))
    yield texts
    disable()


def test_a_life_in_figures(backend: ScriptedBackend) -> None:
    metrics = InMemoryMetrics()
    with backend.client(metrics=metrics) as client:
        client.list_sessions()
        client.list_sessions()
        backend.rule("list_sessions", b.error(6))
        with pytest.raises(IpcServerError):
            client.list_sessions()
        backend.rule("delete_session", HOLD)
        with pytest.raises(IpcTimeoutError):
            client.delete_session("ses_1", timeout=0.01)
        cancelled = client.futures.delete_session("ses_1")
        cancelled.cancel()
    snapshot = metrics.snapshot()
    listed, removed = snapshot.operations["list_sessions"], snapshot.operations["delete_session"]
    assert (listed.sent, listed.succeeded, listed.failed) == (3, 2, 1)
    assert (removed.sent, removed.succeeded, removed.failed) == (2, 0, 2)
    assert (len(listed.durations), len(listed.failed_durations)) == (2, 1)
    assert all(0 <= duration < WAIT for duration in listed.durations)
    assert removed.durations == ()
    assert min(removed.failed_durations) >= 0
    # A little less than the time-out, which began earlier.
    assert max(removed.failed_durations) >= 0.005
    assert snapshot.state_changes == (
        (S.DISCONNECTED, S.CONNECTING),
        (S.CONNECTING, S.AUTHENTICATING),
        (S.AUTHENTICATING, S.CONNECTED),
        (S.CONNECTED, S.DISCONNECTING),
        (S.DISCONNECTING, S.DISCONNECTED),
    )


def test_every_message_is_counted_with_its_size(backend: ScriptedBackend) -> None:
    metrics = InMemoryMetrics()
    with backend.client(metrics=metrics) as client:
        client.check_server_health()
        backend.link().peer.send(b"\xff" * 1000)
        client.check_server_health()
    snapshot = metrics.snapshot()
    answer = len(b.encode(2, b.healthy()))
    assert snapshot.messages_received == 3
    assert snapshot.bytes_received == 1000 + 2 * answer


def test_a_call_refused_without_being_sent_counts_as_failed_and_not_as_sent(
    backend: ScriptedBackend,
) -> None:
    metrics = InMemoryMetrics()
    client = backend.client(metrics=metrics)
    assert client.futures.list_sessions().exception(0) is not None
    figures = metrics.snapshot().operations["list_sessions"]
    assert (figures.sent, figures.succeeded, figures.failed) == (0, 0, 1)


class Broken:
    """Raises whatever is reported."""

    def __init__(self, error: type[BaseException] = ValueError) -> None:
        self.called: set[str] = set()
        self.error = error

    def _fail(self, name: str) -> None:
        self.called.add(name)
        raise self.error(name)

    def record_request_sent(self, operation: str) -> None:
        self._fail("sent")

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        self._fail("completed")

    def record_connection_state_change(self, old: Any, new: Any) -> None:
        self._fail("state")

    def record_message_received(self, size: int) -> None:
        self._fail("received")

    def watch_connection(self, connection: object) -> None:
        self._fail("watch")


def _use(backend: ScriptedBackend, recorder: Broken) -> None:
    """Have everything reported."""
    with backend.client(metrics=recorder) as client:
        assert client.check_server_health() is True
        assert client.futures.list_sessions().result(WAIT)[0].title == "one"
        backend.rule("list_sessions", HOLD)
        with pytest.raises(IpcTimeoutError):
            client.list_sessions(timeout=0.01)
        client.futures.list_sessions().cancel()
    assert recorder.called == {"sent", "completed", "state", "received", "watch"}


@pytest.mark.parametrize("error", [ValueError, SystemExit, pytest.fail.Exception])
def test_a_recorder_that_raises_harms_nothing_and_is_told_once(
    backend: ScriptedBackend, warnings: list[str], error: type[BaseException]
) -> None:
    _use(backend, Broken(error))
    assert warnings == ["the metrics recorder failed; figures are lost"]


def test_an_interrupt_that_is_none_harms_nothing_either(
    backend: ScriptedBackend, warnings: list[str]
) -> None:
    """Ctrl-C interrupts the main thread; elsewhere it is a recorder's own idea."""
    Background(lambda: _use(backend, Broken(KeyboardInterrupt))).result()
    assert warnings == ["the metrics recorder failed; figures are lost"]


class Interrupted(InMemoryMetrics):
    """Is interrupted as it notes the end of a request, as by Ctrl-C."""

    armed = True

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt


def test_an_interrupt_in_a_recorder_reaches_the_caller_and_ends_the_call(
    backend: ScriptedBackend,
) -> None:
    recorder = Interrupted()
    backend.rule("delete_session", HOLD)
    with backend.client(metrics=recorder) as client:
        with pytest.raises(KeyboardInterrupt):
            client.delete_session("ses_1", timeout=0.01)
        recorder.armed = True
        future = client.futures.delete_session("ses_1")
        with pytest.raises(KeyboardInterrupt):
            future.cancel()
        assert future.cancelled()
        assert client.check_server_health() is True


def test_an_interrupt_of_who_brings_the_answer_ends_the_call_of_who_waits(
    backend: ScriptedBackend,
) -> None:
    """Over a link in memory that may be the main thread, and the one that waits another."""
    backend.rule("delete_session", HOLD)
    recorder = Interrupted()
    with backend.client(metrics=recorder) as client:
        waiting = Background(lambda: client.delete_session("ses_1", timeout=60))
        request = backend.link().request()
        with pytest.raises(KeyboardInterrupt):
            backend.link().answer(request, b.deleted())
        with pytest.raises(IpcCancelledError):
            waiting.result()


def test_a_recorder_that_fails_to_watch_costs_no_client(
    backend: ScriptedBackend, warnings: list[str]
) -> None:
    class Blind(InMemoryMetrics):
        def watch_connection(self, connection: object) -> None:
            raise ValueError("blind")

    with backend.client(metrics=Blind()) as client:
        assert client.check_server_health() is True
    assert warnings == ["the metrics recorder failed; figures are lost"]


class Almost(InMemoryMetrics):
    """A recorder but for one method."""

    record_connection_state_change = None  # type: ignore[assignment]


@pytest.mark.parametrize("recorder", [True, "prometheus", Almost()])
def test_what_is_no_recorder_is_refused(backend: ScriptedBackend, recorder: Any) -> None:
    with pytest.raises(IpcConfigError, match="no method record_") as caught:
        backend.client(metrics=recorder)
    assert caught.value.field == "metrics"


def test_the_figures_survive_many_threads() -> None:
    metrics = InMemoryMetrics()

    def record(index: int) -> None:
        for _ in range(200):
            metrics.record_request_sent("x")
            metrics.record_request_completed("x", 0.1, True)
            metrics.record_message_received(3)
            metrics.record_connection_state_change(S.FAILED, S.CONNECTING)

    for job in together(8, record):
        job.result()
    snapshot = metrics.snapshot()
    assert snapshot.operations["x"].sent == 1600
    assert snapshot.operations["x"].succeeded == 1600
    assert snapshot.messages_received == 1600
    assert snapshot.bytes_received == 4800
    assert len(snapshot.state_changes) == 1600


def test_what_nobody_reads_is_counted_together_all_the_same() -> None:
    """A recorder takes no more memory for what was recorded since its newest snapshot."""
    metrics = InMemoryMetrics()
    for _ in range(5_000):
        metrics.record_request_sent("x")
        metrics.record_request_completed("x", 0.1, False)
        metrics.record_message_received(2)
    waiting = (metrics._sent, metrics._ended, metrics._sizes)
    assert all(len(queue) <= 500 for queue in waiting)
    snapshot = metrics.snapshot()
    assert all(len(queue) == 0 for queue in waiting)
    assert (snapshot.operations["x"].sent, snapshot.operations["x"].failed) == (5_000, 5_000)
    assert (snapshot.messages_received, snapshot.bytes_received) == (5_000, 10_000)


def test_a_snapshot_does_not_change_any_more() -> None:
    metrics = InMemoryMetrics()
    metrics.record_request_completed("x", 0.1, True)
    snapshot = metrics.snapshot()
    metrics.record_request_completed("x", 0.2, True)
    metrics.record_request_completed("y", 0.2, True)
    assert snapshot.operations["x"].durations == (0.1,)
    assert set(snapshot.operations) == {"x"}


def test_only_the_newest_durations_are_kept() -> None:
    metrics = InMemoryMetrics()
    for number in range(25_000):
        metrics.record_request_completed("x", float(number), True)
        if number == 10_000:
            early = metrics.snapshot()
    figures = metrics.snapshot().operations["x"]
    assert figures.durations == tuple(map(float, range(15_000, 25_000)))
    assert figures.succeeded == 25_000
    assert early.operations["x"].durations == tuple(map(float, range(1, 10_001)))


class Overtaken(deque[Any]):
    """A queue in whose middle a signal handler comes, as soon as something is taken out."""

    def __init__(self, handler: Any) -> None:
        super().__init__()
        self.handler = handler

    def popleft(self) -> Any:
        handler, self.handler = self.handler, lambda: None
        handler()
        return super().popleft()


def test_a_signal_handler_may_take_a_snapshot_while_its_thread_counts() -> None:
    """It gets what was counted before; nothing is lost, and nobody waits for himself."""
    metrics = InMemoryMetrics()
    seen: list[MetricsSnapshot] = []

    def use() -> MetricsSnapshot:
        metrics.record_request_completed("x", 0.1, True)
        metrics.snapshot()
        metrics._ended = Overtaken(lambda: seen.append(metrics.snapshot()))
        for _ in range(3):
            metrics.record_request_completed("x", 0.2, False)
        return metrics.snapshot()

    figures = Background(use).result().operations["x"]
    assert (figures.succeeded, figures.failed) == (1, 3)
    (early,) = seen
    assert early.operations == {"x": OperationFigures(0, 1, 0, (0.1,))}
    assert metrics.snapshot().operations["x"] == figures


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (90, 90), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentiles_are_those_that_so_many_did_not_exceed(percent: float, expected: int) -> None:
    durations = tuple(float(number) for number in range(100, 0, -1))
    assert OperationFigures(100, 100, 0, durations).percentile(percent) == expected


@pytest.mark.parametrize(
    ("percent", "expected"), [(16.1, 161), (0.1, 1), (55.3, 553), (99.9, 999), (99.91, 1000)]
)
def test_percentiles_are_exact(percent: float, expected: int) -> None:
    """1000 * 16.1 / 100 is a little more than 161, as floats are."""
    durations = tuple(map(float, range(1, 1001)))
    assert OperationFigures(1000, 1000, 0, durations).percentile(percent) == expected


def test_the_percentile_of_one_request_is_that_request() -> None:
    figures = OperationFigures(1, 1, 0, (0.5,))
    assert {figures.percentile(percent) for percent in (0, 50, 99, 100)} == {0.5}


def test_an_outage_does_not_look_like_speed() -> None:
    metrics = InMemoryMetrics()
    for _ in range(20):
        metrics.record_request_completed("x", 0.05, True)
    for _ in range(100):
        metrics.record_request_completed("x", 0.00001, False)
    figures = metrics.snapshot().operations["x"]
    assert (figures.succeeded, figures.failed) == (20, 100)
    assert {figures.percentile(percent) for percent in (0, 50, 100)} == {0.05}
    assert figures.failed_durations == (0.00001,) * 100


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan")])
def test_a_percentage_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="0 to 100"):
        OperationFigures(1, 1, 0, (0.5,)).percentile(percent)


def test_without_requests_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="no request has succeeded"):
        OperationFigures(0, 0, 0, ()).percentile(50)

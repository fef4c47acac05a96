"""``OpenTelemetryMetrics``: which instrument gets what, as the SDK's own reader sees it."""

from __future__ import annotations

import builtins
import gc
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from opentelemetry import metrics as otel
from opentelemetry.metrics import _internal as otel_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.util._once import Once

from opencode_sync import (
    ConnectionState,
    IpcConfigError,
    IpcServerError,
    OpenTelemetryMetrics,
    ReconnectPolicy,
    enable_logging,
)
from opencode_sync.metrics import WatchesConnections
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.leaks import eventually

Points = dict[tuple[tuple[str, Any], ...], Any]


class Reader:
    """A provider, and what its instruments have recorded."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])
        self.units: dict[str, str] = {}
        self.version: str | None = None

    def points(self, instrument: str) -> Points:
        """Return the data points of one instrument, by attributes."""
        data = self._reader.get_metrics_data()
        found: Points = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "opencode_sync"
                self.version = scope.scope.version
                for metric in scope.metrics:
                    self.units[metric.name] = metric.unit or ""
                    if metric.name == instrument:
                        for point in metric.data.data_points:
                            found[tuple(sorted((point.attributes or {}).items()))] = point
        return found

    def values(self, instrument: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        return {key: point.value for key, point in self.points(instrument).items()}

    def states(self) -> dict[str, int]:
        """Return how many clients are in each state."""
        return {
            str(dict(key)["state"]): value
            for key, value in self.values("ipc.connection.state").items()
        }


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as one."""
    texts: list[str] = []
    disable = enable_logging("WARNING", lambda message: texts.append(message.record["message"]))
    yield texts
    disable()


def test_requests_are_counted_and_timed_by_operation_and_success(
    backend: ScriptedBackend, reader: Reader
) -> None:
    with backend.client(metrics=OpenTelemetryMetrics(reader.provider)) as client:
        client.list_sessions()
        client.check_server_health()
        backend.rule("list_sessions", b.error(6))
        with pytest.raises(IpcServerError):
            client.list_sessions()
    listed, health = ("operation", "list_sessions"), ("operation", "check_health")
    well, badly = ("success", True), ("success", False)
    assert reader.values("ipc.requests.sent") == {(listed,): 2, (health,): 1}
    assert reader.values("ipc.requests.failed") == {(listed, badly): 1}
    durations = reader.points("ipc.request.duration")
    assert {key: point.count for key, point in durations.items()} == {
        (listed, well): 1,
        (listed, badly): 1,
        (health, well): 1,
    }
    assert reader.units == {
        "ipc.requests.sent": "1",
        "ipc.request.duration": "ms",
        "ipc.requests.failed": "1",
        "ipc.messages.received": "1",
        "ipc.message.size": "By",
        "ipc.connection.state": "1",
    }


def test_durations_are_milliseconds(reader: Reader) -> None:
    metrics = OpenTelemetryMetrics(reader.provider)
    metrics.record_request_completed("x", 0.25, True)
    (point,) = reader.points("ipc.request.duration").values()
    assert point.sum == 250.0


def test_messages_are_counted_and_sized(backend: ScriptedBackend, reader: Reader) -> None:
    with backend.client(metrics=OpenTelemetryMetrics(reader.provider)) as client:
        client.check_server_health()
    answer = len(b.encode(2, b.healthy()))
    assert reader.values("ipc.messages.received") == {(): 1}
    (sizes,) = reader.points("ipc.message.size").values()
    assert (sizes.count, sizes.sum) == (1, answer)


def test_the_gauge_shows_how_many_clients_are_in_which_state(
    backend: ScriptedBackend, reader: Reader
) -> None:
    metrics = OpenTelemetryMetrics(reader.provider)
    never = ReconnectPolicy(initial_delay=3600, maximum_delay=3600)
    others = {state.value: 0 for state in ConnectionState}
    with (
        backend.client(metrics=metrics) as one,
        backend.client(metrics=metrics, reconnect=never) as two,
    ):
        assert reader.states() == others | {"connected": 2}
        backend.link(1).peer.drop()
        assert two.wait_for_state(ConnectionState.FAILED, WAIT)
        assert reader.states() == others | {"connected": 1, "failed": 1}
        assert one.is_connected


def test_several_recorders_of_one_provider_add_up(backend: ScriptedBackend, reader: Reader) -> None:
    other = Reader()
    with (
        backend.client(metrics=OpenTelemetryMetrics(reader.provider)) as one,
        backend.client(metrics=OpenTelemetryMetrics(reader.provider)) as two,
        backend.client(metrics=OpenTelemetryMetrics(other.provider)) as three,
    ):
        for client in one, two, three:
            client.check_server_health()
        assert (reader.states()["connected"], other.states()["connected"]) == (2, 1)
        assert list(reader.values("ipc.requests.sent").values()) == [2]


def test_recorders_made_before_and_after_the_global_provider_was_set_add_up(
    backend: ScriptedBackend, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a program sets it there is another object in its place, which hands on to it."""
    monkeypatch.setattr(otel_api, "_METER_PROVIDER", None)
    monkeypatch.setattr(otel_api, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(otel_api, "_PROXY_METER_PROVIDER", otel_api._ProxyMeterProvider())
    before = OpenTelemetryMetrics()
    otel.set_meter_provider(reader.provider)
    with (
        backend.client(metrics=before) as one,
        backend.client(metrics=OpenTelemetryMetrics()) as two,
        backend.client(metrics=OpenTelemetryMetrics(reader.provider)) as three,
    ):
        for client in one, two, three:
            client.check_server_health()
        assert reader.states()["connected"] == 3


def test_the_figures_say_which_version_of_the_package_they_are_of(reader: Reader) -> None:
    OpenTelemetryMetrics(reader.provider).record_request_sent("x")
    reader.points("any")
    assert reader.version == metadata.version("opencode-sync-sdk")


def test_a_package_that_is_not_installed_has_no_version(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    OpenTelemetryMetrics(reader.provider).record_request_sent("x")
    assert list(reader.values("ipc.requests.sent").values()) == [1]
    assert not reader.version


def test_the_gauge_keeps_no_client_alive(backend: ScriptedBackend, reader: Reader) -> None:
    metrics = OpenTelemetryMetrics(reader.provider)
    assert isinstance(metrics, WatchesConnections)
    client = backend.client(metrics=metrics)
    assert reader.states()["disconnected"] == 1
    del client
    gc.collect()
    assert reader.states() == {}


def test_a_recorder_that_is_gone_reports_nothing(backend: ScriptedBackend, reader: Reader) -> None:
    """The provider keeps its callbacks as long as it lives."""
    client = backend.client(metrics=OpenTelemetryMetrics(reader.provider))
    client.close()
    del client
    gc.collect()
    assert eventually(lambda: reader.states() == {})


def test_without_a_provider_the_global_one_is_used() -> None:
    metrics = OpenTelemetryMetrics()  # which does nothing, as nobody has set one
    metrics.record_request_sent("x")
    metrics.record_connection_state_change(ConnectionState.FAILED, ConnectionState.CONNECTING)


@pytest.mark.parametrize("provider", [True, "prometheus", object()])
def test_what_is_no_provider_is_refused(provider: Any) -> None:
    with pytest.raises(IpcConfigError, match="MeterProvider") as caught:
        OpenTelemetryMetrics(provider)
    assert caught.value.field == "meter_provider"


class Faulty(otel.MeterProvider):
    """Has no meter to give, or one that cannot make some instrument."""

    def __init__(self, provider: MeterProvider, fails: str) -> None:
        self._provider, self._fails = provider, fails

    def get_meter(self, *args: Any, **kwargs: Any) -> otel.Meter:
        if self._fails == "get_meter":
            raise RuntimeError("no meter")
        meter = self._provider.get_meter(*args, **kwargs)

        def refuse(*args: Any) -> Any:
            raise RuntimeError("no instrument")

        setattr(meter, self._fails, refuse)
        return meter


@pytest.mark.parametrize(
    ("fails", "left"),
    [
        ("get_meter", set[str]()),
        ("create_counter", {"ipc.request.duration", "ipc.message.size", "ipc.connection.state"}),
        (
            "create_observable_gauge",
            {
                "ipc.requests.sent",
                "ipc.request.duration",
                "ipc.messages.received",
                "ipc.message.size",
            },
        ),
    ],
)
def test_a_provider_that_fails_costs_figures_and_nothing_else_and_is_told_once(
    backend: ScriptedBackend,
    reader: Reader,
    fails: str,
    left: set[str],
    warnings: list[str],
) -> None:
    recorder = OpenTelemetryMetrics(Faulty(reader.provider, fails))
    with backend.client(metrics=recorder) as client:
        assert client.check_server_health() is True
        reader.points("any")
    assert set(reader.units) == left
    assert warnings == ["the meter provider failed; figures are lost"]


def test_without_opentelemetry_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(IpcConfigError, match=r'pip install "opencode-sync-sdk\[otel\]"'):
        OpenTelemetryMetrics()


def test_an_unsent_call_fails_without_having_been_sent(
    backend: ScriptedBackend, reader: Reader
) -> None:
    """So sent and failed together show what was refused while the backend was down."""
    backend.rule("list_sessions", HOLD)
    client = backend.client(metrics=OpenTelemetryMetrics(reader.provider))
    assert client.futures.list_sessions().exception(WAIT)
    assert reader.values("ipc.requests.sent") == {}
    assert list(reader.values("ipc.requests.failed").values()) == [1]

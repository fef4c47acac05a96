"""The window's way to the client: operations, the connection, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync import (
    ConnectionState,
    IpcArgumentError,
    IpcClientOptions,
    IpcConfig,
    IpcConfigError,
    IpcUsageError,
    StateChange,
)
from opencode_sync.desktop.local_gateway import GatewayKind, make_gateway
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.status import StatusLine
from opencode_sync.desktop.target import Target
from opencode_sync.gateway import EmbeddedBackend, Gateway, OpenCodeBackend
from opencode_sync.providers import StaticConfigProvider

from .conftest import PATIENCE, OpenWindow, config_of, destroy


@pytest.fixture
def make(qtbot: QtBot, leaves_nothing: None) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(config: Any = None, **options: Any) -> Service:
        made.append(Service(config, **options))
        return made[-1]

    yield make
    for service in made:
        service.close()
        assert service.wait_closed(30)
        destroy(service)


@pytest.fixture
def service(qtbot: QtBot, store: Gateway, make: Callable[..., Service]) -> Service:
    """Connected to the embedded store."""
    service = make(config_of(store))
    signals = [service.connected, service.backend_identified]
    with qtbot.waitSignals(signals, timeout=PATIENCE):
        service.start()
    return service


class Outcome:
    """Takes what an operation ends with."""

    def __init__(self, qtbot: QtBot) -> None:
        self._qtbot = qtbot
        self._results: list[Any] = []
        self._errors: list[BaseException] = []

    def done(self, result: Any) -> None:
        self._results.append(result)

    def failed(self, error: BaseException) -> None:
        self._errors.append(error)

    def _wait(self) -> None:
        self._qtbot.waitUntil(lambda: bool(self._results or self._errors), timeout=PATIENCE)

    @property
    def result(self) -> Any:
        self._wait()
        assert not self._errors
        return self._results.pop()

    @property
    def error(self) -> BaseException:
        self._wait()
        return self._errors.pop()


@pytest.fixture
def outcome(qtbot: QtBot) -> Outcome:
    return Outcome(qtbot)


def test_the_end_waits_for_what_was_begun(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Service]
) -> None:
    """So that no thread of it is at work any more when the program goes on to its own end."""
    service = make(IpcConfig(1024, "nobody-listens-there"))
    begun, go_on = threading.Event(), threading.Event()

    def connect() -> None:
        begun.set()
        assert go_on.wait(PATIENCE / 1000)

    monkeypatch.setattr(service.client, "connect", connect)
    service.start()
    assert begun.wait(PATIENCE / 1000)
    service.close()
    assert not service.wait_closed(0.05)
    go_on.set()
    assert service.wait_closed(PATIENCE / 1000)


def test_a_service_that_qt_has_destroyed_can_still_be_closed(
    qtbot: QtBot, store: Gateway, leaves_nothing: None
) -> None:
    service = Service(config_of(store))
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        service.start()
    destroy(service)
    service.close()
    assert service.wait_closed(PATIENCE / 1000)
    assert service.state is ConnectionState.DISCONNECTED


def test_a_session_lives_through_the_services_operations(
    service: Service, outcome: Outcome
) -> None:
    service.create_session("first", outcome.done, outcome.failed)
    made = outcome.result
    service.update_session(made.id, "second", outcome.done, outcome.failed)
    assert outcome.result.title == "second"
    service.get_session(made.id, outcome.done, outcome.failed)
    assert outcome.result.title == "second"
    service.list_sessions(outcome.done, outcome.failed)
    assert [each.id for each in outcome.result] == [made.id]
    service.delete_session(made.id, outcome.done, outcome.failed)
    assert outcome.result is True


def test_what_the_backend_does_not_have_goes_to_failed(service: Service, outcome: Outcome) -> None:
    session_id = f"ses_{1:026d}"
    for begin in (
        lambda: service.list_messages(session_id, outcome.done, outcome.failed, limit=3),
        lambda: service.list_models(outcome.done, outcome.failed),
        lambda: service.list_agents(outcome.done, outcome.failed),
        lambda: service.abort_session(session_id, outcome.done, outcome.failed),
    ):
        begin()
        assert outcome.error


def test_an_argument_that_is_refused_goes_to_failed_too(service: Service, outcome: Outcome) -> None:
    service.get_session("", outcome.done, outcome.failed)
    assert isinstance(outcome.error, IpcArgumentError)


def test_what_computes_does_so_elsewhere_and_comes_back(service: Service, outcome: Outcome) -> None:
    service.compute(lambda: 6 * 7, outcome.done, outcome.failed)
    assert outcome.result == 42
    service.compute(lambda: 1 / 0, outcome.done, outcome.failed)
    assert isinstance(outcome.error, ZeroDivisionError)


def test_a_cancelled_delivery_brings_nothing(service: Service, outcome: Outcome) -> None:
    service.list_sessions(outcome.failed, outcome.failed).cancel()
    service.compute(lambda: None, outcome.done)
    assert outcome.result is None
    assert outcome._errors == []


def test_after_the_end_nothing_begins_and_nothing_comes(service: Service, outcome: Outcome) -> None:
    service.close()
    service.close()
    assert service.wait_closed(30)
    assert service.state is ConnectionState.DISCONNECTED
    deliveries = [
        service.compute(lambda: 1, outcome.done, outcome.failed),
        service.list_sessions(outcome.done, outcome.failed),
    ]
    service.start()
    assert all(each.done for each in deliveries)
    with pytest.raises(IpcUsageError):
        service._lifecycle.connect().result(0)
    assert (outcome._results, outcome._errors) == ([], [])


def test_waiting_for_an_end_that_nobody_has_begun_is_in_vain(
    make: Callable[..., Service],
) -> None:
    assert make(IpcConfig(1024, "nobody-listens-there")).wait_closed(0) is False


def test_waiting_for_the_end_ends_in_time(
    make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make(IpcConfig(1024, "nobody-listens-there"))
    service.close()
    assert service.wait_closed(30)

    class Endless:
        def result(self, timeout: float) -> None:
            raise TimeoutError

    monkeypatch.setattr(service, "_end", Endless())
    assert service.wait_closed(0.01) is False
    monkeypatch.undo()


def test_the_latency_is_measured_and_the_backend_named(
    qtbot: QtBot, store: Gateway, make: Callable[..., Service]
) -> None:
    service = make(config_of(store), probe_seconds=0.02)
    measured: list[float] = []
    service.latency_changed.connect(measured.append)
    with qtbot.waitSignal(service.backend_identified, timeout=PATIENCE) as named:
        service.start()
    assert named.args[0].startswith("the embedded session store")
    assert service.endpoint == config_of(store).endpoint
    qtbot.waitUntil(lambda: len(measured) >= 3, timeout=PATIENCE)
    assert all(0 < each < 30 for each in measured)


def test_a_refusal_is_an_answer_whose_time_counts(
    qtbot: QtBot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference backend does not know the question."""
    monkeypatch.setattr(
        type(service.client.futures),
        "get_backend_info",
        lambda futures: futures.list_agents(),
    )
    measured: list[float] = []
    service.latency_changed.connect(measured.append)
    with qtbot.waitSignal(service.backend_identified, timeout=PATIENCE) as named:
        service._measure()
    assert (len(measured), named.args) == (1, [""])


def test_no_answer_has_no_latency(
    qtbot: QtBot, service: Service, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(futures: Any) -> Any:
        future: Future[Any] = Future()  # not a call's: that may be answered before
        future.cancel()
        return future

    monkeypatch.setattr(type(service.client.futures), "get_backend_info", cancelled)
    with qtbot.assertNotEmitted(service.latency_changed):
        service._measure()
        service.call(cancelled, outcome.done, outcome.failed)
        assert isinstance(outcome.error, CancelledError | Exception)


def test_a_wrong_setting_is_told_when_the_service_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENCODE_SYNC_DEFAULT_REQUEST_TIMEOUT", "soon")
    with pytest.raises(IpcConfigError):
        Service()


def test_the_status_line_says_how_the_connection_is(
    qtbot: QtBot, store: Gateway, open_window: OpenWindow
) -> None:
    window = open_window(config_of(store), start=False, options=IpcClientOptions())
    status = window.statusBar()
    assert isinstance(status, StatusLine)
    assert status.state.text() == "Disconnected"
    window.start()
    qtbot.waitUntil(lambda: status.latency.text().endswith(" ms"), timeout=PATIENCE)
    assert status.state.text() == "Connected"
    assert "the embedded session store" in status.server.text()
    assert config_of(store).endpoint in status.server.text()
    state = ConnectionState
    status._on_change(StateChange(state.CONNECTED, state.FAILED, retry_in=0.1))
    assert (status.state.text(), status.latency.text()) == ("Disconnected, trying again", "")
    for old, new, text in (
        (state.FAILED, state.CONNECTING, "Disconnected, trying again"),
        (state.CONNECTING, state.FAILED, "Disconnected"),
        (state.FAILED, state.CONNECTING, "Connecting..."),
        (state.CONNECTING, state.AUTHENTICATING, "Authenticating..."),
        (state.CONNECTED, state.DISCONNECTING, "Disconnecting..."),
    ):
        status._on_change(StateChange(old, new))
        assert status.state.text() == text


def test_the_target_keeps_what_the_newest_configuration_said() -> None:
    first, second = IpcConfig(4096, "a" * 20), IpcConfig(4097, "b" * 20)

    class Changing:
        def get_config(self) -> IpcConfig:
            target.set_config(second)  # as the user does in this very moment
            return first

    target = Target(Changing())
    assert target.endpoint == ""
    assert target.get_config() is first
    assert target.endpoint == second.endpoint
    assert target.get_config() == second
    target.close()
    with pytest.raises(IpcConfigError):
        target.get_config()
    assert Target(StaticConfigProvider(first)).get_config() is first


def test_a_gateway_of_each_kind_can_be_made() -> None:
    gateway = make_gateway(GatewayKind.EMBEDDED)
    assert isinstance(gateway.backend, EmbeddedBackend)
    assert gateway.runtime_file is None
    gateway.stop()
    for kind, discovers in ((GatewayKind.OPENCODE, True), (GatewayKind.OWN_OPENCODE, False)):
        gateway = make_gateway(kind)
        assert isinstance(gateway.backend, OpenCodeBackend)
        assert gateway.backend._discover_at_start is discovers
        assert gateway.backend._spawn_at_start
        gateway.stop()


@pytest.mark.parametrize("package", ["websockets", ""])
def test_without_the_gateways_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "opencode_sync.gateway.serve":
            raise ImportError(f"No module named {package}", name=package or "opencode_sync.x")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(IpcConfigError if package else ImportError) as raised:
        make_gateway(GatewayKind.EMBEDDED)
    if package:
        assert "opencode-sync-sdk[gateway]" in str(raised.value)

"""The fixtures of the pytest plugin, in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from opencode_sync import IpcArgumentError, IpcClient, IpcConfig, IpcConnectionError
from opencode_sync.gateway import Gateway
from opencode_sync.gateway.app_config import default_config_file
from opencode_sync.gateway.backends.embedded import default_database
from opencode_sync.testing import (
    FakeIpcClient,
    Fault,
    FaultPlan,
    FaultProxy,
    Recorder,
    ScriptedBackend,
    replay,
)
from opencode_sync.testing.fixtures import Faults
from opencode_sync.testing.plugin import _FAULTS, pytest_runtest_makereport
from opencode_sync.wire.oc_session_pb2 import OcSessionList


def test_a_client_is_connected_and_has_a_store_of_its_own(opencode_client: IpcClient) -> None:
    assert opencode_client.is_connected
    session = opencode_client.create_session("x")
    assert [each.id for each in opencode_client.list_sessions()] == [session.id]
    assert opencode_client.update_config({"version": 1}).success


def test_the_next_test_has_another(opencode_client: IpcClient) -> None:
    assert list(opencode_client.list_sessions()) == []


def test_nothing_of_the_users_is_touched(opencode_client: IpcClient) -> None:
    """Neither sessions nor settings."""
    files = [default_database(), default_config_file()]
    before = [each.stat().st_mtime_ns if each.exists() else None for each in files]
    opencode_client.create_session("x")
    opencode_client.update_config({"version": 1})
    assert [each.stat().st_mtime_ns if each.exists() else None for each in files] == before


def test_a_gateway_is_found_without_arguments(opencode_gateway: Gateway) -> None:
    with IpcClient() as client:
        assert client.create_session("x").title == "x"
        assert opencode_gateway.endpoint.startswith("ws://127.0.0.1:")


def test_processes_find_the_gateway_too(opencode_gateway: Gateway) -> None:
    script = "from opencode_sync import IpcClient\nwith IpcClient() as c: c.create_session('far')"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", script], env=environ, timeout=60, check=True)
    with IpcClient() as client:
        assert [each.title for each in client.list_sessions()] == ["far"]


def test_a_fake_is_connected(opencode_fake: FakeIpcClient) -> None:
    assert opencode_fake.create_session("x").title == "x"


def test_a_script_is_there(opencode_script: ScriptedBackend) -> None:
    opencode_script.expect("list_sessions").answer(OcSessionList())
    with opencode_script.client() as client:
        assert list(client.list_sessions()) == []


def test_faults_go_between(opencode_gateway: Gateway, opencode_faults: Faults) -> None:
    proxy = opencode_faults.proxy(opencode_gateway, Fault.reset(direction="to_client", message=2))
    config = IpcConfig(proxy.port, opencode_gateway.auth_token)
    with IpcClient(config, reconnect=None) as client, pytest.raises(IpcConnectionError):
        client.create_session("x")
    assert [each.fault.kind for each in proxy.injected] == ["reset"]
    assert repr(proxy.plan) in opencode_faults.report()


def test_faults_by_addresses_and_in_memory(
    opencode_gateway: Gateway, opencode_faults: Faults
) -> None:
    address = ("127.0.0.1", opencode_gateway.port)
    for backend in (address, lambda: address):
        assert opencode_faults.proxy(backend, Fault.delay(0.0)).port
    transports = opencode_faults.transports(
        lambda config, options: opencode_gateway.connect_in_memory(),
        Fault.cut(direction="to_client", message=2),
    )
    config = IpcConfig(65535, opencode_gateway.auth_token)
    with (
        IpcClient(config, reconnect=None, transport_factory=transports) as client,
        pytest.raises(IpcConnectionError),
    ):
        client.create_session("x")
    assert len(opencode_faults.report().splitlines()) == 3


@pytest.fixture
def same_name() -> Iterator[tuple[Faults, Faults]]:
    with Faults("tests/test_x.py::test_y") as first, Faults("tests/test_x.py::test_y") as second:
        yield first, second


def test_the_seed_is_the_names(same_name: tuple[Faults, Faults]) -> None:
    """The same in every process; another for another test."""
    first, second = same_name
    assert repr(first.plan()) == repr(second.plan())
    assert first.seed == second.seed == 4194964198
    assert Faults("tests/test_x.py::test_z").seed != first.seed
    assert repr(first) == "Faults(seed=4194964198)"
    assert Faults("x").report() == ""
    again = eval(first.report(), {"Fault": Fault, "FaultPlan": FaultPlan})
    assert repr(again) == first.report()


def test_a_plan_that_was_shown_is_given_in_the_faults_place(
    opencode_gateway: Gateway, opencode_faults: Faults
) -> None:
    """To the fixture or to a proxy of one's own; and its seed to the fixture."""
    shown = repr(FaultPlan([Fault.reset(direction="to_client", message=2)], seed=7))
    plan = eval(shown, {"Fault": Fault, "FaultPlan": FaultPlan})
    with FaultProxy(opencode_gateway, plan) as own:
        for proxy in (opencode_faults.proxy(opencode_gateway, plan), own):
            config = IpcConfig(proxy.port, opencode_gateway.auth_token)
            with IpcClient(config, reconnect=None) as client, pytest.raises(IpcConnectionError):
                client.create_session("x")
            assert [each.fault.kind for each in proxy.injected] == ["reset"]
    assert opencode_faults.report() == shown
    opencode_faults.seed = 7
    assert repr(opencode_faults.plan(*plan.faults)) == shown
    assert repr(opencode_faults.plan()) == repr(FaultPlan.from_seed(7))


def test_faults_that_are_none_are_refused_before_anything_runs(
    opencode_gateway: Gateway, opencode_faults: Faults
) -> None:
    plan, fault = FaultPlan(seed=1), Fault.delay(0.0)
    for given, remedy in (
        ((plan, fault), "either one plan or faults"),
        ((plan, plan), "either one plan or faults"),
        (("reset",), "give faults, such as"),
    ):
        with pytest.raises(IpcArgumentError, match=remedy) as caught:
            opencode_faults.proxy(opencode_gateway, *given)  # type: ignore[arg-type]
        assert caught.value.field == "faults"
    assert opencode_faults.report() == ""


def report_of(item: object, *, when: str, failed: bool, excinfo: object = None) -> SimpleNamespace:
    """What the plugin's hook makes of a test's report."""
    report = SimpleNamespace(when=when, failed=failed, passed=not failed, sections=[])
    hook = pytest_runtest_makereport(item)  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(SimpleNamespace(excinfo=excinfo, get_result=lambda: report))
    return report


def test_only_the_report_of_a_failed_test_shows_its_faults(opencode_faults: Faults) -> None:
    item = SimpleNamespace()
    assert report_of(item, when="call", failed=True).sections == []  # it has none
    setattr(item, _FAULTS, opencode_faults)
    assert report_of(item, when="call", failed=True).sections == []  # it has made none
    plan = opencode_faults.plan(Fault.drop(message=3))
    assert report_of(item, when="call", failed=False).sections == []
    assert report_of(item, when="teardown", failed=True).sections == []
    assert report_of(item, when="call", failed=True, excinfo="another plugin's").sections == []
    shown = report_of(item, when="call", failed=True).sections
    (section,) = shown
    assert section[0].startswith("opencode_sync faults")
    assert section[1] == repr(plan)


def test_a_conversation_over_a_websocket_is_recorded(
    opencode_gateway: Gateway, tmp_path: Path
) -> None:
    def program(client: IpcClient) -> list[str]:
        client.create_session("recorded")
        return [each.title for each in client.list_sessions()]

    with (
        Recorder(tmp_path / "r.json") as recorder,
        IpcClient(transport_factory=recorder) as client,
    ):
        recorded = program(client)
    assert opencode_gateway.auth_token not in (tmp_path / "r.json").read_text("utf-8")
    with replay(tmp_path / "r.json") as conversation, conversation.client() as client:
        assert program(client) == recorded == ["recorded"]

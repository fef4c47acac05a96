"""The faults as a user has them: around a client and a gateway; and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_sync import (
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConnectionError,
    IpcTimeoutError,
    ReconnectPolicy,
)
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.testing import Fault, FaultPlan, FaultProxy, FaultyTransports

TOKEN = "token-of-a-test-0123456789"
QUICK = ReconnectPolicy(initial_delay=0.01, jitter=0.0)


@pytest.fixture
def gateway(_leaves_nothing: None, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(EmbeddedBackend(tmp_path / "sessions.db"), auth_token=TOKEN) as gateway:
        yield gateway


def test_a_client_survives_a_reset_in_mid_frame(gateway: Gateway) -> None:
    plan = FaultPlan(
        [Fault.reset(direction="to_client", connection=1, message=2, offset=1)], seed=1
    )
    with FaultProxy(("127.0.0.1", gateway.port), plan) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=TOKEN)
        with IpcClient(config, reconnect=QUICK) as client:
            assert list(client.list_sessions()) == []
        assert proxy.connections == 2
        assert [(i.connection, i.message) for i in proxy.injected] == [(1, 2)]


@pytest.mark.parametrize(
    "fault", [Fault.slice(1), Fault.fragment(1), Fault.throttle(200_000)], ids=repr
)
def test_a_client_does_not_mind_in_which_pieces_it_is_served(
    gateway: Gateway, fault: Fault
) -> None:
    with FaultProxy(("127.0.0.1", gateway.port), FaultPlan([fault], seed=1)) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=TOKEN)
        with IpcClient(config, reconnect=None) as client:
            created = client.create_session("a title of some length")
            assert client.get_session(created.id).title == "a title of some length"
        assert proxy.connections == 1


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4000])
def test_a_client_tells_the_close_code(gateway: Gateway, code: int) -> None:
    plan = FaultPlan([Fault.close(code, "because", message=2)], seed=1)
    with FaultProxy(("127.0.0.1", gateway.port), plan) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=TOKEN)
        with IpcClient(config, reconnect=None) as client:
            with pytest.raises(IpcConnectionError) as lost:
                client.create_session("x")
            assert (lost.value.close_code, lost.value.close_reason) == (code, "because")
            assert lost.value.request_sent


def test_a_handshake_that_stalls_is_a_time_out(gateway: Gateway) -> None:
    with FaultProxy(
        ("127.0.0.1", gateway.port), FaultPlan([Fault.stall_handshake()], seed=1)
    ) as proxy:
        config = IpcConfig(port=proxy.port, auth_token=TOKEN)
        client = IpcClient(config, options=IpcClientOptions(connection_timeout=0.1))
        with pytest.raises(IpcTimeoutError):
            client.connect()


def test_the_same_without_sockets(gateway: Gateway) -> None:
    plan = FaultPlan([Fault.drop(direction="to_client", message=2)], seed=1)
    faults = FaultyTransports(lambda config, options: gateway.connect_in_memory(), plan)
    config = IpcConfig(port=4096, auth_token=TOKEN)
    with IpcClient(config, transport_factory=faults, reconnect=None) as client:
        with pytest.raises(IpcTimeoutError):
            client.list_sessions(timeout=0.05)
        assert list(client.list_sessions()) == []
    (injection,) = faults.injected
    assert injection.fault is plan.faults[0]


def test_importing_it_needs_the_core_only() -> None:
    """It is for users' own tests, which have none of the extras as a rule."""
    code = (
        "import sys, opencode_sync.testing\n"
        "heavy = {'websockets', 'urllib3', 'psutil', 'typer', 'rich', 'requests', 'pytest',"
        " 'hypothesis', 'opencode_sync.gateway'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

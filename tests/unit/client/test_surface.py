"""The client as users first meet it: its constructor, its repr, its help, its silence."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from typing import Any

import pytest

import opencode_sync
from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConfigError,
    IpcServerError,
    IpcUsageError,
    StaticConfigProvider,
)
from opencode_sync import client as client_module
from tests.support import backend as b
from tests.support.backend import CONFIG, TOKEN, ScriptedBackend
from tests.support.leaks import descriptor_count


class Untouchable:
    """A provider and a factory that must not be asked."""

    def get_config(self) -> IpcConfig:
        raise AssertionError("the provider was asked")

    def __call__(self, config: IpcConfig, options: IpcClientOptions) -> Any:
        raise AssertionError("a transport was made")


def test_making_a_client_does_no_io_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, descriptors = set(threading.enumerate()), descriptor_count()
    with monkeypatch.context() as patch:
        for name in ("open", "socket"):
            patch.setattr(f"{'builtins' if name == 'open' else 'socket'}.{name}", None)
        clients = [IpcClient(Untouchable(), transport_factory=Untouchable()) for _ in range(50)]
        clients.append(IpcClient())
    assert set(threading.enumerate()) <= before
    assert descriptor_count() == descriptors
    for client in clients:
        assert client.state is ConnectionState.DISCONNECTED
        assert not client.is_connected
        client.close()


@pytest.mark.parametrize("config", ["ws://x", 4096, {"port": 4096}, object(), ("127.0.0.1", 1)])
def test_a_config_of_the_wrong_type_is_refused(config: Any) -> None:
    with pytest.raises(IpcConfigError):
        IpcClient(config)


def test_a_config_or_a_provider_will_do(backend: ScriptedBackend) -> None:
    for config in (CONFIG, StaticConfigProvider(CONFIG)):
        with backend.client(config) as client:
            assert client.check_server_health() is True


def test_the_options_are_those_given(backend: ScriptedBackend) -> None:
    options = IpcClientOptions(default_request_timeout=3.0)
    assert backend.client(options=options).options is options
    assert backend.client().options == IpcClientOptions()


def test_options_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(IpcConfigError, match="options"):
        IpcClient(CONFIG, options={"ping_interval": 5})  # type: ignore[arg-type]


def test_a_policy_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(IpcConfigError, match="reconnect"):
        IpcClient(CONFIG, reconnect=True)  # type: ignore[arg-type]


def test_its_repr_tells_the_state_and_no_secret(backend: ScriptedBackend) -> None:
    client = backend.client()
    assert repr(client) == "<IpcClient disconnected>"
    with client:
        assert repr(client) == "<IpcClient connected>"
        for thing in (client, client.futures, client.options, client.futures.list_sessions()):
            assert TOKEN not in repr(thing)
            assert TOKEN not in str(thing)


def test_every_public_thing_has_a_docstring() -> None:
    for name in opencode_sync.__all__:
        if name.startswith("__"):
            continue
        thing = getattr(opencode_sync, name)
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and inspect.isfunction(value):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_all_names_of_all_are_there() -> None:
    for name in opencode_sync.__all__:
        assert hasattr(opencode_sync, name)


def test_importing_the_package_brings_nothing_heavy() -> None:
    heavy = "requests websockets websocket typer rich PySide6 opentelemetry tenacity"
    code = f"import sys, opencode_sync; print(sorted(set({heavy.split()}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


# --- health_check ---


@pytest.mark.parametrize(
    "answer", [b.error(6), b.healthy(False), {}, b.sessions(), b.NO_SERVER, b.error(77)]
)
def test_the_health_check_is_false_for_whatever_the_backend_says(
    backend: ScriptedBackend, client: IpcClient, answer: b.Payload
) -> None:
    backend.rule("check_health", answer)
    backend.rule("discover_server", b.discovered(None))
    assert client.health_check(timeout=5) is False


def test_the_health_check_is_false_when_time_runs_out_or_nobody_is_there(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("check_health", b.HOLD)
    assert client.health_check(timeout=0.01) is False
    backend.link().peer.drop()
    assert client.health_check(timeout=1) is False
    client.close()
    assert client.health_check() is False


def test_check_server_health_raises_where_the_other_is_false(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("check_health", b.error(6))
    with pytest.raises(IpcServerError):
        client.check_server_health()
    backend.rule("check_health", b.healthy(False))
    assert client.check_server_health() is False


def test_wrong_use_is_not_taken_for_ill_health(client: IpcClient) -> None:
    with pytest.raises(IpcUsageError):
        client.health_check(timeout="soon")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        client.health_check(5)  # type: ignore[call-arg]


# --- After a fork, and at the end of the program ---


def test_a_client_of_another_process_refuses_and_frees_its_descriptor(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing is in ``test_fork``, in processes of its own."""
    disposed: list[bool] = []
    live = client._supervisor._live
    assert live is not None
    assert live._transport is not None
    with monkeypatch.context() as patch:
        patch.setattr(live._transport, "dispose", lambda: disposed.append(True))
        patch.setattr(client._calls._connected_in, "left", True)
        with pytest.raises(IpcUsageError, match="fork"):
            client.connect()
        with pytest.raises(IpcUsageError, match="fork"):
            client.futures.list_sessions()
        client.close()
        assert disposed == [True]
        assert client.is_connected  # nothing was said to the backend
    assert client.check_server_health() is True


def test_disowning_a_connection_that_has_no_link_yet_does_nothing(
    backend: ScriptedBackend,
) -> None:
    backend.client()._make_connection().disown()


def test_the_end_of_the_program_closes_what_was_left_open(backend: ScriptedBackend) -> None:
    clients = [backend.client() for _ in range(3)]
    for client in clients:
        client.connect()
    client_module._close_all()
    assert {client.state for client in clients} == {ConnectionState.DISCONNECTED}
    assert backend.link(0).wait_for_end().code == 1000


def test_without_a_factory_the_link_is_a_websocket_made_without_io() -> None:
    client = IpcClient(CONFIG)
    transport = client._transport_factory(CONFIG, IpcClientOptions())
    assert transport.endpoint == "ws://127.0.0.1:4096/"
    transport.abort()
    transport.dispose()


def test_a_future_that_could_not_be_begun_is_not_left_behind(
    client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(client._supervisor, "submit", lambda call: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            client.futures.list_sessions()
    assert client._sweep._live == set()


def test_one_that_had_ended_before_is_not_left_behind_either(
    client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = client._supervisor.submit

    def interrupted(call: Any) -> None:
        submit(call)
        call.claim()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client._supervisor, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.futures.list_sessions()
    live = client._supervisor._live
    assert live is not None
    assert len(live._pending) == 0

"""The client and this package's own gateway, over real sockets and in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcAuthenticationError,
    IpcClient,
    IpcConfig,
    IpcConfigError,
    IpcConnectionError,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import EmbeddedBackend, Gateway
from tests.integration.client.conftest import assert_no_token, client_threads
from tests.support.ipcserver import TOKEN
from tests.support.leaks import eventually

pytest.importorskip("websockets")

MakeClient = Callable[..., IpcClient]

_ROOT = Path(__file__).parents[3]
_FAST = ReconnectPolicy(initial_delay=0.02, maximum_delay=0.1, jitter=0.0)
_FAIL_FAST = ReconnectPolicy(initial_delay=60.0, maximum_delay=60.0, wait_while_down=False)


class Halting(EmbeddedBackend):
    """A store whose lists take as long as the test wants."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    def list_sessions(self, *, deadline: Deadline) -> Any:
        self.asked.release()
        self.go_on.wait(deadline.remaining())
        return super().list_sessions(deadline=deadline)

    def close(self) -> None:
        self.go_on.set()
        super().close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def start(stack: ExitStack, database: Path) -> Callable[..., Gateway]:
    """Starts a gateway on the test's store; it is stopped at the end."""

    def start_gateway(*, backend: EmbeddedBackend | None = None, **settings: Any) -> Gateway:
        gateway = Gateway(
            backend or EmbeddedBackend(database), **({"auth_token": str(TOKEN)} | settings)
        )
        return stack.enter_context(gateway)

    return start_gateway


def _config(gateway: Gateway, token: str | None = None) -> IpcConfig:
    return IpcConfig(port=gateway.port, auth_token=token or gateway.auth_token)


# --- One client, one gateway ---


def test_the_whole_life_of_a_client(start: Callable[..., Gateway], make_client: MakeClient) -> None:
    client = make_client(_config(start()))
    changes: list[StateChange] = []
    client.on_state_change(changes.append)
    assert client.state is ConnectionState.DISCONNECTED
    with client:
        assert client.is_connected
        client.connect()  # once more changes nothing
        assert client.health_check() is True
        assert client.check_server_health() is True
        created = [client.create_session(title) for title in ("one", "zwei 🧪", "")]
        assert [session.title for session in created][:2] == ["one", "zwei 🧪"]
        assert {session.id for session in client.list_sessions()} == {s.id for s in created}
        assert client.delete_session(created[0].id) is True
        assert client.delete_session(created[0].id) is False
        assert client.futures.delete_session(created[1].id).result(5) is True
        assert [session.id for session in client.list_sessions()] == [created[2].id]
    assert client.state is ConnectionState.DISCONNECTED
    assert client_threads() == []
    with client:  # a closed client may be connected again
        assert [session.id for session in client.list_sessions()] == [created[2].id]
    steps = [change.new.name for change in changes]
    one_life = ["CONNECTING", "AUTHENTICATING", "CONNECTED", "DISCONNECTING", "DISCONNECTED"]
    assert steps == one_life * 2
    assert all(change.cause is None for change in changes)


def test_titles_survive_the_gateway_and_its_store(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    titles = ["x" * 1_000_000, "a\x00b", "👩‍👩‍👧‍👦", "\u202e\r\n"]
    with make_client(_config(start())) as client:
        for title in titles:
            assert client.create_session(title).title == title
        assert {session.title for session in client.list_sessions()} == set(titles)


def test_a_wrong_token(start: Callable[..., Gateway], make_client: MakeClient) -> None:
    gateway = start()
    wrong = "tok-wrong-horse-battery-staple"
    client = make_client(_config(gateway, wrong), reconnect=ReconnectPolicy())
    for _ in range(3):
        with pytest.raises(IpcAuthenticationError) as caught:
            client.connect()
        assert "Invalid authentication token" in caught.value.message
        assert "check" in caught.value.message
        assert caught.value.endpoint == gateway.endpoint
        assert_no_token(caught.value, wrong)
        assert_no_token(caught.value)
    assert client.state is ConnectionState.FAILED
    assert eventually(lambda: client_threads() == [])  # no attempt of its own goes on
    assert client.health_check() is False
    with make_client(_config(gateway)) as other:
        assert other.check_server_health() is True


def test_malformed_session_ids_name_the_field(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    with make_client(_config(start())) as client:
        for malformed in ("nonsense", "ses_../../etc", "x" * 100_000):
            with pytest.raises(IpcServerError) as caught:
                client.delete_session(malformed)
            assert caught.value.code_name == "INVALID_MESSAGE"
            assert "session_id" in caught.value.message
            assert len(caught.value.message) < 1000
        assert client.delete_session("ses_00000000000000000000000000") is False


def test_the_embedded_store_is_its_own_server_and_can_neither_move_nor_stop(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    with make_client(_config(start())) as client:
        found = client.discover_server()
        assert found is not None
        assert found.name == "embedded"
        assert not found.owned  # nothing of the client's to stop
        assert client.spawn_server() == found
        for call, operation in (
            (lambda: client.spawn_server(4096), "spawn_server"),
            (lambda: client.futures.spawn_server(4096).result(5), "spawn_server"),
            (client.stop_server, "stop_server"),
        ):
            with pytest.raises(IpcUnsupportedOperationError) as caught:
                call()
            assert caught.value.operation == operation
            assert caught.value.code_name == "NOT_IMPLEMENTED"
            assert ";" in caught.value.message  # a remedy
        assert list(client.list_sessions()) == []  # and the client goes on


def test_64_threads_of_10_requests(start: Callable[..., Gateway], make_client: MakeClient) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(10):
            nonce = f"{number}/{turn}"
            try:
                if (got := client.create_session(nonce).title) != nonce:
                    wrong.append((nonce, got))
            except Exception as error:
                wrong.append(error)

    with make_client(_config(start()), default_request_timeout=30) as client:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len({session.title for session in client.list_sessions()}) == 640


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "ws_proxy"])
def test_proxies_in_the_environment_are_not_asked(
    name: str,
    start: Callable[..., Gateway],
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")  # discards what it gets, where it is there
    with make_client(_config(start())) as client:
        assert client.check_server_health() is True


# --- In memory ---


def test_the_same_gateway_without_sockets(
    start: Callable[..., Gateway], stack: ExitStack, database: Path
) -> None:
    gateway = Gateway(EmbeddedBackend(database), auth_token=str(TOKEN))
    stack.callback(gateway.stop)
    config = IpcConfig(port=4096, auth_token=str(TOKEN))
    client = IpcClient(config, transport_factory=lambda *_: gateway.connect_in_memory())
    with client:
        created = client.create_session("in memory")
        assert client.list_sessions()[0].id == created.id
        with pytest.raises(IpcUnsupportedOperationError):
            client.stop_server()
        assert client.delete_session(created.id) is True
    with client:
        assert list(client.list_sessions()) == []


def test_a_wrong_token_in_memory(stack: ExitStack, database: Path) -> None:
    gateway = Gateway(EmbeddedBackend(database))
    stack.callback(gateway.stop)
    config = IpcConfig(port=4096, auth_token=str(TOKEN))
    client = IpcClient(config, transport_factory=lambda *_: gateway.connect_in_memory())
    with pytest.raises(IpcAuthenticationError) as caught:
        client.connect()
    assert_no_token(caught.value)
    assert_no_token(caught.value, gateway.auth_token)


def test_a_gateway_in_memory_that_stops(stack: ExitStack, database: Path) -> None:
    gateway = Gateway(EmbeddedBackend(database), auth_token=str(TOKEN))
    stack.callback(gateway.stop)
    config = IpcConfig(port=4096, auth_token=str(TOKEN))
    client = stack.enter_context(
        IpcClient(config, reconnect=None, transport_factory=lambda *_: gateway.connect_in_memory())
    )
    gateway.stop()
    assert eventually(lambda: not client.is_connected)
    with pytest.raises(IpcConnectionError):
        client.list_sessions()


# --- A gateway that goes, and comes back ---


def test_a_stopped_gateway_says_goodbye(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    gateway = start()
    client = make_client(_config(gateway))
    client.connect()
    gateway.stop()
    assert client.wait_for_state(ConnectionState.DISCONNECTED, 5)
    with pytest.raises(IpcConnectionError) as caught:
        client.list_sessions()
    assert "connect()" in caught.value.message


def test_a_gateway_started_again_on_the_same_port(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    gateway = start()
    client = make_client(_config(gateway), reconnect=_FAST)
    client.connect()
    created = client.create_session("kept")
    for _ in range(3):
        port = gateway.port
        gateway.stop()
        assert eventually(lambda: not client.is_connected)
        waiting = client.futures.list_sessions(timeout=10)
        with pytest.raises(IpcTimeoutError) as caught:
            client.list_sessions(timeout=0.1)
        assert caught.value.request_sent is False
        assert "there was no connection" in caught.value.message
        gateway = start(port=port)
        assert [session.id for session in waiting.result(10)] == [created.id]
        assert client.is_connected
        assert [session.id for session in client.list_sessions()] == [created.id]


def test_failing_fast_while_a_gateway_is_away(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    gateway = start()
    client = make_client(_config(gateway), reconnect=_FAIL_FAST)
    client.connect()
    port = gateway.port
    gateway.stop()
    assert eventually(lambda: not client.is_connected)
    started = time.monotonic()
    with pytest.raises(IpcConnectionError) as caught:
        client.list_sessions(timeout=10)
    assert time.monotonic() - started < 5  # and not the ten it was given
    assert "next attempt" in caught.value.message
    assert caught.value.request_sent is False
    assert client.health_check() is False
    start(port=port)
    client.connect()  # does not wait for the next attempt
    assert client.check_server_health() is True


def test_another_token_after_the_restart_is_asked_of_the_provider_anew(
    start: Callable[..., Gateway], make_client: MakeClient
) -> None:
    class Latest:
        config: IpcConfig

        def get_config(self) -> IpcConfig:
            return self.config

    latest = Latest()
    gateway = start()
    latest.config = _config(gateway)
    client = make_client(latest, reconnect=_FAST)
    client.connect()
    gateway.stop()
    gateway = start(auth_token="another-token-of-some-length")
    latest.config = _config(gateway)
    assert client.check_server_health(timeout=10) is True


def test_a_gateway_that_stops_answers_or_fails_what_is_in_flight(
    start: Callable[..., Gateway], make_client: MakeClient, database: Path
) -> None:
    backend = Halting(database)
    gateway = start(backend=backend)
    client = make_client(_config(gateway), default_request_timeout=20)
    client.connect()
    futures: list[Future[Any]] = [client.futures.list_sessions() for _ in range(20)]
    for _ in futures:
        assert backend.asked.acquire(timeout=5)
    started = time.monotonic()
    gateway.stop(timeout=0.4)
    assert wait(futures, 5).not_done == set()
    assert time.monotonic() - started < 8.0
    for future in futures:
        error = future.exception()
        assert error is None or isinstance(error, IpcConnectionError | IpcServerError)
    assert eventually(lambda: not client.is_connected)


_DOOMED = """
import sys, threading
from opencode_sync.gateway import EmbeddedBackend, Gateway

class Halting(EmbeddedBackend):
    def list_sessions(self, *, deadline):
        threading.Event().wait(60)

gateway = Gateway(Halting(sys.argv[1]), auth_token=sys.argv[2])
gateway.start()
print(gateway.port, flush=True)
threading.Event().wait(60)
"""


@pytest.fixture
def doomed(database: Path, log: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A gateway in a process of its own that never answers a list."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_DOOMED), str(database), str(TOKEN)],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_gateway_that_is_killed_with_requests_in_flight(
    doomed: tuple[subprocess.Popen[str], int],
    make_client: MakeClient,
    start: Callable[..., Gateway],
) -> None:
    process, port = doomed
    client = make_client(
        IpcConfig(port=port, auth_token=str(TOKEN)), reconnect=_FAST, default_request_timeout=20
    )
    client.connect()
    kept = client.create_session("answered before the kill")
    lists: list[Future[Any]] = [client.futures.list_sessions() for _ in range(20)]
    blocked: list[Any] = []
    caller = threading.Thread(target=lambda: blocked.append(client.list_sessions()))
    caller.start()
    client.check_server_health()  # by now all of them are there
    process.send_signal(signal.SIGKILL)
    assert process.wait(5) == -signal.SIGKILL
    assert eventually(lambda: not client.is_connected)
    with pytest.raises(IpcTimeoutError) as caught:
        client.delete_session(kept.id, timeout=0.1)
    assert caught.value.request_sent is False
    # Lists are harmless, so they are asked again of the next one, which has the same store.
    start(port=port)
    for future in lists:
        assert [session.id for session in future.result(10)] == [kept.id]
    caller.join(10)
    assert [session.id for session in blocked[0]] == [kept.id]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_gateway_frees_everybody_at_once(
    doomed: tuple[subprocess.Popen[str], int], make_client: MakeClient
) -> None:
    process, port = doomed
    client = make_client(IpcConfig(port=port, auth_token=str(TOKEN)), default_request_timeout=20)
    client.connect()
    futures: list[Future[Any]] = [client.futures.list_sessions() for _ in range(50)]
    assert client.futures.create_session().result(10)
    started = time.monotonic()
    process.send_signal(signal.SIGKILL)
    assert wait(futures, 5).not_done == set()
    assert time.monotonic() - started < 5.0  # and not the twenty of their time-out
    for future in futures:
        error = future.exception()
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert error.close_code is None
    assert client.state is ConnectionState.FAILED


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_gateway_that_is_paused_is_found_by_a_ping_and_used_again(
    doomed: tuple[subprocess.Popen[str], int], make_client: MakeClient
) -> None:
    """A process that is stopped keeps its connections, and takes new ones, but answers none."""
    process, port = doomed
    client = make_client(
        IpcConfig(port=port, auth_token=str(TOKEN)),
        reconnect=_FAST,
        ping_interval=0.1,
        ping_timeout=0.2,
        connection_timeout=0.3,
    )
    client.connect()
    process.send_signal(signal.SIGSTOP)
    try:
        assert client.wait_for_state(ConnectionState.FAILED, 5)
    finally:
        process.send_signal(signal.SIGCONT)
    assert client.create_session("after", timeout=10).title == "after"


# --- Finding it ---


def test_a_running_gateway_is_found_by_its_runtime_file(
    start: Callable[..., Gateway],
    stack: ExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    runtime_file = folder / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))
    client = IpcClient()
    stack.callback(client.close)
    with pytest.raises(IpcConfigError) as caught:
        client.connect()
    assert str(runtime_file) in caught.value.message  # what was looked for
    assert "opencode-sync gateway" in caught.value.message  # what to do
    assert client.state is ConnectionState.FAILED

    gateway = start(runtime_file=runtime_file)
    with client:
        assert client.check_server_health() is True
    gateway.stop()
    assert not runtime_file.exists()

    # Another gateway has another port and another token; the same client finds it.
    start(runtime_file=runtime_file, auth_token="another-token-of-some-length")
    with client:
        assert client.check_server_health() is True


def test_a_client_follows_a_gateway_to_its_new_port(
    start: Callable[..., Gateway],
    stack: ExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(folder / "gateway.json"))
    gateway = start(runtime_file=folder / "gateway.json")
    client = stack.enter_context(IpcClient(reconnect=_FAST))
    created = client.create_session("kept")
    gateway.stop()
    assert eventually(lambda: not client.is_connected)
    start(runtime_file=folder / "gateway.json", auth_token=None)
    assert [session.id for session in client.list_sessions(timeout=10)] == [created.id]


def test_the_environment_comes_before_the_runtime_file(
    start: Callable[..., Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start()
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(tmp_path / "absent.json"))
    monkeypatch.setenv("OPENCODE_IPC_PORT", str(gateway.port))
    monkeypatch.setenv("OPENCODE_IPC_TOKEN", gateway.auth_token)
    with IpcClient() as client:
        assert client.check_server_health() is True


def test_a_runtime_file_left_by_a_killed_gateway(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opencode_sync.runtime_file import write_runtime_file
    from tests.support.ipcserver import free_port

    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(folder / "gateway.json"))
    port = free_port()
    write_runtime_file(folder / "gateway.json", port=port, auth_token=str(TOKEN))
    with pytest.raises(IpcConnectionError) as caught:
        IpcClient().connect()
    assert f":{port}/" in caught.value.message
    assert_no_token(caught.value)

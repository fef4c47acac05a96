"""Client, WebSocket, gateway, a real OpenCode: each answer checked against OpenCode's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from opencode_sync import (
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcServerError,
)
from opencode_sync.gateway import BackendError, Gateway, OpenCodeBackend
from opencode_sync.types import IpcErrorCode
from tests.e2e.opencode_server import RealServer, offline_environment
from tests.support.leaks import eventually

pytestmark = pytest.mark.e2e

Start = Callable[..., RealServer]
Connect = Callable[[OpenCodeBackend], IpcClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Puts a gateway in front of a backend and returns a connected client."""
    gateways: list[Gateway] = []
    clients: list[IpcClient] = []

    def make(backend: OpenCodeBackend) -> IpcClient:
        gateways.append(Gateway(backend))
        gateways[-1].start()
        clients.append(IpcClient(IpcConfig(gateways[-1].port, gateways[-1].auth_token)))
        clients[-1].connect()
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    for gateway in gateways:
        gateway.stop()


@pytest.fixture
def client(opencode_server: RealServer, connect: Connect) -> IpcClient:
    """A client of the shared server, given by URL."""
    return connect(OpenCodeBackend(opencode_server.url))


def code(error: pytest.ExceptionInfo[IpcServerError]) -> str:
    """The name of a server error's code."""
    return error.value.code_name


# --- Sessions ---


def test_a_created_session_is_in_opencode(client: IpcClient, opencode_server: RealServer) -> None:
    """What create_session returns is what OpenCode has, field by field."""
    session = client.create_session("Überarbeitung – 修正 🚀")
    real = opencode_server.session(session.id)
    assert real is not None
    assert (session.title, session.version) == (real["title"], real["version"])
    assert (session.project_id, session.directory) == (real["projectID"], real["directory"])
    assert session.time.created == real["time"]["created"]


def test_without_a_title_opencode_chooses_one(
    client: IpcClient, opencode_server: RealServer
) -> None:
    session = client.create_session()
    real = opencode_server.session(session.id)
    assert real is not None
    assert session.title == real["title"] != ""


def test_list_is_opencodes_list(client: IpcClient, opencode_server: RealServer) -> None:
    client.create_session("one more")
    listed = client.list_sessions()
    real = opencode_server.sessions()
    assert {each.id: each.title for each in listed} == {i: real[i]["title"] for i in real}
    updated = [each.time.updated for each in listed]
    assert updated == sorted(updated, reverse=True)


def test_more_than_a_hundred_sessions_are_all_listed(client: IpcClient) -> None:
    """OpenCode's own list stops at 100 unless told otherwise."""
    futures = [client.futures.create_session(f"many {number}") for number in range(105)]
    made = {future.result(60).id for future in futures}
    assert len(made) == 105
    assert made <= {session.id for session in client.list_sessions()}
    for future in [client.futures.delete_session(session_id) for session_id in made]:
        assert future.result(60) is True


def test_a_deleted_session_is_gone_from_opencode(
    client: IpcClient, opencode_server: RealServer
) -> None:
    session = client.create_session("to be deleted")
    assert client.delete_session(session.id) is True
    assert opencode_server.session(session.id) is None
    assert client.delete_session(session.id) is False


def test_deleting_an_unknown_session_is_false(client: IpcClient) -> None:
    assert client.delete_session("ses_doesnotexist000") is False


@pytest.mark.parametrize("session_id", ["nope", "ses_../../x", "ses_a b", "ses_\n", "../session"])
def test_a_malformed_session_id_is_refused_by_name(client: IpcClient, session_id: str) -> None:
    with pytest.raises(IpcServerError, match="session_id") as error:
        client.delete_session(session_id)
    assert code(error) == "INVALID_MESSAGE"


@pytest.mark.parametrize(
    "title", ["x" * 1_000_000, "nul\x00inside", "🚀" * 100, "", "line\nbreak"], ids=range(5)
)
def test_odd_titles_come_back_as_they_were(
    client: IpcClient, opencode_server: RealServer, title: str
) -> None:
    session = client.create_session(title)
    assert session.title == title
    real = opencode_server.session(session.id)
    assert real is not None
    assert real["title"] == title
    assert client.delete_session(session.id) is True


def test_threads_share_one_client(client: IpcClient) -> None:
    """Many at once, each with its own answer."""
    futures = {f"mine {n}": client.futures.create_session(f"mine {n}") for n in range(40)}
    assert all(future.result(60).title == title for title, future in futures.items())
    for future in futures.values():
        client.delete_session(future.result(0).id)


# --- The server: health, discover, spawn, stop ---


def test_health(client: IpcClient) -> None:
    assert client.check_server_health() is True
    assert client.health_check() is True


def test_a_foreign_server_is_discovered_and_never_stopped(
    opencode_server: RealServer, connect: Connect
) -> None:
    """With no server given, the first session operation finds the running one by itself."""
    environ = offline_environment(opencode_server.home)
    client = connect(OpenCodeBackend(environ=environ))
    created = client.create_session("bound without a word")
    found = client.discover_server()
    assert found is not None
    assert not found.owned
    assert created.id in {session.id for session in client.list_sessions()}
    with pytest.raises(IpcServerError, match="left running"):
        client.stop_server()
    assert opencode_server.is_running


def test_spawn_use_and_stop(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path, connect: Connect
) -> None:
    backend = OpenCodeBackend(
        executable=opencode_program, directory=project, environ=spawn_environment
    )
    client = connect(backend)
    server = client.spawn_server()
    assert server.owned
    assert psutil.pid_exists(server.pid)
    assert client.check_server_health() is True
    session = client.create_session("on my own server")
    assert session.directory == str(project)
    assert [each.id for each in client.list_sessions()] == [session.id]
    assert client.stop_server() is True
    assert not psutil.pid_exists(server.pid)


def test_closing_the_gateway_ends_the_server_it_spawned(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path
) -> None:
    backend = OpenCodeBackend(
        executable=opencode_program, directory=project, environ=spawn_environment, spawn=True
    )
    with Gateway(backend) as gateway:
        client = IpcClient(IpcConfig(gateway.port, gateway.auth_token))
        with client:
            server = client.discover_server()
        assert server is not None
        assert server.owned
    assert not psutil.pid_exists(server.pid)


# --- When OpenCode fails ---


def test_opencode_killed_in_the_middle_is_no_server(
    start_opencode: Start, connect: Connect
) -> None:
    """Each call then fails at once with the reason; health is False, and the gateway lives on."""
    server = start_opencode()
    client = connect(OpenCodeBackend(server.url))
    assert client.create_session("before").title == "before"
    server.kill()
    with pytest.raises(IpcServerError) as error:
        client.list_sessions()
    assert code(error) == "NO_SERVER"
    with pytest.raises(IpcServerError) as error:
        client.create_session("after")
    assert code(error) == "NO_SERVER"
    assert client.health_check() is False
    assert client.is_connected


def test_requests_in_flight_when_opencode_is_killed_all_end(
    start_opencode: Start, connect: Connect
) -> None:
    server = start_opencode()
    client = connect(OpenCodeBackend(server.url))
    futures = [client.futures.create_session(f"{n}") for n in range(50)]
    server.kill()
    for future in futures:
        error = future.exception(30)
        assert error is None or isinstance(error, IpcServerError)
        if error is not None:
            assert error.code_name in ("NO_SERVER", "SERVER_ERROR")


def test_a_spawned_server_that_was_killed_is_spawned_again(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path, connect: Connect
) -> None:
    """The client binds the backend again the way its user did, and the call succeeds."""
    client = connect(
        OpenCodeBackend(executable=opencode_program, directory=project, environ=spawn_environment)
    )
    first = client.spawn_server()
    psutil.Process(first.pid).kill()
    # Until all of it is gone, nobody could say whether it had acted on a request.
    assert eventually(lambda: not psutil.pid_exists(first.pid), 10)
    assert client.create_session("on the second").title == "on the second"
    second = client.discover_server()
    assert second is not None
    assert second.pid != first.pid


def test_behind_a_password(start_opencode: Start, connect: Connect) -> None:
    password = "a-password-of-the-tests"
    server = start_opencode(password=password)
    client = connect(OpenCodeBackend(server.url, password=password))
    session = client.create_session("secret")
    assert session.id in server.sessions()


def test_a_wrong_password_says_what_to_set(start_opencode: Start) -> None:
    """A gateway that could not serve anybody does not start."""
    server = start_opencode(password="right-password-of-the-tests")
    backend = OpenCodeBackend(server.url, password="wrong-password-of-the-tests")
    with pytest.raises(BackendError, match="OPENCODE_SERVER_PASSWORD") as error:
        Gateway(backend).start()
    assert error.value.code == IpcErrorCode.Value("IPC_ERROR_CODE_AUTH_ERROR")
    assert "-password-of-the-tests" not in str(error.value)
    assert server.is_running


# --- When the gateway fails ---


def test_a_restarted_gateway_is_found_again(opencode_server: RealServer) -> None:
    """The connection comes back by itself and sessions are where they were."""
    first = Gateway(OpenCodeBackend(opencode_server.url))
    first.start()
    port, token = first.port, first.auth_token
    with IpcClient(IpcConfig(port, token)) as client:
        session = client.create_session("across a restart")
        first.stop()
        with Gateway(OpenCodeBackend(opencode_server.url), port=port, auth_token=token):
            assert session.id in {each.id for each in client.list_sessions(timeout=20)}
            assert client.delete_session(session.id) is True


def test_without_reconnection_a_stopped_gateway_is_a_connection_error(
    opencode_server: RealServer,
) -> None:
    with Gateway(OpenCodeBackend(opencode_server.url)) as gateway:
        client = IpcClient(IpcConfig(gateway.port, gateway.auth_token), reconnect=None)
        client.connect()
    with pytest.raises(IpcConnectionError, match="connect"):
        client.list_sessions()
    client.close()

"""Real servers behind the OpenCode backend: given, discovered, spawned, killed, locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from tests.e2e.opencode_server import offline_environment

pytestmark = pytest.mark.e2e


def soon():
    return Deadline.after(60)


def gone(pid):
    try:
        psutil.Process(pid).wait(20)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.fixture
def backend():
    """Make backends that are closed with the test: ``backend(url, **options)``."""
    backends = []

    def make(*args, **options):
        backends.append(OpenCodeBackend(*args, **options))
        return backends[-1]

    yield make
    for each in backends:
        each.close()


@pytest.fixture
def spawning(backend, opencode_program, spawn_environment, project):
    """A backend that can spawn."""
    return backend(executable=opencode_program, environ=spawn_environment, directory=project)


def failure(function, *args):
    with pytest.raises(BackendError) as caught:
        function(*args, **({} if function.__name__ == "start" else {"deadline": soon()}))
    return error_code_name(caught.value.code), caught.value.message


# Given by URL...


def test_a_server_given_by_url_is_healthy_and_never_stopped(backend, opencode_server):
    given = backend(opencode_server.url)
    given.start()
    assert given.check_health(deadline=soon())
    code, message = failure(given.stop_server)
    assert (code, "left running" in message) == ("SERVER_ERROR", True)
    given.close()
    assert opencode_server.is_running
    assert opencode_server.request("GET", "/global/health")[0] == 200


def test_a_server_killed_in_the_middle_is_no_server(backend, start_opencode):
    server = start_opencode()
    given = backend(server.url)
    session = given.create_session("before", deadline=soon())
    server.kill()
    for operation, arguments in [
        (given.list_sessions, ()),
        (given.create_session, ("after",)),
        (given.delete_session, (session.id,)),
    ]:
        code, message = failure(operation, *arguments)
        assert code == "NO_SERVER"
        assert server.url in message
    assert given.check_health(deadline=soon()) is False


def test_a_server_killed_during_requests_fails_them_in_time(backend, start_opencode):
    server = start_opencode()
    given = backend(server.url)

    def create_until_it_fails(_):
        for number in range(100_000):
            try:
                given.create_session(f"{number}", deadline=Deadline.after(10))
            except BackendError as error:
                return error_code_name(error.code)
        return "never failed"

    with ThreadPoolExecutor(8) as pool:
        outcomes = [pool.submit(create_until_it_fails, n) for n in range(8)]
        while len(server.sessions()) < 20:
            pass  # each round asks the server: this is no idle wait
        server.kill()
        # NO_SERVER only for what was not sent: clients send that again.
        assert {outcome.result(30) for outcome in outcomes} <= {"NO_SERVER", "SERVER_ERROR"}
    assert failure(given.create_session, "after")[0] == "NO_SERVER"


# Behind a password...


def test_the_right_password_opens_the_server(backend, start_opencode):
    server = start_opencode(password="correct horse: ü")
    given = backend(server.url, password="correct horse: ü")
    given.start()
    session = given.create_session("behind a password", deadline=soon())
    assert server.session(session.id)["title"] == "behind a password"


def test_any_other_password_is_an_auth_error_that_says_what_to_set(backend, start_opencode):
    server = start_opencode(password="right-password")
    for password in (None, "", "wrong-password"):
        given = backend(server.url, password=password)
        for operation in (given.start, given.list_sessions, given.check_health):
            code, message = failure(operation)
            assert code == "AUTH_ERROR"
            assert "OPENCODE_SERVER_PASSWORD" in message
            assert "wrong-password" not in message


# Discovered...


def test_a_running_server_is_discovered_and_used(backend, start_opencode):
    server = start_opencode()
    searching = backend(discover=True, environ=offline_environment(server.home))
    searching.start()
    info = searching.discover_server(deadline=soon())
    assert (info.pid, info.port, info.base_url) == (server.pid, server.port, server.url)
    assert (info.name, info.owned) == ("opencode", False)
    assert "serve" in info.command
    session = searching.create_session("found you", deadline=soon())
    assert server.session(session.id)["title"] == "found you"
    assert failure(searching.stop_server)[0] == "SERVER_ERROR"
    searching.close()
    assert server.is_running


def test_a_server_behind_a_password_is_discovered_by_who_knows_it(backend, start_opencode):
    server = start_opencode(password="known")
    environ = offline_environment(server.home)
    info = backend(password="known", environ=environ).discover_server(deadline=soon())
    assert info.pid == server.pid
    stranger = backend(password="unknown", environ=environ)
    assert failure(stranger.discover_server)[0] == "AUTH_ERROR"


def test_a_server_of_another_home_is_not_ours_to_use(
    backend, start_opencode, spawn_environment, opencode_program, project
):
    server = start_opencode()
    ours = backend(
        discover=True,
        spawn=True,
        environ=spawn_environment,
        executable=opencode_program,
        directory=project,
    )
    assert ours.discover_server(deadline=soon()) is None
    ours.start()
    assert ours.discover_server(deadline=soon()).owned
    other = {**offline_environment(server.home), "OPENCODE_CONFIG_CONTENT": "{}"}
    assert backend(environ=other).discover_server(deadline=soon()) is None


# Spawned...


def test_a_spawned_server_works_for_us_alone_and_is_gone_after_stop(spawning, backend, project):
    info = spawning.spawn_server(None, deadline=soon())
    assert info.owned
    process = psutil.Process(info.pid)
    assert process.cmdline()[1:] == ["serve", "--port", "0", "--hostname", "127.0.0.1"]
    assert process.environ()["OPENCODE_SERVER_PASSWORD"] not in info.command
    group = os.getpgid(info.pid)
    assert group == info.pid
    session = spawning.create_session("spawned", deadline=soon())
    assert session.directory == str(project)
    assert [each.id for each in spawning.list_sessions(deadline=soon())] == [session.id]
    assert failure(backend(info.base_url).list_sessions)[0] == "AUTH_ERROR"
    started = time.monotonic()
    assert spawning.stop_server(deadline=soon())
    assert time.monotonic() - started < 4.5
    assert gone(info.pid)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert failure(spawning.list_sessions)[0] == "NO_SERVER"


def test_sessions_survive_a_stop_and_another_spawn(spawning):
    spawning.spawn_server(None, deadline=soon())
    session = spawning.create_session("survives", deadline=soon())
    assert spawning.stop_server(deadline=soon())
    spawning.spawn_server(None, deadline=soon())
    assert [each.id for each in spawning.list_sessions(deadline=soon())] == [session.id]


def test_a_port_that_opencode_itself_has_taken_is_named(spawning, opencode_server):
    code, message = failure(spawning.spawn_server, opencode_server.port)
    assert (code, f"port {opencode_server.port}: it is taken" in message) == ("SERVER_ERROR", True)


def test_a_killed_server_of_ours_is_reported_and_replaced(spawning):
    pid = spawning.spawn_server(None, deadline=soon()).pid
    os.kill(pid, signal.SIGKILL)
    code, message = failure(spawning.list_sessions)
    assert code == "NO_SERVER"
    assert "has ended by signal 9" in message
    assert spawning.spawn_server(None, deadline=soon()).pid != pid
    assert spawning.list_sessions(deadline=soon()) == []


GATEWAY = """
import os, sys
from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend

backend = OpenCodeBackend(executable=sys.argv[1], directory=sys.argv[2], environ=dict(os.environ))
print(backend.spawn_server(None, deadline=Deadline.after(60)).pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["kill -9", "exit"])
def test_however_a_gateway_ends_it_leaves_no_orphan(
    opencode_program, spawn_environment, project, how
):
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, opencode_program, project],
        cwd=Path(__file__).parents[2],
        env=spawn_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as gateway:
        pid = int(gateway.stdout.readline())
        assert psutil.pid_exists(pid)
        if how is None:  # the interpreter's normal end, the backend left open
            gateway.stdin.close()
        else:
            gateway.send_signal(how)
        gateway.wait(20)
    assert gone(pid)

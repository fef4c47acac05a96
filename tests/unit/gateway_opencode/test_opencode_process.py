"""A server of our own, from its start to its end, against a stand-in for OpenCode."""

from __future__ import annotations

import gc
import os
import socket
import threading

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.server import process as opencode_process
from opencode_sync.gateway.backends.opencode.server.process import (
    OwnedServer,
    find_executable,
    port_is_taken,
    port_of,
    usable_url,
)
from tests.unit.gateway_opencode.conftest import gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")


def soon():
    return Deadline.after(20)


@pytest.fixture
def start(opencode_program, environment, tmp_path):
    """Start servers: ``start("sick")``."""
    servers = []

    def make(*faults, port=0, environ=None):
        server = OwnedServer.start(
            executable=str(opencode_program),
            port=port,
            directory=tmp_path,
            environ=environ or environment(*faults),
            username="opencode",
            deadline=soon(),
        )
        servers.append(server)
        return server

    yield make
    while servers:
        assert servers.pop().stop(Deadline(None))


def failure(server, seconds=20.0):
    with pytest.raises(BackendError) as caught:
        server.wait_until_ready(Deadline.after(seconds))
    return error_code_name(caught.value.code), caught.value.message


def test_a_server_gets_ready_and_answers_its_owner_alone(start):
    server = start()
    http = server.wait_until_ready(soon())
    assert http.is_healthy(deadline=soon())
    http.close()
    assert server.base_url.startswith("http://127.0.0.1:")
    assert server.exit_code() is None
    assert server.obituary() is None
    stranger = opencode_process.OpenCodeHttp(server.base_url)
    with pytest.raises(BackendError, match="refused the password"):
        stranger.is_healthy(deadline=soon())
    stranger.close()


def test_the_password_is_random_and_on_no_command_line_or_repr(start):
    first, second = start(), start()
    assert first._password != second._password
    assert len(first._password) >= 32
    for shown in (first.command, repr(first), str(vars(first)["_child"])):
        assert first._password not in shown
    assert first.command.endswith("serve --port 0 --hostname 127.0.0.1")


def test_a_server_is_asked_again_when_its_first_answers_never_come(start, monkeypatch):
    monkeypatch.setattr(opencode_process, "_PROBE_TIMEOUT", 0.2)
    http = start("stuck").wait_until_ready(soon())
    assert http.is_healthy(deadline=soon())
    http.close()


def test_a_server_that_says_much_is_neither_blocked_nor_remembered_whole(start):
    server = start("chatty")
    http = server.wait_until_ready(soon())
    assert http.is_healthy(deadline=soon())
    http.close()


def test_a_server_that_ends_at_once_fails_with_its_code_and_words(start):
    code, message = failure(start("exit"))
    assert code == "SERVER_ERROR"
    assert "exit code 1" in message
    assert "Error: Unexpected error ServeError" in message


def test_a_server_that_never_says_where_it_listens_fails_at_the_deadline(start):
    code, message = failure(start("silent"), 0.5)
    assert (code, "did not say in time where it listens" in message) == ("SERVER_ERROR", True)


def test_a_server_that_stays_sick_fails_at_the_deadline(start):
    server = start("sick")
    assert server._stdout.listening.result(20)
    code, message = failure(server, 1.5)
    assert (code, "did not get ready: " in message) == ("SERVER_ERROR", True)


def test_a_server_that_ends_while_getting_ready_fails_at_once(start):
    code, message = failure(start("dies"))
    assert (code, "did not get ready with exit code 7" in message) == ("SERVER_ERROR", True)


def test_a_refused_password_is_not_asked_again(start):
    assert failure(start("locked"))[0] == "AUTH_ERROR"


def test_stop_wakes_the_thread_that_waits_for_it(start):
    server = start("silent")
    outcome = []
    waiting = threading.Thread(target=lambda: outcome.append(failure(server)))
    waiting.start()
    assert server.stop(soon())
    waiting.join(20)
    assert outcome[0][0] == "SERVER_ERROR"


def test_stop_ends_the_process_and_can_be_repeated(start):
    server = start()
    server.wait_until_ready(soon()).close()
    assert server.stop(soon())
    assert server.stop(NOW)
    assert gone(server.pid, 0)
    assert "by signal 15" in server.obituary()


def test_stop_forces_a_stubborn_server(start):
    server = start("stubborn")
    server.wait_until_ready(soon()).close()
    assert not server.stop(NOW)
    assert server.stop(soon())
    assert server.exit_code() == -9


def test_forgetting_a_server_ends_it(opencode_program, environment, tmp_path):
    server = OwnedServer.start(
        executable=str(opencode_program),
        port=0,
        directory=tmp_path,
        environ=environment(),
        username="opencode",
        deadline=soon(),
    )
    pid = server.pid
    pumps = [server._stdout._thread, server._stderr._thread]
    del server
    gc.collect()
    assert gone(pid)
    for pump in pumps:
        pump.join(20)
        assert not pump.is_alive()


def test_output_held_open_by_somebody_else_does_not_hold_up_stop(start, monkeypatch, tmp_path):
    monkeypatch.setattr(opencode_process._Output, "join", lambda self, deadline: False)
    server = start()
    pumps = [server._stdout._thread, server._stderr._thread]
    assert server.stop(soon())
    for pump in pumps:
        pump.join(20)


def test_a_program_that_cannot_be_started_is_an_error(tmp_path, environment):
    broken = tmp_path / "opencode"
    broken.write_bytes(b"\0\0\0\0")
    broken.chmod(0o755)
    with pytest.raises(BackendError, match="cannot be started with"):
        OwnedServer.start(
            executable=str(broken),
            port=0,
            directory=tmp_path,
            environ=environment(),
            username="opencode",
            deadline=soon(),
        )


# Helpers...


def test_find_executable_searches_the_given_path(opencode_program):
    found = find_executable(None, {"PATH": str(opencode_program.parent)})
    assert found == str(opencode_program)
    assert find_executable(opencode_program, {}) == str(opencode_program)


def test_find_executable_makes_relative_paths_absolute(opencode_program, monkeypatch):
    monkeypatch.chdir(opencode_program.parent)
    assert find_executable("./opencode", {}) == str(opencode_program)


@pytest.mark.parametrize(
    ("executable", "words"),
    [(None, "'opencode' is not on PATH"), ("./absent", "is not a program that can be run")],
)
def test_find_executable_says_how_to_install_it(executable, words, tmp_path):
    with pytest.raises(BackendError, match="npm install -g opencode-ai") as caught:
        find_executable(executable, {"PATH": str(tmp_path)})
    assert error_code_name(caught.value.code) == "NO_SERVER"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("printed", "url"),
    [
        ("http://127.0.0.1:4096", "http://127.0.0.1:4096"),
        ("http://127.0.0.1:4096/", "http://127.0.0.1:4096"),
        ("http://::1:4096", "http://[::1]:4096"),
        ("http://[::1]:4096", "http://[::1]:4096"),
        ("http://0.0.0.0:4096", "http://127.0.0.1:4096"),
        ("http://:::4096", "http://[::1]:4096"),
        ("https://localhost:4096", "https://localhost:4096"),
    ],
)
def test_usable_url_mends_what_servers_print(printed, url):
    assert usable_url(printed) == url


def test_port_of_knows_the_schemes_own_ports():
    assert port_of("http://127.0.0.1:4096") == 4096
    assert port_of("http://example.com") == 80
    assert port_of("https://example.com") == 443


def test_port_is_taken_sees_a_listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert port_is_taken(port)
    assert not port_is_taken(port)


def test_port_is_taken_asks_the_same_way_elsewhere(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(os, "name", "nt")
        taken = port_is_taken(listener.getsockname()[1])
        monkeypatch.undo()
    assert taken

"""Running servers are found by their command line and believed only when they answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.server import discovery as opencode_discovery
from opencode_sync.gateway.backends.opencode.server.discovery import (
    discover,
    is_opencode_serve,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.server.homes import differing
from tests.unit.gateway_opencode.conftest import FAKE_OPENCODE
from tests.unit.gateway_opencode.http_server import Answer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in needs symbolic links")


DECISIVE = (
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_DIR",
    "OPENCODE_CONFIG_CONTENT",
    "OPENCODE_DB",
)
"""What decides data and configuration, besides the home."""


@pytest.fixture
def running(tmp_path, monkeypatch, environment):
    """Start processes named opencode: ``running("sick", password="x", HOME="/x") -> (pid, url)``.

    Discovery sees these and no other processes of this machine. Their home is the test's own.
    """
    for name in DECISIVE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "opencode"
    program.symlink_to(os.path.realpath(sys.executable))
    processes = []

    def start(*faults, password="", listens=True, **more):
        process = subprocess.Popen(
            [program, "-S", FAKE_OPENCODE, "serve", "--port", "0", "--api-key", "s3cret"],
            env={
                **environment(*faults),
                "HOME": str(tmp_path),
                "OPENCODE_SERVER_PASSWORD": password,
                **more,
            },
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        while listens:
            match = re.search(rb"listening on (\S+)", process.stdout.readline())
            if match:
                return process.pid, match[1].decode()
        return process.pid, None

    everything = psutil.process_iter

    def visible(attributes):
        mine = {process.pid for process in processes} | {os.getpid()}
        return (process for process in everything(attributes) if process.pid in mine)

    monkeypatch.setattr(psutil, "process_iter", visible)
    yield start
    for process in processes:
        process.kill()
        process.wait(20)
        process.stdout.close()


def find(password=None, deadline=None):
    return discover(username="opencode", password=password, deadline=deadline or Deadline.after(20))


def test_no_process_is_nothing_found(running):
    assert find() is None


def test_a_running_server_is_found_with_its_process_and_address(running):
    pid, url = running()
    found = find()
    found.http.close()
    assert (found.pid, found.http.base_url) == (pid, url)
    assert url.endswith(f":{found.port}")
    assert "opencode" in found.command
    assert "serve --port 0" in found.command
    assert "s3cret" not in found.command


def test_the_newest_of_several_is_taken(running):
    running()
    newest = running()
    found = find()
    found.http.close()
    assert (found.pid, found.http.base_url) == newest


@pytest.mark.parametrize("faults", ["sick", "dies"])
def test_one_that_does_not_answer_well_is_passed_over(running, faults):
    well = running()
    running(faults)
    found = find()
    found.http.close()
    assert (found.pid, found.http.base_url) == well


def test_one_that_never_answers_costs_a_bounded_time(running, monkeypatch):
    monkeypatch.setattr(opencode_discovery, "_PROBE_TIMEOUT", 0.2)
    running("stuck")
    assert find() is None


def test_a_deadline_that_has_passed_finds_nothing(running):
    running()
    assert find(deadline=NOW) is None


@pytest.mark.parametrize(
    ("given", "wants"), [(None, "wants a password"), ("wrong", "wants another password")]
)
def test_the_only_server_wants_a_password_that_we_do_not_have(running, given, wants):
    pid, url = running(password="right")
    with pytest.raises(BackendError, match="OPENCODE_SERVER_PASSWORD") as caught:
        find(given)
    assert error_code_name(caught.value.code) == "AUTH_ERROR"
    assert f"{url} (process {pid}) {wants}" in caught.value.message


def test_a_server_with_another_password_is_passed_over_when_there_is_an_open_one(running):
    pid, _ = running()
    running(password="right")
    found = find()
    found.http.close()
    assert found.pid == pid


@pytest.mark.parametrize("theirs", ["right", ""], ids=["asks for it", "asks for none"])
def test_our_password_opens_a_server_that_asks_for_it(running, theirs):
    pid, _ = running(password=theirs)
    found = find("right")
    assert found.pid == pid
    assert found.http.is_healthy(deadline=Deadline.after(20))
    found.http.close()


def test_a_process_that_does_not_listen_is_passed_over(running):
    running("exit", listens=False)
    assert find() is None


# Whose it is...


@pytest.mark.parametrize("name", ["HOME", *DECISIVE])
def test_a_server_of_another_home_is_passed_over_and_named_in_the_log(running, name):
    ours = running()
    pid, _ = running(**{name: "/somewhere/else?key=s3cret"})
    lines = []
    logger.enable("opencode_sync")
    sink = logger.add(lines.append, level="INFO", format="{message}")
    try:
        found = find()
    finally:
        logger.remove(sink)
        logger.disable("opencode_sync")
    found.http.close()
    assert (found.pid, found.http.base_url) == ours
    assert [f"process {pid}" in line and name in line for line in lines] == [True]
    assert "s3cret" not in lines[0]


def test_the_environment_that_is_given_says_which_home_is_ours(running, tmp_path):
    running()
    pid, _ = running(HOME=str(tmp_path / "other"), password="theirs")
    environ = {"HOME": str(tmp_path / "other")}
    deadline = Deadline.after(20)
    found = discover(username="opencode", password="theirs", deadline=deadline, environ=environ)
    found.http.close()
    assert found.pid == pid


def test_a_server_of_another_home_with_a_password_is_no_error(running):
    running(HOME="/somewhere/else", password="theirs")
    assert find() is None


@pytest.mark.parametrize(
    "environ",
    [psutil.AccessDenied(1), psutil.NoSuchProcess(1), PermissionError("no"), {}],
    ids=lambda each: type(each).__name__,
)
def test_one_whose_environment_cannot_be_read_is_taken(environ):
    def read():
        if isinstance(environ, Exception):
            raise environ
        return environ

    candidate = opencode_discovery._Candidate(0.0, 1, (), SimpleNamespace(environ=read))
    assert not opencode_discovery._is_of_another_home(candidate, {"HOME": "/somewhere"})


def test_places_that_are_the_same_by_default_or_by_another_name_do_not_differ(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    home = str(tmp_path)
    spelt_out = {
        "HOME": f"{tmp_path / 'link'}/",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "XDG_CONFIG_HOME": f"{home}/./.config",
        "OPENCODE_CONFIG_CONTENT": "",
        "PATH": "/elsewhere",
    }
    assert differing({"HOME": home, "OPENCODE_DB": ""}, spelt_out) == []
    assert differing({"HOME": home}, {"HOME": f"{home}/x"}) == [
        "HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
    ]
    assert differing({"HOME": home, "OPENCODE_DB": ":memory:"}, spelt_out) == ["OPENCODE_DB"]


def test_without_a_home_it_is_the_one_that_the_system_has(monkeypatch):
    import pwd

    known = {"HOME": pwd.getpwuid(os.getuid()).pw_dir}
    assert differing(known, {}) == []

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert "HOME" in differing(known, {})
    monkeypatch.setitem(sys.modules, "pwd", None)  # as on Windows
    assert "HOME" in differing(known, {})


# Addresses...


def listening(monkeypatch, *addresses, error=None):
    def net_connections(kind):
        if error is not None:
            raise error
        return [
            SimpleNamespace(status=status, laddr=SimpleNamespace(ip=ip, port=port))
            for status, ip, port in addresses
        ]

    candidate = opencode_discovery._Candidate(
        0.0, 1, (), SimpleNamespace(net_connections=net_connections)
    )
    return list(opencode_discovery._listening(candidate))


def test_only_listening_addresses_of_this_machine_count(monkeypatch):
    assert listening(
        monkeypatch,
        (psutil.CONN_ESTABLISHED, "127.0.0.1", 1),
        (psutil.CONN_LISTEN, "192.0.2.7", 2),
        (psutil.CONN_LISTEN, "127.0.0.1", 3),
        (psutil.CONN_LISTEN, "127.0.0.2", 4),
        (psutil.CONN_LISTEN, "0.0.0.0", 5),
        (psutil.CONN_LISTEN, "::1", 6),
        (psutil.CONN_LISTEN, "::", 7),
    ) == [
        "http://127.0.0.1:3",
        "http://127.0.0.2:4",
        "http://127.0.0.1:5",
        "http://[::1]:6",
        "http://[::1]:7",
    ]


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), psutil.NoSuchProcess(1)])
def test_a_process_that_may_not_be_looked_at_has_no_address(monkeypatch, error):
    assert listening(monkeypatch, error=error) == []


def test_unhealthy_http_servers_do_not_get_the_password(serve, monkeypatch):
    server = serve(Answer({"healthy": False}))
    deadline = Deadline.after(20)
    assert opencode_discovery._ask(server.url, 1, "opencode", "s3cret", deadline) is None
    assert "authorization" not in server.requests[0].headers


# Who counts as a candidate...


def test_other_users_and_ourselves_are_no_candidates(monkeypatch):
    me = psutil.Process().username()
    command = ["/usr/bin/opencode", "serve"]

    def process(pid, username, cmdline=command, create_time=1.0):
        info = {"pid": pid, "username": username, "cmdline": cmdline, "create_time": create_time}
        return SimpleNamespace(info=info)

    fake = SimpleNamespace(
        Process=psutil.Process,
        process_iter=lambda attributes: [
            process(1, "somebody else"),
            process(2, None),
            process(os.getpid(), me),
            process(3, me, cmdline=None),
            process(4, me, create_time=None),
            process(5, me, create_time=2.0),
            process(6, me, cmdline=["vim", "opencode", "serve"]),
        ],
    )
    assert [candidate.pid for candidate in opencode_discovery._candidates(fake)] == [5, 4]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("opencode serve", True),
        ("/usr/local/bin/opencode serve --port 4096", True),
        ("/x/opencode-ai/bin/opencode.exe serve", True),
        ("C:\\npm\\opencode.cmd serve", True),
        ("node /usr/lib/node_modules/opencode-ai/bin/opencode serve", True),
        ("bun /x/opencode --print-logs serve", True),
        ("/cache/opencode-linux-x64 serve", True),
        ("opencode", False),
        ("opencode run serves", False),
        ("opencode-sync gateway --discover serve", False),
        ("python -m opencode serve", False),
        ("/bin/grep opencode serve", False),
        ("python -I -S guard.py 2.0 /usr/bin/opencode serve", False),
        ("node server.js serve", False),
        ("node", False),
        ("", False),
    ],
)
def test_is_opencode_serve_looks_at_program_and_command(command, expected):
    assert is_opencode_serve(command.split()) is expected


def test_without_secrets_hides_values_and_keeps_the_rest():
    command = [
        "opencode",
        "serve",
        "--password=one",
        "--api-key",
        "two",
        "API_TOKEN=three",
        "--cors",
        "http://ana:four@example.com",
        "--port",
        "4096",
        "a b",
    ]
    shown = without_secrets(command)
    assert shown == (
        "opencode serve '--password=***' --api-key '***' 'API_TOKEN=***' --cors "
        "'http://***@example.com' --port 4096 'a b'"
    )


def test_without_psutil_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(BackendError, match=r"pip install 'opencode-sync-sdk\[gateway\]'") as caught:
        find()
    monkeypatch.undo()
    assert error_code_name(caught.value.code) == "NOT_IMPLEMENTED"

"""The guard on its own: it reports, and it ends what it started when its owner goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from opencode_sync.gateway.backends.opencode.server import guard as opencode_guard
from tests.unit.gateway_opencode.conftest import gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the guard is for POSIX systems")

ROOT = Path(__file__).parents[3]


def guard_command():
    """The guard as a program; measured if this process is."""
    command = [sys.executable]
    if "coverage" in sys.modules and sys.modules["coverage"].Coverage.current() is not None:
        command += [
            "-m",
            "coverage",
            "run",
            "--parallel-mode",
            "--rcfile",
            f"{ROOT}/pyproject.toml",
        ]
    return [*command, opencode_guard.__file__]


class Guard:
    """A running guard, and the owner's end of its socket."""

    def __init__(self, *command, grace="0.3"):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [*guard_command(), grace, *command], stdin=theirs, stdout=subprocess.PIPE, cwd=ROOT
            )
        self.lines = self.channel.makefile()

    def pid(self):
        kind, pid = self.lines.readline().split()
        assert kind == "pid"
        return int(pid)

    def says(self):
        return self.process.stdout.readline().decode().strip()

    def close(self):
        self.lines.close()
        self.channel.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def guard():
    guards = []

    def start(*command, **options):
        guards.append(Guard(*command, **options))
        return guards[-1]

    yield start
    for each in guards:
        each.close()


def python(code):
    return [sys.executable, "-S", "-c", code]


SLEEP = python("import time; print('ready', flush=True); time.sleep(600)")


def test_reports_the_process_and_its_exit_code(guard):
    running = guard(*python("import sys; sys.exit(3)"))
    assert running.pid() > 0
    assert running.lines.readline() == "exit 3\n"
    assert running.lines.readline() == ""
    assert running.process.wait(20) == 0


def test_reports_the_signal_that_ended_the_server(guard):
    running = guard(*SLEEP)
    os.kill(running.pid(), signal.SIGKILL)
    assert running.lines.readline() == "exit -9\n"


def test_reports_a_command_that_cannot_be_started(guard, tmp_path):
    running = guard(str(tmp_path / "absent"))
    assert running.lines.readline() == "error No such file or directory\n"
    assert running.process.wait(20) == 1


def test_the_owners_end_ends_the_server(guard):
    running = guard(*SLEEP)
    pid = running.pid()
    running.close()
    assert gone(pid)


def test_the_owners_goodbye_ends_the_server_and_is_answered(guard):
    running = guard(*SLEEP)
    running.pid()
    running.channel.shutdown(socket.SHUT_WR)
    assert running.lines.readline() == "exit -15\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_guard_ends_the_server(guard, number):
    running = guard(*SLEEP)
    running.pid()
    running.process.send_signal(number)
    assert running.lines.readline() == "exit -15\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_killed_guard_takes_the_server_with_it(guard):
    running = guard(*SLEEP)
    pid = running.pid()
    running.process.kill()
    assert gone(pid)


def test_a_server_that_ignores_being_asked_is_forced(guard):
    running = guard(
        *python(
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('ready', flush=True); time.sleep(600)"
        )
    )
    running.pid()
    assert running.says() == "ready"
    running.channel.shutdown(socket.SHUT_WR)
    assert running.lines.readline() == "exit -9\n"


FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
nested = [sys.executable, "-S", "-c",
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'],"
    " start_new_session=True); print(p.pid, flush=True); time.sleep(600)"]
one = subprocess.Popen(sleep)
two = subprocess.Popen(nested, start_new_session=True, stdout=subprocess.PIPE)
print(one.pid, two.pid, int(two.stdout.readline()), flush=True)
"""


@pytest.mark.parametrize("how", ["by itself", "by the owner"])
def test_what_the_server_started_ends_with_it(guard, how):
    running = guard(*python(FAMILY + ("time.sleep(600)" if how == "by the owner" else "")))
    running.pid()
    group, *detached = (int(pid) for pid in running.says().split())
    if how == "by the owner":
        running.channel.shutdown(socket.SHUT_WR)
    assert running.lines.readline().startswith("exit ")
    assert gone(group)
    for pid in detached:
        if sys.platform == "linux":  # elsewhere there is no telling whose they are
            assert gone(pid)
        else:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to the guard")
def test_orphans_that_end_meanwhile_do_not_stay_zombies(guard):
    # Each shell ends at once and leaves a child behind that ends right after it.
    running = guard(
        *python(
            "import subprocess, time\n"
            "for _ in range(20): subprocess.run(['/bin/sh', '-c', '/bin/sleep 0.05 &'])\n"
            "print('ready', flush=True)\n"
            "time.sleep(600)"
        )
    )
    server = running.pid()
    assert running.says() == "ready"
    for child in psutil.Process(running.process.pid).children():
        if child.pid != server:
            assert gone(child.pid)
    assert [c.pid for c in psutil.Process(running.process.pid).children()] == [server]


# Where the platform offers less...


def test_without_waitid_the_end_is_seen_by_collecting_the_process(monkeypatch):
    monkeypatch.delattr(os, "waitid", raising=False)
    ended = SimpleNamespace(pid=1, poll=lambda: 0)
    runs = SimpleNamespace(pid=1, poll=lambda: None)
    assert opencode_guard._has_ended(ended)
    assert not opencode_guard._has_ended(runs)


def test_a_process_that_is_no_child_has_ended():
    assert opencode_guard._has_ended(SimpleNamespace(pid=os.getpid()))


def test_a_group_that_was_collected_is_signalled_only_where_its_id_may_still_be_in_use(monkeypatch):
    signalled = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: signalled.append(pid))
    collected = SimpleNamespace(pid=1, returncode=0)
    if hasattr(os, "waitid"):
        opencode_guard._signal_group(collected, signal.SIGKILL)
        assert signalled == []
    monkeypatch.delattr(os, "waitid", raising=False)
    opencode_guard._signal_group(collected, signal.SIGKILL)
    assert signalled == [1]


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_a_group_with_nobody_left_is_done_with(monkeypatch, error):
    def killpg(pid, number):
        raise error

    monkeypatch.setattr(os, "killpg", killpg)
    opencode_guard._signal_group(SimpleNamespace(pid=1, returncode=None), signal.SIGKILL)


def test_other_systems_adopt_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    opencode_guard._adopt_orphans()
    assert opencode_guard._ends_with_us() is None
    assert opencode_guard._children(apart_from=1) == []


def test_a_kernel_that_does_not_list_children_has_none(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert opencode_guard._children(apart_from=1) == []


def test_an_orphan_that_may_not_be_ended_is_not_waited_for(monkeypatch):
    def kill(pid, number):
        raise PermissionError

    monkeypatch.setattr(opencode_guard, "_children", lambda *, apart_from: [1])
    monkeypatch.setattr(os, "kill", kill)
    opencode_guard._end_orphans(2)


def test_orphans_without_end_are_given_up(monkeypatch):
    rounds = []
    monkeypatch.setattr(opencode_guard, "_children", lambda *, apart_from: rounds.append(1) or [1])
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    monkeypatch.setattr(os, "waitpid", lambda pid, options: None)
    opencode_guard._end_orphans(2)
    assert len(rounds) == 100


def test_telling_an_owner_that_is_gone_is_no_failure():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        opencode_guard._tell(ours, "exit 0")

"""Children that can be ended for good, guarded or plain: one contract for both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway.backends.opencode.server import child as opencode_child
from opencode_sync.gateway.backends.opencode.server.child import (
    GuardedChild,
    PlainChild,
    StartError,
    start_child,
)
from tests.unit.gateway_opencode.conftest import gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="groups of processes are for POSIX")

FAR = Deadline(None)


def start(kind, code, *, environ=None, directory=None):
    command = [sys.executable, "-S", "-c", code]
    environ = os.environ if environ is None else environ
    directory = Path.cwd() if directory is None else directory
    if kind == "plain":
        return PlainChild(command, environ, directory)
    return GuardedChild(command, environ, directory, Deadline.after(20))


@pytest.fixture(params=["guarded", "plain"])
def child(request):
    """Start children of one kind: ``child(code, **options)``."""
    children = []

    def make(code, **options):
        children.append(start(request.param, code, **options))
        return children[-1]

    yield make
    for each in children:
        assert each.end(FAR)
        each.stdout.close()
        each.stderr.close()


SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def test_exit_code_is_none_while_it_runs_and_its_code_afterwards(child):
    running = child("import sys; sys.stdin.read(); sys.exit(3)")  # standard input is empty
    assert running.wait(Deadline.after(20))
    assert (running.exit_code(), running.exit_code()) == (3, 3)
    sleeping = child(SLEEP)
    assert sleeping.exit_code() is None
    assert not sleeping.wait(NOW)


def test_exit_code_is_negative_for_a_signal(child):
    running = child(SLEEP)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(Deadline.after(20))
    assert running.exit_code() == -9


def test_it_gets_the_environment_and_directory_it_was_given(child, tmp_path):
    running = child(
        "import os, sys; print(os.getcwd(), os.environ['X'], len(os.environ) < 5); sys.exit()",
        environ={"X": "ü"},
        directory=tmp_path,
    )
    assert running.stdout.readline().decode().split() == [str(tmp_path.resolve()), "ü", "True"]


def test_end_ends_it_and_can_be_repeated(child):
    running = child(SLEEP)
    assert running.stdout.readline() == b"ready\n"
    assert running.end(FAR)
    assert running.end(NOW)
    assert running.exit_code() == -signal.SIGTERM
    assert gone(running.pid, 0)


def test_end_forces_what_ignores_being_asked(child, monkeypatch):
    monkeypatch.setattr(opencode_child, "_GRACE", 0.3)
    running = child("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP)
    assert running.stdout.readline() == b"ready\n"
    assert running.end(Deadline.after(20))
    assert running.exit_code() == -signal.SIGKILL


def test_end_takes_the_whole_group_along(child):
    running = child(
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)']);"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    grandchild = int(running.stdout.readline())
    assert running.end(FAR)
    assert gone(grandchild)


def test_end_from_many_threads_at_once(child):
    running = child(SLEEP)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: running.end(Deadline.after(20)), range(16)))


def test_a_forked_process_does_not_end_its_parents_child(child, monkeypatch):
    running = child(SLEEP)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert not running.end(FAR)
    assert running.exit_code() is None


@pytest.mark.parametrize("kind", ["guarded", "plain"])
def test_a_directory_that_is_not_there_is_a_start_error(kind, tmp_path):
    with pytest.raises(StartError, match="absent"):
        start(kind, "", directory=tmp_path / "absent")


def test_a_program_that_is_not_there_is_a_start_error(tmp_path):
    command = [str(tmp_path / "absent")]
    with pytest.raises(StartError, match="No such file"):
        PlainChild(command, os.environ, tmp_path)
    with pytest.raises(StartError, match="No such file"):
        GuardedChild(command, os.environ, tmp_path, Deadline.after(20))


# The guard's own troubles...


def guard_that(monkeypatch, tmp_path, code):
    script = tmp_path / "guard.py"
    script.write_text(code)
    monkeypatch.setattr(opencode_child, "_GUARD", script)
    monkeypatch.setattr(opencode_child, "_GRACE", 0.2)


@pytest.mark.parametrize(
    "code",
    ["", "import os\nos.write(0, b'pi')", "import sys; sys.exit(1)"],
    ids=["says nothing", "half a line", "fails"],
)
def test_a_guard_that_ends_at_once_is_a_start_error(monkeypatch, tmp_path, code):
    guard_that(monkeypatch, tmp_path, code)
    with pytest.raises(StartError, match="its guard ended at once"):
        start("guarded", SLEEP)


@pytest.mark.parametrize("ignores", [False, True], ids=["ends on our word", "has to be killed"])
def test_a_guard_that_does_not_report_in_time_is_a_start_error(monkeypatch, tmp_path, ignores):
    wait = "time.sleep(600)" if ignores else "os.read(0, 1)"
    guard_that(monkeypatch, tmp_path, f"import os, time; {wait}")
    with pytest.raises(StartError, match="time allowed"):
        GuardedChild([sys.executable], os.environ, tmp_path, Deadline.after(0.3))


def test_the_server_is_ended_when_its_guard_was_killed():
    others = set(psutil.Process().children())  # such as a screen for tests before this one
    running = start("guarded", SLEEP)
    with running.stdout, running.stderr:
        [guard] = set(psutil.Process().children()) - others
        guard.kill()
        assert running.wait(Deadline.after(20))
        assert running.exit_code() == -signal.SIGKILL
        assert gone(running.pid)
        assert running.end(NOW)


def test_end_says_when_the_deadline_came_first(monkeypatch):
    monkeypatch.setattr(opencode_child, "_GRACE", 0.3)
    running = start(
        "guarded", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
    )
    with running.stdout, running.stderr:
        assert running.stdout.readline() == b"ready\n"
        assert not running.end(NOW)
        assert running.end(FAR)


OWNER = """
import os, sys, threading
from pathlib import Path
from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.server.child import start_child

def own():
    code = "import time; time.sleep(600)"
    children.append(start_child(
        [sys.executable, "-S", "-c", code], os.environ, Path.cwd(), Deadline.after(20)))

children = []
thread = threading.Thread(target=own)  # the thread that starts it may be gone long before
thread.start()
thread.join()
print(children[0].pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["kill -9", "normal end"])
def test_the_server_ends_with_the_process_that_owns_it(how):
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
    ) as owner:
        pid = int(owner.stdout.readline())
        assert not gone(pid, 0)
        if how == "kill -9":
            owner.kill()
        else:
            owner.stdin.close()
        owner.wait(20)
    assert gone(pid)


# Which kind...


def test_start_child_uses_a_guard():
    command = [sys.executable, "-S", "-c", SLEEP]
    child = start_child(command, os.environ, Path.cwd(), FAR)
    with child.stdout, child.stderr:
        assert child.end(FAR)
    assert type(child) is GuardedChild


@pytest.mark.parametrize(
    ("name", "value"), [("frozen", True), ("executable", "")], ids=["frozen", "no interpreter"]
)
def test_start_child_does_without_a_guard_where_there_is_no_interpreter(monkeypatch, name, value):
    command = [sys.executable, "-S", "-c", SLEEP]
    monkeypatch.setattr(sys, name, value, raising=False)
    child = start_child(command, os.environ, Path.cwd(), FAR)
    with child.stdout, child.stderr:
        assert child.end(FAR)
    assert type(child) is PlainChild


def test_no_thread_is_needed():
    before = set(threading.enumerate())
    running = start("guarded", SLEEP)
    assert set(threading.enumerate()) <= before
    with running.stdout, running.stderr:
        assert running.end(FAR)

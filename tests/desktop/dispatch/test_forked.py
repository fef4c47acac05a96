"""A forked child has its parent's dispatchers, but no thread that may hold their locks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcConfig
from opencode_sync.deadline import Deadline
from opencode_sync.desktop.dispatch import base
from opencode_sync.forks import Process, this_process
from tests.desktop.dispatch.manual import WAIT, ManualDispatcher

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

ROOT = Path(__file__).parents[3]


def fork(patch: pytest.MonkeyPatch) -> None:
    """From now on this is a child, until the patch is undone."""
    patch.setattr(this_process(), "left", True)
    patch.setattr("opencode_sync.forks._process", Process())


@contextmanager
def forked() -> Iterator[None]:
    """As in a child."""
    with pytest.MonkeyPatch.context() as patch:
        fork(patch)
        yield


@contextmanager
def held(lock: threading.RLock) -> Iterator[None]:
    """Another thread has the lock, as one that a fork has left behind has it for ever."""
    has, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            assert let_go.wait(WAIT)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has.wait(WAIT)
    try:
        yield
    finally:
        let_go.set()
        thread.join(WAIT)


def at_once(function: Callable[[], object]) -> None:
    """Fails where it would wait for a lock."""
    result: Future[object] = Future()
    thread = threading.Thread(target=lambda: result.set_result(function()), daemon=True)
    thread.start()
    result.result(WAIT)
    thread.join(WAIT)


def test_in_a_child_it_is_closed_whoever_holds_its_lock(ui: ManualDispatcher) -> None:
    client = IpcClient(IpcConfig(1024, "nobody-listens-there"))

    def use_all() -> None:
        assert ui.closed
        assert ui.close()
        ui.post(lambda: pytest.fail("it is the parent's toolkit"))
        assert ui.deliver(Future[int](), print).done
        assert ui.watch_state(client, print).done
        base._close_all()

    with held(ui._lock), forked():
        at_once(use_all)
    assert not ui.closed
    ui.run_dry()


def test_a_child_calls_off_nothing_of_its_parents(ui: ManualDispatcher) -> None:
    open_end, closed = threading.Event(), threading.Event()

    class Stream:
        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Iterator[int]:
            yield 1
            assert open_end.wait(WAIT)

        def close(self) -> None:
            closed.set()
            open_end.set()

    taken: list[int] = []
    ended = threading.Event()
    stream = ui.follow(Stream, taken.extend, lambda error: ended.set())
    ui.run_until(lambda: taken == [1])
    with held(ui._lock), forked():
        at_once(stream.cancel)
        assert stream.done
        at_once(ui.close)
    assert not closed.is_set()
    # Here the parent and the child are one: what the child has called off is off.
    open_end.set()
    assert stream.join(Deadline.after(WAIT))


def test_what_was_posted_runs_in_the_parent_alone(ui: ManualDispatcher) -> None:
    """Also where a callback forks, as one that starts a ``multiprocessing.Process`` does."""
    ran: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        ui.post(lambda: fork(patch))
        ui.post(lambda: ran.append("after"))
        assert ui.turn()
        assert ran == []
    ui.run_dry()
    assert ran == ["after"]


PROGRAM = """
import os, signal, sys, threading
from tests.desktop.dispatch.manual import WAIT, ManualDispatcher

ui = ManualDispatcher()
has, let_go = threading.Event(), threading.Event()

def hold():
    with ui._lock:
        has.set()
        assert let_go.wait(WAIT)

thread = threading.Thread(target=hold)
thread.start()
assert has.wait(WAIT)
child = os.fork()
if child == 0:
    signal.alarm(30)
    ui.post(print)
    sys.exit(0)
_, status = os.waitpid(child, 0)
let_go.set()
thread.join()
ui.run_dry()
ui.close()
print("the child ended with", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_ends_while_its_parent_goes_on() -> None:
    """A process of its own, because to fork one with threads of pytest's in it warns."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("the child ended with 0\n", "")

"""The thread of a proxy: nobody who asks it for something waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from opencode_sync.errors import IpcUsageError
from opencode_sync.testing import loop as loop_module
from opencode_sync.testing.loop import ProxyLoop

WAIT = 20.0


@pytest.fixture
def loop(_leaves_nothing: None) -> Iterator[ProxyLoop]:
    made = ProxyLoop(0, lambda client, selector: client.close())
    yield made
    made.stop()


def test_who_knocked_and_left_costs_nothing(loop: ProxyLoop) -> None:
    assert loop._listener is not None
    assert loop.ask(partial(loop._take_in, loop._listener, time.monotonic()))
    assert loop.ask(lambda: None)  # it goes on


def test_it_may_be_told_twice_to_listen_and_not_to(loop: ProxyLoop) -> None:
    for job in (loop.listen, loop.close_listener, loop.close_listener, loop.listen, loop.listen):
        assert loop.ask(job)


def test_a_thread_that_hangs_is_told_as_what_it_is(
    loop: ProxyLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "_PATIENCE", 0.05)
    go_on = threading.Event()
    with pytest.raises(IpcUsageError, match="does not answer"):
        loop.ask(partial(go_on.wait, WAIT))
    with pytest.raises(IpcUsageError, match="does not end"):
        loop.stop()
    monkeypatch.undo()
    go_on.set()
    loop.stop()
    assert loop.ask(lambda: None) is False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_does_first_what_somebody_waits_for(loop: ProxyLoop) -> None:
    done = threading.Event()

    def die() -> None:
        loop._jobs.append(done.set)  # which somebody asks for in this moment
        raise KeyError("a bug")

    assert loop.ask(die)
    assert done.wait(WAIT)
    loop.stop()
    assert loop.ask(lambda: None) is False

"""Steps that Ctrl-C must not tear, and what an interrupt at any line of them leaves."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from opencode_sync import ConnectionState, IpcClient, IpcClientOptions, IpcConnectionError
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.keeper import Keeper
from opencode_sync.uninterrupted import uninterrupted
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.leaks import eventually
from tests.support.threads import Background


def test_the_main_thread_has_another_do_it() -> None:
    assert threading.current_thread() is threading.main_thread()
    assert uninterrupted(threading.current_thread, WAIT).name == "opencode-sync-step"


def test_another_thread_does_it_itself() -> None:
    thread = Background(
        lambda: uninterrupted(threading.current_thread, WAIT) is threading.current_thread()
    )
    assert thread.result() is True


def test_what_it_raises_is_the_callers() -> None:
    def step() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        uninterrupted(step, WAIT)


def test_a_step_that_takes_too_long_goes_on() -> None:
    done, go = threading.Event(), threading.Event()

    def step() -> None:
        go.wait(WAIT)
        done.set()

    with pytest.raises(TimeoutError):
        uninterrupted(step, 0.01)
    go.set()
    assert done.wait(WAIT)
    assert eventually(lambda: not _steps(), WAIT)


def test_without_a_thread_to_be_had_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert uninterrupted(threading.current_thread, WAIT) is threading.main_thread()


def _steps() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "opencode-sync-step" in thread.name]


class Interrupt(BaseException):
    """What a signal handler raises."""


def _interrupted_at(number: int, act: Callable[[], object]) -> bool:
    """Run ``act`` and raise ``Interrupt`` at the given line of this package; whether it came."""
    lines = 0
    came = False

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines, came
        if not frame.f_globals.get("__name__", "").startswith("opencode_sync."):
            return None
        if event == "line" and not came:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if not text.lstrip().startswith("with "):  # entering a lock is one step to Python
                lines += 1
                if lines == number:
                    came = True
                    raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        act()
    except Interrupt:
        assert came
    finally:
        sys.settrace(None)
    return came


@pytest.mark.parametrize("what", ["connect", "close", "call"])
def test_after_an_interrupt_at_any_line_the_client_still_works(
    backend: ScriptedBackend, what: str
) -> None:
    """Wherever Ctrl-C hits, the client can be closed, connected and used, and nothing is left."""
    options = IpcClientOptions(shutdown_timeout=2.0)
    number, hit = 0, True
    while hit:
        number += 1
        client = backend.client(options=options)
        if what != "connect":
            client.connect()
        act = {"connect": client.connect, "close": client.close, "call": client.list_sessions}[what]
        hit = _interrupted_at(number, act)
        _still_works(client)
        assert number < 500, "the interrupts never end"
    assert number > 5, "nothing was interrupted"


def _still_works(client: IpcClient) -> None:
    client.close()
    assert client.state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED)
    client.connect()
    assert client.check_server_health(timeout=WAIT) is True
    client.close()
    assert client.state is ConnectionState.DISCONNECTED


def test_an_interrupted_connect_leaves_no_connection_behind(backend: ScriptedBackend) -> None:
    """Nobody would close it: ``with`` has not been entered."""
    backend.handshake = HOLD
    client = backend.client()

    def interrupted() -> None:
        raise Interrupt  # what the wait for the attempt raises is not the attempt's own error

    begun = Background(client.connect)
    backend.link().wait(lambda: bool(backend.link().raw), "handshake")
    client._supervisor.open = interrupted  # type: ignore[method-assign]
    with pytest.raises(Interrupt):
        client.connect()
    assert isinstance(begun.error(), IpcConnectionError)
    assert client.state is ConnectionState.FAILED


def test_a_future_ends_in_time_although_its_first_timer_had_no_thread(
    monkeypatch: pytest.MonkeyPatch, backend: ScriptedBackend
) -> None:
    """The next call that needs a timer tries again for both."""
    keeper = Keeper("opencode-sync-keeper")
    keeper.open()
    sweep = DeadlineSweep(keeper)
    backend.rule("list_sessions", HOLD)
    with backend.client() as client:
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name == "opencode-sync-keeper":
                raise RuntimeError("can't start new thread")
            start(thread)

        first = client.futures.list_sessions(timeout=0.05)
        first.cancel()
        second, third = (client.futures.list_sessions(timeout=30) for _ in range(2))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            sweep.watch(second)  # type: ignore[arg-type]
        assert not keeper.is_running
        sweep.watch(third)  # type: ignore[arg-type]
        assert keeper.is_running
        second.cancel()
        third.cancel()
    keeper.stop()


@pytest.mark.parametrize("code", [1001, 1012, 1013])
def test_a_backend_that_cannot_serve_now_is_no_authentication_error(
    backend: ScriptedBackend, code: int
) -> None:
    def close(request: object) -> None:
        backend.link().peer.close(code, "too many connections")

    backend.handshake = close
    client = backend.client()
    with pytest.raises(IpcConnectionError, match="try again later") as caught:
        client.connect()
    assert caught.value.close_code == code

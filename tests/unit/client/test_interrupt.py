"""KeyboardInterrupt wherever it hits a caller: nothing is left behind."""

from __future__ import annotations

import linecache
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from opencode_sync import IpcClient, ReconnectPolicy
from opencode_sync.call import BlockingCall
from opencode_sync.deadline import Deadline
from opencode_sync.pending import PendingRequests
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend, WrappedTransport
from tests.support.leaks import eventually
from tests.support.threads import Background
from tests.unit.client.doubles import tell_when_down

AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0)

needs_main_thread = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread()
    or not hasattr(signal, "pthread_kill"),
    reason="needs a signal sent to the main thread, which is where Python handles it",
)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Background jobs of shells start with SIGINT ignored, and then there is no such exception."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pending(client: IpcClient) -> int:
    """How many calls the client still knows of, sent or waiting."""
    live = client._supervisor._live
    return (0 if live is None else len(live._pending)) + len(client._supervisor._waiting)


def _waits(frame: FrameType | None) -> bool:
    """Whether a thread with this stack is inside ``BlockingCall.wait``."""
    return frame is not None and frame.f_code is BlockingCall.wait.__code__


def _interrupt_the_wait() -> None:
    main = threading.main_thread().ident
    assert main is not None
    assert eventually(lambda: _waits(sys._current_frames().get(main)), WAIT)
    signal.pthread_kill(main, signal.SIGINT)  # as Ctrl-C does: it wakes a lock


@needs_main_thread
def test_an_interrupt_while_waiting_leaves_nothing_pending(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    other = client.futures.list_sessions()
    helper = Background(_interrupt_the_wait)
    with pytest.raises(KeyboardInterrupt):
        client.list_sessions()
    helper.result()
    assert pending(client) == 1  # the other one
    link = backend.link()
    link.answer(link.request(1), b.sessions("nobody's"))
    link.answer(link.request(0), b.sessions("other"))
    assert other.result(WAIT)[0].title == "other"
    assert client.strays.late == 1
    assert client.check_server_health() is True
    assert pending(client) == 0


@needs_main_thread
def test_an_interrupt_while_waiting_for_a_connection_leaves_nothing_in_line(
    backend: ScriptedBackend,
) -> None:
    with backend.client(reconnect=ReconnectPolicy(initial_delay=60, maximum_delay=60)) as client:
        down = tell_when_down(client)
        backend.link().peer.drop()
        assert down.wait(WAIT)
        helper = Background(_interrupt_the_wait)
        with pytest.raises(KeyboardInterrupt):
            client.create_session("never")
        helper.result()
        assert pending(client) == 0
        client.connect()
        assert client.check_server_health() is True
        assert backend.link(1).operations() == ["check_health"]


@needs_main_thread
def test_an_interrupt_during_connect_leaves_a_client_that_can_be_closed(
    backend: ScriptedBackend,
) -> None:
    backend.handshake = HOLD
    client = backend.client()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        backend.link().wait(lambda: bool(backend.link().raw), "handshake")
        assert eventually(
            lambda: sys._current_frames()[main].f_code.co_name == "wait", WAIT
        )  # in the future of the attempt
        signal.pthread_kill(main, signal.SIGINT)  # as Ctrl-C does: it wakes a lock

    helper = Background(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.connect()
    helper.result()
    client.close()
    backend.handshake = b.accept
    with client:
        assert client.check_server_health() is True


# --- While writing ---


class InterruptedTransport(WrappedTransport):
    """Raises KeyboardInterrupt out of the next ``flush``, as a signal there would."""

    armed = False

    def flush(self, deadline: Deadline) -> bool:
        if self.armed:
            type(self).armed = False
            raise KeyboardInterrupt
        return super().flush(deadline)


@pytest.fixture
def interrupted(backend: ScriptedBackend) -> Iterator[type[InterruptedTransport]]:
    backend.wrap = InterruptedTransport
    yield InterruptedTransport
    InterruptedTransport.armed = False


def test_an_interrupt_while_writing_dooms_the_connection(
    backend: ScriptedBackend, interrupted: type[InterruptedTransport]
) -> None:
    """Half a message may be on the wire, so the link cannot be used any more."""
    backend.rule("list_sessions", HOLD)
    with backend.client(reconnect=None) as client:
        other = client.futures.list_sessions()
        backend.link().request()
        interrupted.armed = True
        with pytest.raises(KeyboardInterrupt):
            client.create_session("x")
        error = other.exception(WAIT)
        assert error is not None
        assert error.request_sent is True  # type: ignore[attr-defined]
        assert eventually(lambda: not client.is_connected)
        assert pending(client) == 0
        client.connect()
        assert client.check_server_health() is True


def test_a_call_interrupted_while_writing_is_not_repeated_after_reconnecting(
    backend: ScriptedBackend, interrupted: type[InterruptedTransport]
) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        interrupted.armed = True
        with pytest.raises(KeyboardInterrupt):
            client.create_session("x")
        assert client.check_server_health() is True  # on the second connection
        assert backend.link(1).operations() == ["check_health"]


# --- Anywhere ---


def _is_sending(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "opencode_sync.sender":
            return True
        frame = frame.f_back
    return False


def _line(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


@contextmanager
def _interrupt_at_line(number: int, hits: list[str]) -> Iterator[None]:
    """Raise KeyboardInterrupt in this thread at the n-th line of the package that it runs.

    Not in the sender: there an interrupt that hits before the lock is released dooms the
    connection, which has tests of its own. Not at a ``with``: the interpreter delivers no signal
    between leaving its block and releasing its lock.
    """
    files = ("client.py", "supervisor.py", "connection.py", "pending.py")
    left = number

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        nonlocal left
        name = frame.f_code.co_filename.replace("\\", "/")
        if "/opencode_sync/" not in name or not name.endswith(files) or _is_sending(frame):
            return None
        if event == "line" and not _line(frame).startswith("with "):
            left -= 1
            if left == 0:
                hits.append(f"{name.rsplit('/', 1)[1]}:{frame.f_lineno}")
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_an_interrupt_at_any_line_of_a_call_leaves_nothing_pending(
    backend: ScriptedBackend,
) -> None:
    backend.rule("list_sessions", HOLD)
    left_behind: list[str] = []
    with backend.client(reconnect=None) as client:
        for number in range(1, 400):
            hits: list[str] = []
            try:
                with _interrupt_at_line(number, hits):
                    client.list_sessions(timeout=0.001)
            except KeyboardInterrupt:
                if pending(client):
                    left_behind += hits
                    live = client._supervisor._live
                    assert live is not None
                    for call in live._pending.close():
                        call.cancel()
                    client.close()
                    client.connect()
            except TimeoutError:
                if not hits:
                    break  # it ran to its end
        else:
            pytest.fail("a call has no end")
        assert client.check_server_health() is True
    assert left_behind == []


def test_the_lines_are_really_interrupted(backend: ScriptedBackend, client: IpcClient) -> None:
    """The test above would pass as well if the tracing did nothing."""
    hits: list[str] = []
    with pytest.raises(KeyboardInterrupt), _interrupt_at_line(3, hits):
        client.check_server_health()
    assert len(hits) == 1
    assert time.monotonic() > 0


@needs_main_thread
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_an_interrupt_while_a_stream_is_ended_does_not_keep_it_going(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Once claimed, nobody else can end a call: whoever has claimed it must come through."""
    backend.rule("prompt", HOLD)
    stream = client.stream_prompt("ses_1", "hello", timeout=60)
    backend.link().request()
    entered, go_on = threading.Event(), threading.Event()
    release = PendingRequests.release

    def slow_release(self: PendingRequests, call: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            raise AssertionError("the main thread may be interrupted here")
        entered.set()
        assert go_on.wait(WAIT)
        release(self, call)

    monkeypatch.setattr(PendingRequests, "release", slow_release)

    left = threading.Event()

    def interrupt() -> None:
        assert entered.wait(WAIT)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        # One that comes just before the main thread sleeps does not wake it. The next does, and
        # must not interrupt anything itself.
        while not left.wait(0.05):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    interrupting = Background(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            getattr(stream, how)()
    finally:
        left.set()
        interrupting.result()
        signal.signal(signal.SIGUSR1, before)
    go_on.set()
    assert eventually(lambda: stream.done, WAIT)
    assert eventually(lambda: "cancel" in backend.link().operations(), WAIT)
    stream.close()

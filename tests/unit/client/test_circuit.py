"""While the backend is known to be down: calls fail at once, and one attempt at a time goes out."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    InMemoryMetrics,
    IpcClient,
    IpcConnectionError,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.deadline import Deadline
from opencode_sync.transport.base import TransportClosed
from tests.support.backend import WAIT, ScriptedBackend, WrappedTransport
from tests.support.threads import together

S = ConnectionState

FAIL_FAST = ReconnectPolicy(
    initial_delay=3600, maximum_delay=3600, jitter=0.0, wait_while_down=False
)
"""The next attempt comes in an hour: in these tests, never."""

AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0, wait_while_down=False)


class Held(WrappedTransport):
    """A link whose connecting waits until the test lets it go on."""

    def __init__(self, inner: Any, entered: threading.Semaphore, go_on: threading.Event) -> None:
        super().__init__(inner)
        self._entered, self._go_on = entered, go_on

    def connect(self, deadline: Deadline) -> None:
        self._entered.release()
        assert self._go_on.wait(WAIT)
        super().connect(deadline)


@contextmanager
def down(backend: ScriptedBackend, **arguments: Any) -> Iterator[IpcClient]:
    """Yield a client whose backend has gone, and whose next attempt is an hour away."""
    with backend.client(reconnect=FAIL_FAST, **arguments) as client:
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
        yield client


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Count the functions that this thread calls, Python's and C's."""
    counts: Counter[str] = Counter()

    def note(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            counts[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            counts[arg.__name__] += 1

    sys.setprofile(note)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def test_a_refused_call_costs_a_few_function_calls_and_no_attempt(
    backend: ScriptedBackend,
) -> None:
    """Microseconds, that is: no socket, no thread, no waiting. (The row is in metrics_cost.)"""
    with down(backend) as client:
        with pytest.raises(IpcConnectionError):
            client.list_sessions()  # once, for what is imported on the way
        threads = set(threading.enumerate())
        with counting() as counts:
            for _ in range(100):
                with suppress(IpcConnectionError):
                    client.list_sessions()
        assert set(threading.enumerate()) <= threads  # none is new
        assert backend.links == 1
    assert sum(counts.values()) < 100 * 60, counts.most_common(30)
    forbidden = {"Thread.start", "start_new_thread", "send", "sendto", "connect", "socket", "poll"}
    assert forbidden & set(counts) == set()
    assert counts["Condition.wait"] == counts["sleep"] == 0


def test_a_refused_call_says_when_the_next_attempt_comes(backend: ScriptedBackend) -> None:
    with down(backend) as client:
        with pytest.raises(IpcConnectionError, match="next attempt is in") as caught:
            client.list_sessions()
        assert caught.value.retry_in == pytest.approx(3600, abs=WAIT)
        assert not caught.value.request_sent
        copy = pickle.loads(pickle.dumps(caught.value))
        assert copy.retry_in == caught.value.retry_in


def test_a_future_is_refused_as_well(backend: ScriptedBackend) -> None:
    with down(backend) as client:
        error = client.futures.list_sessions().exception(0)
    assert isinstance(error, IpcConnectionError)
    assert error.retry_in is not None


def test_the_client_says_when_the_next_attempt_comes(backend: ScriptedBackend) -> None:
    client = backend.client(reconnect=FAIL_FAST)
    assert client.retry_in is None
    with client:
        assert client.retry_in is None
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
        first = client.retry_in
        assert first is not None
        assert first == pytest.approx(3600, abs=WAIT)
        moment = time.monotonic()
        while time.monotonic() == moment:
            pass
        second = client.retry_in
        assert second is not None
        assert second < first
        client.connect()
        assert client.retry_in is None
    assert client.retry_in is None


def test_the_state_says_so_too(backend: ScriptedBackend) -> None:
    changes: list[StateChange] = []
    client = backend.client(reconnect=FAIL_FAST)
    client.on_state_change(changes.append)
    with client:
        backend.link().peer.drop()
        assert client.wait_for_state(S.FAILED, WAIT)
    (lost,) = [change for change in changes if change.new is S.FAILED]
    assert (lost.old, lost.retry_in) == (S.CONNECTED, 3600)
    assert isinstance(lost.cause, IpcConnectionError)


def test_metrics_show_the_state_and_what_was_refused(backend: ScriptedBackend) -> None:
    metrics = InMemoryMetrics()
    assert metrics.snapshot().state is None
    with down(backend, metrics=metrics) as client:
        for _ in range(3):
            with pytest.raises(IpcConnectionError):
                client.list_sessions()
        told = threading.Event()
        client.futures.list_sessions().add_done_callback(lambda future: told.set())
        assert told.wait(WAIT)  # and before it what was posted earlier: the state
        snapshot = metrics.snapshot()
    figures = snapshot.operations["list_sessions"]
    assert (figures.sent, figures.succeeded, figures.failed) == (0, 0, 4)
    assert snapshot.state is S.FAILED


def test_many_threads_make_one_attempt(backend: ScriptedBackend) -> None:
    """The one probe is under way: who calls meanwhile is refused and makes no other."""
    entered, go_on = threading.Semaphore(0), threading.Event()
    with backend.client(reconnect=AT_ONCE) as client:
        backend.wrap = lambda transport: Held(transport, entered, go_on)
        backend.link().peer.drop()
        assert entered.acquire(timeout=WAIT)

        def call(index: int) -> IpcConnectionError:
            with pytest.raises(IpcConnectionError, match="still connecting") as caught:
                client.list_sessions()
            return caught.value

        errors = [job.result() for job in together(16, call)]
        assert {error.retry_in for error in errors} == {0.0}
        assert client.retry_in == 0.0  # the attempt is now
        assert backend.links == 2
        go_on.set()
        assert client.wait_for_state(S.CONNECTED, WAIT) or client.is_connected
        assert client.list_sessions()
        assert backend.links == 2


def test_many_threads_that_connect_make_one_attempt(backend: ScriptedBackend) -> None:
    entered, go_on = threading.Semaphore(0), threading.Event()
    with down(backend) as client:
        backend.wrap = lambda transport: Held(transport, entered, go_on)
        opened = threading.Barrier(9)

        def connect(index: int) -> None:
            opened.wait(WAIT)
            client.connect()

        threads = [threading.Thread(target=connect, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        opened.wait(WAIT)
        assert entered.acquire(timeout=WAIT)
        go_on.set()
        for thread in threads:
            thread.join(WAIT)
        assert client.is_connected
        assert backend.links == 2


@pytest.mark.parametrize("times", [1, 5])
def test_a_first_connect_that_is_refused_again_and_again(
    backend: ScriptedBackend, times: int
) -> None:
    """Each ``connect`` is one attempt; the calls in between are none, and fail at once."""
    backend.refusal = "nobody listens"
    client = backend.client(reconnect=AT_ONCE)
    for attempt in range(1, times + 1):
        with pytest.raises(IpcConnectionError, match="nobody listens"):
            client.connect()
        assert backend.links == attempt
        for _ in range(20):
            with pytest.raises(IpcConnectionError, match=r"call connect\(\)") as caught:
                client.list_sessions()
            assert caught.value.retry_in is None
        assert backend.links == attempt
        assert client.state is S.FAILED
        assert client.retry_in is None


def test_attempts_go_out_one_after_the_other_until_one_succeeds(backend: ScriptedBackend) -> None:
    """However often the backend refuses: there is never more than one attempt at a time."""
    at_once, most, tries = [0], [0], [0]
    lock = threading.Lock()  # guards the three

    class Counting(WrappedTransport):
        def connect(self, deadline: Deadline) -> None:
            with lock:
                at_once[0] += 1
                tries[0] += 1
                most[0] = max(most[0], at_once[0])
                is_refused = tries[0] <= 5
            try:
                if is_refused:
                    attempted.set()
                    assert somebody_was_refused.wait(WAIT)
                    raise TransportClosed("nobody listens")
                super().connect(deadline)
            finally:
                with lock:
                    at_once[0] -= 1

    stop, attempted, somebody_was_refused = (threading.Event() for _ in range(3))
    refused = Counter[type]()

    def call_once() -> None:
        try:
            client.check_server_health()
        except IpcConnectionError as error:
            refused[type(error)] += 1
            somebody_was_refused.set()

    def call(index: int) -> None:
        while not stop.is_set():
            call_once()

    with backend.client(reconnect=AT_ONCE) as client:
        backend.wrap = Counting
        callers = [threading.Thread(target=call, args=(index,)) for index in range(4)]
        for caller in callers:
            caller.start()
        backend.link().peer.drop()
        assert attempted.wait(WAIT)
        call_once()  # what was on its way is repeated, so there may be no other
        backend.link(6)  # the sixth attempt after the loss
        assert client.wait_for_state(S.CONNECTED, WAIT) or client.is_connected
        stop.set()
        for caller in callers:
            caller.join(WAIT)
        assert client.check_server_health()
    assert (tries[0], most[0]) == (6, 1)
    assert refused

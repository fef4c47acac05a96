"""Time-outs, and the instant in which an answer and a time-out meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from loguru import logger

from opencode_sync import (
    InMemoryMetrics,
    IpcClient,
    IpcClientOptions,
    IpcError,
    IpcTimeoutError,
    enable_logging,
)
from opencode_sync.pending import PendingRequests
from opencode_sync.transport.base import Transport
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend, StallingTransport
from tests.support.threads import Background


class Stepper(InMemoryMetrics):
    """Stops whoever ends a request between claiming it and giving out the outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_at: bool | None = None
        """Stop the one that ends a request so: with success (True) or not (False)."""
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        if success is self.stop_at:
            self.stop_at = None
            self.reached.set()
            assert self.go_on.wait(WAIT)
        super().record_request_completed(operation, duration, success)


@pytest.fixture
def stepper() -> Stepper:
    return Stepper()


def _logged(text: str, event: threading.Event) -> Callable[[], None]:
    return enable_logging(sink=lambda message: event.set() if text in message else None)


def test_a_call_without_an_answer_ends_in_its_own_time(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"list_sessions got no answer within 0\.05 s") as caught:
        client.list_sessions(timeout=0.05)
    assert 0.05 <= time.monotonic() - began < 10  # the client's own default is 30
    error = caught.value
    assert isinstance(error, IpcTimeoutError)
    assert isinstance(error, IpcError)
    assert (error.request_id, error.timeout, error.operation) == (2, 0.05, "list_sessions")
    assert error.request_sent is True


def test_without_a_time_out_the_options_default_holds(backend: ScriptedBackend) -> None:
    backend.rule("list_sessions", HOLD)
    with backend.client(options=IpcClientOptions(default_request_timeout=0.04)) as client:
        with pytest.raises(IpcTimeoutError) as caught:
            client.list_sessions()
        assert caught.value.timeout == 0.04
        with pytest.raises(IpcTimeoutError) as caught:
            client.futures.list_sessions().result(WAIT)
        assert caught.value.timeout == 0.04


def test_a_time_out_disturbs_no_other_request(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    slow = client.futures.list_sessions()
    with pytest.raises(IpcTimeoutError):
        client.list_sessions(timeout=0.01)
    backend.link().answer(backend.link().request(0), b.sessions("slow"))
    assert slow.result(WAIT)[0].title == "slow"


def test_a_request_that_never_got_out_says_so_and_is_never_sent(backend: ScriptedBackend) -> None:
    links: list[StallingTransport] = []

    def stalling(inner: Transport) -> Transport:
        links.append(StallingTransport(inner))
        return links[-1]

    backend.wrap = stalling
    with backend.client(reconnect=None) as client:
        links[0].stall()
        writer = Background(client.check_server_health)
        links[0].wait_for_writer()
        with pytest.raises(IpcTimeoutError, match="could not be sent") as caught:
            client.create_session("late", timeout=0.02)
        assert caught.value.request_sent is False
        links[0].resume()
        assert writer.result() is True
        assert client.check_server_health() is True
        assert backend.link().operations() == ["check_health", "check_health"]


# --- The race ---


def test_an_answer_that_came_first_is_given_although_the_time_ran_out(
    backend: ScriptedBackend, stepper: Stepper
) -> None:
    """The reader has claimed the call; the caller's time is up before the result is there."""
    backend.rule("list_sessions", b.sessions("just in time"))
    too_late = threading.Event()
    with backend.client(metrics=stepper) as client:
        disable = _logged("was answered as its time ran out", too_late)
        try:
            stepper.stop_at = True
            call = Background(client.list_sessions, timeout=0.3)
            assert stepper.reached.wait(WAIT)
            assert too_late.wait(WAIT)  # the caller has looked at the clock and found it passed
            assert call.running
            stepper.go_on.set()
            assert call.result()[0].title == "just in time"
        finally:
            disable()
        figures = stepper.snapshot().operations["list_sessions"]
        assert (figures.sent, figures.succeeded, figures.failed) == (1, 1, 0)
        assert client.strays.late == 0


def test_a_time_out_that_came_first_stands_and_the_answer_is_late(
    backend: ScriptedBackend, stepper: Stepper
) -> None:
    """The caller has claimed the call; the answer lands before the error is there."""
    backend.rule("list_sessions", HOLD)
    with backend.client(metrics=stepper) as client:
        stepper.stop_at = False
        call = Background(client.list_sessions, timeout=0.02)
        assert stepper.reached.wait(WAIT)
        backend.link().answer(backend.link().request(), b.sessions("too late"))
        assert client.futures.check_server_health().result(WAIT) is True  # it was dealt with
        assert client.strays.late == 1
        assert call.running
        stepper.go_on.set()
        assert isinstance(call.error(), IpcTimeoutError)
        figures = stepper.snapshot().operations["list_sessions"]
        assert (figures.sent, figures.succeeded, figures.failed) == (1, 0, 1)


def test_an_answer_taken_off_the_table_after_the_claim_is_dropped(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the time-out's claim and its release the reader still finds the call."""
    backend.rule("list_sessions", HOLD)
    claimed, go_on = threading.Event(), threading.Event()
    release = PendingRequests.release

    def stepped(self: PendingRequests, call: Any) -> None:
        if call.operation == "list_sessions":
            claimed.set()
            assert go_on.wait(WAIT)
        release(self, call)

    monkeypatch.setattr(PendingRequests, "release", stepped)
    call = Background(client.list_sessions, timeout=0.02)
    assert claimed.wait(WAIT)
    backend.link().answer(backend.link().request(), b.sessions("too late"))
    assert client.futures.check_server_health().result(WAIT) is True
    go_on.set()
    assert isinstance(call.error(), IpcTimeoutError)


def test_a_cancel_and_an_answer_at_once_have_one_outcome(
    backend: ScriptedBackend, stepper: Stepper
) -> None:
    with backend.client(metrics=stepper) as client:
        stepper.stop_at = True
        future = client.futures.check_server_health()
        assert stepper.reached.wait(WAIT)
        assert future.cancel() is False
        stepper.go_on.set()
        assert future.result(WAIT) is True


def test_a_future_whose_deadline_meets_its_answer_gets_the_answer(
    backend: ScriptedBackend, stepper: Stepper
) -> None:
    backend.rule("list_sessions", HOLD)
    with backend.client(metrics=stepper) as client:
        stepper.stop_at = True
        future = client.futures.list_sessions(timeout=0.3)
        other = client.futures.list_sessions(timeout=0.31)
        backend.link().request(1)
        request = backend.link().request(0)
        # In memory whoever brings an answer ends its call, and is the one who stops there.
        bringing = Background(backend.link().answer, request, b.sessions("mine"))
        assert stepper.reached.wait(WAIT)
        assert isinstance(other.exception(WAIT), IpcTimeoutError)  # so the sweep has looked at both
        assert not future.done()
        stepper.go_on.set()
        assert future.result(WAIT)[0].title == "mine"
        bringing.result()


def test_hundreds_of_answers_at_the_deadline_each_have_one_outcome(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("check_health", HOLD)
    futures = [client.futures.check_server_health(timeout=0.03) for _ in range(300)]
    link = backend.link()
    link.request(299)
    for request in link.requests:
        link.answer(request, b.healthy())
    outcomes = [future.exception(WAIT) for future in futures]
    assert all(error is None or isinstance(error, IpcTimeoutError) for error in outcomes)
    assert all(future.result(0) is True for future in futures if future.exception(0) is None)
    backend.rule("check_health", b.healthy())
    assert client.check_server_health() is True


def test_logging_is_left_off(client: IpcClient) -> None:
    """The helpers above switch it off again: nothing of a later test goes to a sink."""
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="TRACE")
    try:
        client.check_server_health()
    finally:
        logger.remove(handler)
    assert lines == []

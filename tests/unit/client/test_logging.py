"""Logging: off by default, structured when on, and never a token in it."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from opencode_sync import (
    IpcError,
    IpcTimeoutError,
    ReconnectPolicy,
    enable_logging,
    log_thread,
)
from opencode_sync.log_thread import finish_log, log_soon
from opencode_sync.transport.base import Transport
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, TOKEN, WAIT, ScriptedBackend, WrappedTransport
from tests.unit.client.doubles import no_thread


class Sink:
    """Keeps what it is given, as text and as records."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def text(self) -> str:
        return "".join(str(message) for message in self.messages)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [message.record for message in self.messages]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Everything of this package, down to the lowest level, with the values in tracebacks.

    It is a sink of the program's own, where nothing is masked: what is tested here is that there is
    nothing to mask.
    """
    sink = Sink()
    handler = logger.add(sink, level="TRACE", filter="opencode_sync")
    disable = enable_logging()
    yield sink
    disable()
    logger.remove(handler)


def _use(backend: ScriptedBackend) -> None:
    with backend.client() as client:
        client.list_sessions()
        backend.link().peer.send(b"\xff")
        backend.link().send(0, b.error(1, "Invalid protobuf message"))
        backend.link().send(99, b.healthy())
        client.check_server_health()


def test_nothing_is_logged_unless_asked_for(backend: ScriptedBackend) -> None:
    sink = Sink()
    handler = logger.add(sink, level="TRACE")
    try:
        _use(backend)
    finally:
        logger.remove(handler)
    assert sink.messages == []


def test_that_there_is_no_thread_is_told_on_the_logs_own(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who find out hold locks, and a sink is the user's code: it may wait for a client."""
    told: dict[str, str] = {}
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "keeper" in thread.name or "notifier" in thread.name:
            no_thread(thread)
        start(thread)

    def sink(message: Any) -> None:
        told[message.record["message"]] = threading.current_thread().name

    handler = logger.add(sink, level="ERROR", filter="opencode_sync")
    logger.enable("opencode_sync")
    try:
        client = backend.client()
        client.on_state_change(lambda change: None)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            client.connect()
        client.close()
        finish_log(WAIT)
    finally:
        logger.disable("opencode_sync")
        logger.remove(handler)
    why = "can't start new thread"
    assert told == {
        f"callbacks have no thread to run on: {why}": "opencode-sync-log",
        f"deadlines and keep-alive have no thread: {why}": "opencode-sync-log",
    }


def test_a_log_without_a_thread_says_so_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    finish_log(WAIT)
    said: list[str] = []
    lines: list[int] = []
    monkeypatch.setattr(log_thread, "complain", said.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        log_soon(lines.append, 1)
    assert said == ["the system has no thread for the log: its lines wait for the next one"]
    log_soon(lines.append, 2)
    finish_log(WAIT)
    assert lines == [1, 2]


def test_when_asked_for_the_life_of_a_connection_is_told(
    backend: ScriptedBackend, sink: Sink
) -> None:
    _use(backend)
    states = [record["extra"].get("state") for record in sink.records]
    assert [state for state in states if state] == [
        "connecting",
        "authenticating",
        "connected",
        "disconnecting",
        "disconnected",
    ]
    extras = [record["extra"] for record in sink.records]
    assert {"size": 1} in extras
    assert any(extra.get("request_id") == 99 for extra in extras)
    assert all(record["name"].startswith("opencode_sync") for record in sink.records)


def test_switching_it_off_again_ends_it_and_removes_the_sink(backend: ScriptedBackend) -> None:
    sink = Sink()
    disable = enable_logging("TRACE", sink)
    disable()
    _use(backend)
    logger.info("of another program")
    assert sink.messages == []


def test_without_a_sink_the_programs_own_get_it(backend: ScriptedBackend) -> None:
    sink = Sink()
    handler = logger.add(sink, level="DEBUG")
    disable = enable_logging()
    try:
        _use(backend)
    finally:
        disable()
        logger.remove(handler)
    assert "connected" in sink.text


def test_the_level_is_the_sinks(backend: ScriptedBackend) -> None:
    sink = Sink()
    disable = enable_logging("WARNING", sink)
    try:
        _use(backend)
    finally:
        disable()
    assert sink.messages
    assert all(record["level"].no >= 30 for record in sink.records)


# --- No token, whatever happens ---


class Leaky(WrappedTransport):
    """A transport with a bug: its methods raise what no transport may raise."""

    where = ""

    def connect(self, deadline: Any) -> None:
        if self.where == "connect":
            raise ValueError("a bug in connect")
        super().connect(deadline)

    def send(self, messages: Any) -> None:
        if self.where == "send":
            raise ValueError("a bug in send")
        super().send(messages)

    def flush(self, deadline: Any) -> bool:
        if self.where == "flush":
            raise ValueError("a bug in flush")
        return super().flush(deadline)

    def receive(self, deadline: Any = None) -> bytes:
        if self.where == "receive":
            raise ValueError("a bug in receive")
        return super().receive(deadline)


def _leaky(where: str) -> Callable[[Transport], Transport]:
    def wrap(inner: Transport) -> Transport:
        transport = Leaky(inner)
        transport.where = where
        return transport

    return wrap


@pytest.mark.parametrize("where", ["connect", "send", "flush", "receive"])
def test_a_bug_of_a_transport_shows_no_token_in_its_traceback(
    backend: ScriptedBackend, sink: Sink, where: str
) -> None:
    backend.wrap = _leaky(where)
    with pytest.raises(IpcError) as caught:
        backend.client().connect()
    assert f"a bug in {where}" in sink.text  # it is told, with the values on its way
    assert TOKEN not in sink.text
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "verdict",
    [
        lambda message: b.refuse(message),
        lambda message: b.error(3, f"I do not like {message.auth_handshake.token}"),
        lambda message: b.healthy(),
        lambda message: {
            "auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(error=f"<{TOKEN}>")
        },
    ],
    ids=["refused", "error", "wrong payload", "quoted"],
)
def test_a_handshake_that_fails_shows_no_token(
    backend: ScriptedBackend, sink: Sink, verdict: Any
) -> None:
    backend.handshake = verdict
    with pytest.raises(IpcError) as caught:
        backend.client().connect()
    # As a program would that logs its errors with everything it can.
    logger.opt(exception=caught.value).error("could not connect")
    handler_text = Sink()
    handler = logger.add(handler_text, diagnose=True, backtrace=True)
    logger.opt(exception=caught.value).error("could not connect")
    logger.remove(handler)
    assert TOKEN not in sink.text
    assert TOKEN not in handler_text.text


def test_a_whole_life_with_losses_and_errors_shows_no_token(
    backend: ScriptedBackend, sink: Sink
) -> None:
    class Provider:
        def get_config(self) -> Any:
            return CONFIG

    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0)
    with backend.client(Provider(), reconnect=policy) as client:
        client.list_sessions()
        backend.rule("list_sessions", b.error(4, f"your token {TOKEN} is nice"))
        with pytest.raises(IpcError) as caught:
            client.list_sessions()
        assert TOKEN not in str(caught.value)
        backend.link().send(0, b.error(1, f"what is {TOKEN}?"))
        backend.rule("list_sessions", HOLD)
        with pytest.raises(IpcTimeoutError) as late:
            client.list_sessions(timeout=0.05)
        assert "what is" in str(late.value)
        assert TOKEN not in str(late.value)
        backend.link().peer.close(4000, f"bye {TOKEN}")
        assert client.check_server_health() is True
    assert sink.messages
    assert TOKEN not in sink.text
    for record in sink.records:
        assert TOKEN not in repr(record["extra"])


def test_the_sinks_of_these_tests_would_show_a_token_in_a_frame(sink: Sink) -> None:
    """Otherwise the tests above would prove nothing."""
    secret = TOKEN

    def fail(value: str) -> None:
        raise ValueError("an error")

    shown = Sink()
    handler = logger.add(shown, diagnose=True)
    try:
        fail(secret)
    except ValueError:
        logger.opt(exception=sys.exc_info()).error("it failed")
    logger.remove(handler)
    assert TOKEN in shown.text

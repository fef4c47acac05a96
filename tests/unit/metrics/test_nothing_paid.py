"""Who does not ask for metrics and traces pays nothing for them: counted, not timed.

That part of a client which a request passes through has no instruction for either. Those who ask
get subclasses, which are tested to be used then and only then.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from opencode_sync import InMemoryMetrics, IpcClient, answers, call, calls, metered, sender, tracing
from opencode_sync.log_thread import finish_log
from tests.figures.census import Census, census
from tests.support.backend import ScriptedBackend

_REQUESTS = 50
_WATCHERS = ("metrics", "metered", "tracing", "telemetry", "masking", "opentelemetry", "loguru")


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _methods(cls: type) -> dict[str, FunctionType]:
    return {name: each for name, each in vars(cls).items() if isinstance(each, FunctionType)}


@pytest.mark.parametrize(
    "cls",
    [
        call.Call,
        call.BlockingCall,
        call.FutureCall,
        sender.Sender,
        answers.Answers,
    ],
)
def test_what_a_request_passes_through_does_not_ask_whether_somebody_watches(cls: type) -> None:
    for name, method in _methods(cls).items():
        words = {word for code in _codes(method.__code__) for word in code.co_names}
        assert {word for word in words if "metrics" in word or "trac" in word} == set(), name


def test_making_a_call_asks_no_more_than_making_the_client() -> None:
    asking = {
        name
        for name, method in _methods(calls.Calls).items()
        if any("etered" in word for code in _codes(method.__code__) for word in code.co_names)
    }
    assert asking == {"__init__"}


@pytest.fixture
def counted() -> Iterator[Census]:
    with census("scripted-backend") as counted:  # in memory it is who brings an answer that ends it
        yield counted


def _run(backend: ScriptedBackend, counted: Census, **watch: Any) -> Counter[str]:
    with backend.client(reconnect=None, **watch) as client:
        for _ in range(_REQUESTS):
            client.check_server_health()
        with counted.counting():
            for _ in range(_REQUESTS):
                client.check_server_health()
        return Counter(counted.by_name)


def test_with_a_recorder_the_same_functions_run_and_its_own_besides(
    backend: ScriptedBackend, counted: Census
) -> None:
    off = _run(backend, counted)
    on = _run(backend, counted, metrics=InMemoryMetrics())
    recorded = {name for name in on if "Metrics" in name or "Metered" in name}
    assert recorded
    assert {name for name in off if "Metrics" in name or "Metered" in name} == set()
    # What one request calls of the client itself, without what threads do by chance.
    for name in ("Calls.run", "BlockingCall.wait", "Sender._next_batch", "Answers.accept"):
        assert off[name] == _REQUESTS, name
        assert on[name] >= _REQUESTS, name


def test_a_plain_client_has_the_plain_parts(backend: ScriptedBackend) -> None:
    with backend.client() as client:
        assert _parts(client) == {calls.Calls, sender.Sender, answers.Answers}
        assert _kinds_of_call(client) == (call.BlockingCall, call.FutureCall)


def test_a_watched_client_has_those_that_tell(backend: ScriptedBackend) -> None:
    watch = {"metrics": InMemoryMetrics(), "tracer_provider": TracerProvider()}
    with backend.client(**watch) as client:
        assert _parts(client) == {
            tracing.TracedCalls,
            metered.MeteredSender,
            answers.Answers,
        }
        assert [cls.__name__ for cls in _kinds_of_call(client)] == [
            "MeteredBlockingCall",
            "MeteredFutureCall",
        ]


def _parts(client: IpcClient) -> set[type]:
    connection = client._supervisor._live
    assert connection is not None
    return {type(client._calls), type(connection._sender), type(connection._answers)}


def _kinds_of_call(client: IpcClient) -> tuple[type, type]:
    return client._calls._new_blocking_call, client._calls._new_future_call


def test_a_plain_request_enters_no_module_of_the_watchers(backend: ScriptedBackend) -> None:
    entered: set[str] = set()

    def note(frame: Any, event: str, arg: Any) -> None:
        if event == "call":
            entered.add(str(frame.f_globals.get("__name__", "")))

    def use() -> None:
        sys.setprofile(note)
        try:
            client.check_server_health()
            client.futures.list_sessions().result(20)
        finally:
            sys.setprofile(None)

    threading.setprofile(note)
    try:
        with backend.client(reconnect=None) as client:
            client.check_server_health()
            finish_log(20)  # of the connection, which is told on a thread of its own
            entered.clear()
            use()
            seen = set(entered)  # before the end, which is logged if somebody wants it
    finally:
        threading.setprofile(None)
    of_client = {name.removeprefix("opencode_sync.").partition(".")[0] for name in seen}
    assert {"call", "calls", "sender", "answers"} <= of_client
    assert of_client & set(_WATCHERS) == set()

"""A client's operations as spans: when they begin and end, what they say, what the backend gets."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from opencode_sync import (
    CancelToken,
    ConnectionState,
    IpcCancelledError,
    IpcClient,
    IpcConfigError,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
    ReconnectPolicy,
)
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, TOKEN, WAIT, ScriptedBackend
from tests.unit.tracing.conftest import NoTracerProvider, RaisingProvider, Spans


def context_of(request: ipc_pb2.IpcClientMessage) -> tuple[int, int]:
    """Return trace and span that a request says it belongs to."""
    _, trace_id, span_id, _ = request.traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)


def ids(span: ReadableSpan) -> tuple[int, int]:
    """Return a span's trace and its own id."""
    context = span.get_span_context()
    return context.trace_id, context.span_id


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# --- A blocking call ---


def test_a_call_is_a_client_span_by_the_conventions(backend: ScriptedBackend, spans: Spans) -> None:
    with backend.client(tracer_provider=spans.provider) as client:
        client.list_sessions()
    span = spans.only()
    assert (span.name, span.kind) == ("opencode.Ipc/list_sessions", SpanKind.CLIENT)
    assert attributes(span) == {
        "rpc.system.name": "opencode_ipc",
        "rpc.method": "opencode.Ipc/list_sessions",
        "server.address": "127.0.0.1",
        "server.port": 4096,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert span.parent is None
    assert span.instrumentation_scope.name == "opencode_sync"


def test_the_request_takes_its_trace_along(backend: ScriptedBackend, spans: Spans) -> None:
    with backend.client(tracer_provider=spans.provider) as client:
        client.list_sessions()
        request = backend.link().request()
    assert context_of(request) == ids(spans.only())
    assert request.WhichOneof("payload") == "list_sessions"


def test_about_a_folder_the_trace_is_on_the_outside(backend: ScriptedBackend, spans: Spans) -> None:
    with backend.client(tracer_provider=spans.provider, directory="/project") as client:
        client.list_sessions()
        outer = ipc_pb2.IpcClientMessage.FromString(backend.link().raw[-1])
    assert outer.scoped.directory == "/project"
    assert context_of(outer) == ids(spans.only())


def test_a_span_of_the_callers_is_the_parent_with_its_state(
    backend: ScriptedBackend, spans: Spans
) -> None:
    state = trace.TraceState([("vendor", "x")])
    parent = trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1), state)
    with (
        backend.client(tracer_provider=spans.provider) as client,
        trace.use_span(trace.NonRecordingSpan(parent)),
    ):
        client.list_sessions()
        request = backend.link().request()
    span = spans.only()
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (0xABC, 0xDEF)
    assert context_of(request)[0] == 0xABC
    assert request.tracestate == "vendor=x"


@pytest.mark.parametrize("repeats", [False, True])
def test_one_call_is_one_span_however_often_it_is_sent(
    backend: ScriptedBackend, spans: Spans, repeats: bool
) -> None:
    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0)
    with backend.client(tracer_provider=spans.provider, reconnect=policy) as client:
        if repeats:
            backend.rule("list_sessions", HOLD)
            future = client.futures.list_sessions()
            backend.link().request()
            backend.rule("list_sessions", b.sessions("one"))
            backend.link().peer.drop()
            assert future.result(WAIT)
        else:
            client.list_sessions()
    assert spans.only().status.status_code is StatusCode.UNSET


# --- Failures ---


def test_an_error_of_the_backend_is_recorded_by_its_code(
    backend: ScriptedBackend, spans: Spans
) -> None:
    backend.rule("list_sessions", b.error(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "on fire"))
    with (
        backend.client(tracer_provider=spans.provider) as client,
        pytest.raises(IpcServerError),
    ):
        client.list_sessions()
    span = spans.only()
    assert span.status.status_code is StatusCode.ERROR
    assert "on fire" in str(span.status.description)
    assert attributes(span)["error.type"] == "SERVER_ERROR"
    assert attributes(span)["rpc.response.status_code"] == "SERVER_ERROR"
    (event,) = span.events
    assert event.name == "exception"
    assert "on fire" in str((event.attributes or {})["exception.message"])


def test_any_other_error_is_recorded_by_its_type(backend: ScriptedBackend, spans: Spans) -> None:
    backend.rule("list_sessions", HOLD)
    with (
        backend.client(tracer_provider=spans.provider) as client,
        pytest.raises(IpcTimeoutError),
    ):
        client.list_sessions(timeout=0.01)
    span = spans.only()
    assert attributes(span)["error.type"] == "opencode_sync.errors.IpcTimeoutError"
    assert "rpc.response.status_code" not in attributes(span)


def test_a_call_without_a_connection_has_a_span_that_failed(
    backend: ScriptedBackend, spans: Spans
) -> None:
    client = backend.client(tracer_provider=spans.provider)
    with pytest.raises(IpcConnectionError):
        client.list_sessions()
    span = spans.only()
    assert attributes(span)["error.type"] == "opencode_sync.errors.IpcConnectionError"
    assert "server.address" not in attributes(span)


def test_an_interrupt_ends_the_span(
    backend: ScriptedBackend, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    with backend.client(tracer_provider=spans.provider) as client:
        monkeypatch.setattr("opencode_sync.call.BlockingCall.wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.list_sessions()
    assert attributes(spans.only())["error.type"] == "KeyboardInterrupt"


@pytest.mark.parametrize("way", ["blocking", "future"])
def test_a_health_check_that_returns_false_is_a_failure_in_its_span(
    backend: ScriptedBackend, spans: Spans, way: str
) -> None:
    backend.rule("check_health", b.error(4, "no"))
    with backend.client(tracer_provider=spans.provider) as client:
        if way == "blocking":
            assert client.health_check() is False
        else:
            assert client.futures.health_check().result(WAIT) is False
    span = spans.only()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "_OTHER"


def test_a_prompt_that_fails_is_recorded_by_its_kind(
    backend: ScriptedBackend, spans: Spans
) -> None:
    backend.rule("prompt", b.failed("rate_limited", "too many"))
    with (
        backend.client(tracer_provider=spans.provider) as client,
        pytest.raises(IpcPromptError),
    ):
        client.prompt("ses_1", "hello")
    assert attributes(spans.only())["error.type"] == "rate_limited"


# --- Futures and streams ---


def test_a_futures_span_ends_with_the_future_and_not_before(
    backend: ScriptedBackend, spans: Spans
) -> None:
    backend.rule("list_sessions", HOLD)
    with backend.client(tracer_provider=spans.provider) as client:
        future = client.futures.list_sessions()
        request = backend.link().request()
        assert spans.ended == ()
        assert not trace.get_current_span().get_span_context().is_valid
        backend.link().answer(request, b.sessions("one"))
        assert future.result(WAIT)
    assert context_of(request) == ids(spans.only())


def test_the_end_of_a_future_is_told_on_the_notifier_thread_with_its_own_time(
    backend: ScriptedBackend, spans: Spans
) -> None:
    told_on: list[str] = []
    held, let_go = threading.Event(), threading.Event()

    class Watching(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            told_on.append(threading.current_thread().name)

    spans.provider.add_span_processor(Watching())

    def hold_up(future: object) -> None:
        held.set()
        let_go.wait(WAIT)

    with backend.client(tracer_provider=spans.provider) as client:
        first = client.futures.check_server_health()
        first.add_done_callback(hold_up)
        assert held.wait(WAIT)
        assert client.futures.list_sessions().result(WAIT)
        ended_by = time.time_ns()
        let_go.set()
    (span,) = spans.named("list_sessions")
    assert told_on == ["opencode-sync-notifier"] * 2
    assert (span.end_time or 0) <= ended_by


def test_a_cancelled_future_is_a_failure(backend: ScriptedBackend, spans: Spans) -> None:
    backend.rule("list_sessions", HOLD)
    with backend.client(tracer_provider=spans.provider) as client:
        assert client.futures.list_sessions().cancel()
    assert attributes(spans.only())["error.type"] == "concurrent.futures.CancelledError"


def test_a_future_that_fails_is_a_failure(backend: ScriptedBackend, spans: Spans) -> None:
    backend.rule("list_sessions", b.error(5))
    with backend.client(tracer_provider=spans.provider) as client:
        assert client.futures.list_sessions().exception(WAIT)
    assert attributes(spans.only())["rpc.response.status_code"] == "NO_SERVER"


def test_a_future_that_cannot_be_begun_leaves_no_span_open(
    backend: ScriptedBackend, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        raise KeyboardInterrupt

    with backend.client(tracer_provider=spans.provider) as client, monkeypatch.context() as patch:
        patch.setattr(client._supervisor, "submit", broken)
        with pytest.raises(KeyboardInterrupt):
            client.futures.list_sessions()
    assert attributes(spans.only())["error.type"] == "KeyboardInterrupt"


def test_a_streamed_prompts_span_ends_when_the_run_ends(
    backend: ScriptedBackend, spans: Spans
) -> None:
    backend.rule("prompt", HOLD)
    with (
        backend.client(tracer_provider=spans.provider) as client,
        client.stream_prompt("ses_1", "hello") as stream,
    ):
        request = backend.link().request()
        backend.link().answer(request, b.delta("Hel"))
        next(iter(stream))
        assert spans.ended == ()
        backend.link().answer(request, b.ran("Hello"))
        stream.result()
    (span,) = spans.named("prompt")
    assert context_of(request) == ids(span)
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("end", ["closed", "ended by the backend"])
def test_a_subscriptions_span_lasts_as_long_as_it_does(
    backend: ScriptedBackend, spans: Spans, end: str
) -> None:
    backend.rule("subscribe", b.SUBSCRIBED)
    with backend.client(tracer_provider=spans.provider) as client, client.events() as stream:
        assert spans.ended == ()
        if end != "closed":
            backend.link().answer(backend.link().request(), b.subscription_end("gone"))
            with pytest.raises(IpcServerError):
                stream.next_event(WAIT)
    (span,) = spans.named("subscribe")
    failed = span.status.status_code is StatusCode.ERROR
    assert failed is (end != "closed")


def test_what_the_client_asks_for_itself_has_no_span_but_belongs_to_the_callers(
    backend: ScriptedBackend, spans: Spans
) -> None:
    backend.rule("send_message", HOLD)
    token = CancelToken()
    with backend.client(tracer_provider=spans.provider) as client:
        timer = threading.Thread(target=lambda: (backend.link().request(), token.cancel()))
        timer.start()
        with pytest.raises(IpcCancelledError):
            client.send_message("ses_1", "hi", model_id="m", provider_id="p", cancel=token)
        timer.join(WAIT)
        backend.link().wait(lambda: "cancel" in backend.link().operations(), "cancel")
    assert spans.only().name == "opencode.Ipc/send_message"


def test_from_a_folder_without_an_installation_there_is_no_version(
    monkeypatch: pytest.MonkeyPatch, spans: Spans
) -> None:
    from opencode_sync import telemetry

    def missing(name: str) -> str:
        raise telemetry.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(telemetry.metadata, "version", missing)
    tracing = telemetry.Tracing(spans.provider)
    tracing.end(tracing.begin("x", kind=SpanKind.CLIENT, attributes={}))
    assert not spans.only().instrumentation_scope.version


def test_the_address_is_told_where_there_is_one() -> None:
    from opencode_sync.telemetry import place

    assert place("ws://127.0.0.1:4096/") == {"server.address": "127.0.0.1", "server.port": 4096}
    assert place("https://example.org/x")["server.port"] == 443
    assert place("http://example.org/x")["server.port"] == 80


def test_a_span_that_began_without_a_connection_ends_with_its_address(
    backend: ScriptedBackend, spans: Spans
) -> None:
    policy = ReconnectPolicy(initial_delay=3600, maximum_delay=3600)
    with backend.client(tracer_provider=spans.provider, reconnect=policy) as client:
        backend.link().peer.drop()
        assert client.wait_for_state(ConnectionState.FAILED, WAIT)
        waiting = client.futures.list_sessions()
        client.connect()
        assert waiting.result(WAIT)
    assert attributes(spans.only())["server.address"] == "127.0.0.1"


# --- Not traced ---


def test_without_a_provider_nothing_is_sent_along(backend: ScriptedBackend, spans: Spans) -> None:
    tracer = spans.provider.get_tracer("mine")
    with backend.client() as client, tracer.start_as_current_span("mine"):
        client.list_sessions()
        request = backend.link().request()
    assert (request.traceparent, request.tracestate) == ("", "")
    assert [span.name for span in spans.ended] == ["mine"]


def test_a_tracer_that_does_nothing_sends_nothing_along(backend: ScriptedBackend) -> None:
    with backend.client(tracer_provider=trace.NoOpTracerProvider()) as client:
        client.list_sessions()
        assert backend.link().request().traceparent == ""


def test_without_a_provider_the_calls_are_the_plain_ones(
    backend: ScriptedBackend, spans: Spans
) -> None:
    """So that a client without traces runs the same instructions as if there were none."""
    from opencode_sync.calls import Calls
    from opencode_sync.tracing import TracedCalls

    assert type(backend.client()._calls) is Calls
    assert type(backend.client(tracer_provider=spans.provider)._calls) is TracedCalls


@pytest.mark.parametrize("provider", [True, "console", object()])
def test_what_is_no_provider_is_refused(provider: Any) -> None:
    with pytest.raises(IpcConfigError, match="TracerProvider") as caught:
        IpcClient(CONFIG, tracer_provider=provider)
    assert caught.value.field == "tracer_provider"


def test_without_opentelemetry_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, spans: Spans
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for module in ("opencode_sync.tracing", "opencode_sync.telemetry"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(IpcConfigError, match=r'pip install "opencode-sync-sdk\[otel\]"'):
        IpcClient(CONFIG, tracer_provider=spans.provider)


def test_no_secret_is_in_a_span(backend: ScriptedBackend, spans: Spans) -> None:
    backend.rule("list_sessions", b.error(4, f"what is {TOKEN}?"))
    with (
        backend.client(tracer_provider=spans.provider) as client,
        pytest.raises(IpcServerError),
    ):
        client.list_sessions()
    assert TOKEN not in spans.only().to_json()


# --- A tracer that fails ---

LOST = "the tracer failed; spans are lost"


def test_a_broken_tracer_changes_no_outcome_and_is_told_once(
    backend: ScriptedBackend, broken: trace.TracerProvider, told: list[str]
) -> None:
    backend.rule("create_session", b.error(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "no"))
    with backend.client(tracer_provider=broken) as client:
        assert [each.title for each in client.list_sessions()] == ["one"]
        assert len(client.futures.list_sessions().result(WAIT)) == 1
        assert client.health_check() is True
        with pytest.raises(IpcServerError, match="no"):
            client.create_session("x")
        with pytest.raises(IpcServerError, match="no"):
            client.futures.create_session("x").result(WAIT)
        assert not trace.get_current_span().get_span_context().is_valid
    assert told == [LOST]


@pytest.mark.parametrize("provider", [NoTracerProvider(), RaisingProvider()])
def test_without_a_span_the_trace_goes_on_from_the_callers(
    backend: ScriptedBackend, told: list[str], provider: trace.TracerProvider
) -> None:
    parent = trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1))
    with (
        backend.client(tracer_provider=provider) as client,
        trace.use_span(trace.NonRecordingSpan(parent)),
    ):
        client.list_sessions()
        request = backend.link().request()
    assert context_of(request) == (0xABC, 0xDEF)
    assert told == [LOST]


def test_an_interrupt_in_a_tracer_is_the_programs(
    backend: ScriptedBackend, told: list[str]
) -> None:
    class Interrupted(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise KeyboardInterrupt

    provider = TracerProvider()
    provider.add_span_processor(Interrupted())
    with backend.client(tracer_provider=provider) as client, pytest.raises(KeyboardInterrupt):
        client.list_sessions()
    assert told == []


def test_a_context_that_cannot_be_had_is_a_lost_span(
    backend: ScriptedBackend, spans: Spans, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from opencode_sync import telemetry

    def refuse(context: object) -> Any:
        raise RuntimeError("no context")

    monkeypatch.setattr(telemetry, "attach", refuse)
    with backend.client(tracer_provider=spans.provider) as client:
        assert [each.title for each in client.list_sessions()] == ["one"]
    assert told == [LOST]

"""A gateway's requests as spans: in the client's trace, until the answer, with what went wrong."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from opencode_sync import IpcConfigError
from opencode_sync.gateway import BackendError, Gateway, GatewayLimits
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.spans import HTTP_SPANS
from opencode_sync.gateway.tracing import TracedDispatcher
from opencode_sync.wire import ext_prompt_pb2, ipc_pb2
from tests.support.leaks import eventually
from tests.unit.gateway.doubles import (
    MemoryPeerOfGateway,
    RecordingLink,
    StreamingBackend,
    request,
    scoped,
)
from tests.unit.tracing.conftest import Spans

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

S = ipc_pb2


@pytest.fixture
def store() -> StreamingBackend:
    return StreamingBackend()


@pytest.fixture
def gateway(store: StreamingBackend, spans: Spans) -> Iterator[Gateway]:
    gateway = Gateway(store, tracer_provider=spans.provider)
    yield gateway
    gateway.stop()


@pytest.fixture
def peer(gateway: Gateway) -> Iterator[MemoryPeerOfGateway]:
    peer = MemoryPeerOfGateway(gateway)
    peer.authenticate(gateway.auth_token)
    yield peer
    peer.close()


def ask(
    peer: MemoryPeerOfGateway, message: ipc_pb2.IpcClientMessage, traceparent: str = TRACEPARENT
) -> ipc_pb2.IpcServerMessage:
    message.traceparent = traceparent
    message.tracestate = "vendor=x" if traceparent else ""
    peer.send_bytes(message.SerializeToString())
    return peer.receive()


def test_a_request_is_a_server_span_below_the_clients(
    peer: MemoryPeerOfGateway, spans: Spans
) -> None:
    assert ask(peer, request(2, "list_sessions")).HasField("session_list")
    span = spans.only()
    assert (span.name, span.kind) == ("opencode.Ipc/list_sessions", SpanKind.SERVER)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.parent.trace_state["vendor"] == "x"
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "opencode_ipc",
        "rpc.method": "opencode.Ipc/list_sessions",
        "server.address": "memory:",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_a_request_about_a_folder_keeps_its_trace(peer: MemoryPeerOfGateway, spans: Spans) -> None:
    ask(peer, scoped(2, "/project", request(0, "list_sessions")))
    span = spans.only()
    assert span.name == "opencode.Ipc/list_sessions"
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == TRACE


@pytest.mark.parametrize("traceparent", ["", "00-nonsense", f"00-{'0' * 32}-{PARENT}-01", "\x00"])
def test_without_a_trace_of_the_clients_one_begins_here(
    peer: MemoryPeerOfGateway, spans: Spans, traceparent: str
) -> None:
    assert ask(peer, request(2, "list_sessions"), traceparent).HasField("session_list")
    assert spans.only().parent is None


def test_an_error_is_recorded_by_its_code(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    def refuse() -> Any:
        raise BackendError(S.IPC_ERROR_CODE_NO_SERVER, "none runs")

    store.script["list_sessions"] = refuse
    assert ask(peer, request(2, "list_sessions")).error.message == "none runs"
    span = spans.only()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "none runs")
    attributes = dict(span.attributes or {})
    assert attributes["error.type"] == attributes["rpc.response.status_code"] == "NO_SERVER"


def test_a_bug_is_recorded_as_what_the_client_is_told(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    store.script["list_sessions"] = lambda: 1 / 0
    ask(peer, request(2, "list_sessions"))
    span = spans.only()
    assert (span.attributes or {})["error.type"] == "INTERNAL_ERROR"
    assert "division" not in span.to_json()


def test_a_run_is_one_span_until_its_end(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    seen: list[object] = []

    def prompt(asked: Any, sink: Any, cancellation: Any) -> ext_prompt_pb2.IpcRunResult:
        seen.append((spans.ended, HTTP_SPANS.get() is not None))
        return ext_prompt_pb2.IpcRunResult(finish="stop")

    store.script["prompt"] = prompt
    assert ask(peer, request(2, "prompt", session_id="ses_1", text="x")).HasField("run_result")
    assert seen == [((), True)]
    assert spans.only().status.status_code is StatusCode.UNSET
    assert HTTP_SPANS.get() is None


def test_a_run_that_failed_is_a_failure_though_it_has_a_result(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    failure = ext_prompt_pb2.IpcRunFailure(kind="rate_limited", message="too many")
    result = ext_prompt_pb2.IpcRunResult(failure=failure)
    store.script["prompt"] = lambda *arguments: result
    ask(peer, request(2, "prompt", session_id="ses_1", text="x"))
    span = spans.only()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "rate_limited"


def test_a_subscription_is_one_span_until_it_is_closed(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    assert ask(peer, request(2, "subscribe")).HasField("subscribed")
    store.publish("session.updated")
    assert peer.receive().HasField("event")
    assert spans.named("subscribe") == []
    peer.send(3, "cancel", request_id=2)
    peer.receive()
    peer.receive()
    eventually(lambda: bool(spans.named("subscribe")))
    (span,) = spans.named("subscribe")
    assert span.status.status_code is StatusCode.UNSET


def test_a_subscription_that_the_backend_ends_is_a_failure(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    ask(peer, request(2, "subscribe"))
    store.streams[0].end("the server has ended")
    assert peer.receive().subscription_end.reason == "the server has ended"
    eventually(lambda: bool(spans.ended))
    span = spans.only()
    assert span.status.description == "the server has ended"


def test_a_subscription_that_does_not_begin_is_a_failure(
    peer: MemoryPeerOfGateway, store: StreamingBackend, spans: Spans
) -> None:
    def refuse(stream: Any) -> Any:
        raise BackendError(S.IPC_ERROR_CODE_NO_SERVER, "none runs")

    store.script["subscribe"] = refuse
    assert ask(peer, request(2, "subscribe")).error.message == "none runs"
    assert (spans.only().attributes or {})["error.type"] == "NO_SERVER"


def test_a_subscription_that_ends_twice_ends_its_span_once(
    store: StreamingBackend, spans: Spans
) -> None:
    dispatcher = TracedDispatcher(
        store,
        tracer_provider=spans.provider,
        endpoint=lambda: "memory:",
        request_timeout=10.0,
        max_message_size=1 << 20,
    )
    asked = request(2, "subscribe")
    sink = dispatcher.pushes(RecordingLink(), asked, lambda reason: None)
    subscription = dispatcher.subscribe(asked, "", sink)
    subscription.close()
    subscription.close()
    assert len(spans.ended) == 1


def test_a_gateway_without_a_provider_has_the_plain_dispatcher(
    store: StreamingBackend, spans: Spans
) -> None:
    plain, traced = Gateway(store), Gateway(store, tracer_provider=spans.provider)
    assert type(plain._peers._dispatcher) is Dispatcher
    assert type(traced._peers._dispatcher) is TracedDispatcher


def test_what_is_no_provider_is_refused(store: StreamingBackend) -> None:
    with pytest.raises(IpcConfigError, match="TracerProvider"):
        Gateway(store, tracer_provider="console")  # type: ignore[arg-type]


def test_without_opentelemetry_the_error_says_what_to_install(
    store: StreamingBackend, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    for module in ("opencode_sync.gateway.tracing", "opencode_sync.telemetry"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(IpcConfigError, match=r'pip install "opencode-sync-sdk\[otel\]"'):
        Gateway(store, tracer_provider=spans.provider)


def test_another_missing_module_is_not_blamed_on_opentelemetry() -> None:
    from opencode_sync.extras import needs_opentelemetry

    with pytest.raises(ImportError, match="nothing"), needs_opentelemetry("x"):
        raise ImportError("nothing of the kind", name="opencode_sync.nothing")


# --- A tracer that fails, a peer that lies ---


def test_a_broken_tracer_costs_no_answer(
    store: StreamingBackend, broken: trace.TracerProvider, told: list[str]
) -> None:
    def refuse(title: str | None) -> Any:
        raise BackendError(S.IPC_ERROR_CODE_NO_SERVER, "none runs")

    failure = ext_prompt_pb2.IpcRunFailure(kind="rate_limited", message="too many")
    store.script["create_session"] = refuse
    store.script["prompt"] = lambda *arguments: ext_prompt_pb2.IpcRunResult(failure=failure)
    gateway = Gateway(store, tracer_provider=broken)
    peer = MemoryPeerOfGateway(gateway)
    try:
        peer.authenticate(gateway.auth_token)
        # More than there are places in a lane.
        for number in range(2, 2 + 2 * GatewayLimits().max_in_flight):
            assert ask(peer, request(number, "list_sessions")).HasField("session_list")
        assert ask(peer, request(2, "create_session")).error.message == "none runs"
        run = ask(peer, request(3, "prompt", session_id="ses_1", text="x"))
        assert run.run_result.failure.kind == "rate_limited"
        assert ask(peer, request(4, "subscribe")).HasField("subscribed")
    finally:
        peer.close()
        gateway.stop()
    assert told == ["the tracer failed; spans are lost"]


@pytest.mark.parametrize(
    "tracestate",
    [
        "a=b\r\nX: y",
        "a=" + "b" * 511,
        "a" + " " * 8000 + "b",
        ",".join(f"k{number}=v" for number in range(33)),
        "a=b,a=c",
        "a",
        "=",
        "A=b",
        "a=b=c",
        "ключ=знач",
        "a=b\0",
    ],
)
def test_a_state_that_is_none_is_dropped_in_silence(
    peer: MemoryPeerOfGateway,
    spans: Spans,
    tracestate: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = request(2, "list_sessions")
    message.traceparent, message.tracestate = TRACEPARENT, tracestate
    peer.send_bytes(message.SerializeToString())
    assert peer.receive().HasField("session_list")
    parent = spans.only().parent
    assert parent is not None
    assert f"{parent.trace_id:032x}" == TRACE
    assert not parent.trace_state
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("tracestate", "members"),
    [
        ("a=b, 1t@v=x y ,", {"a": "b", "1t@v": "x y"}),
        ("", {}),
        ("a=" + "b" * 256, {"a": "b" * 256}),
    ],
)
def test_a_state_with_its_form_is_handed_on(
    peer: MemoryPeerOfGateway, spans: Spans, tracestate: str, members: dict[str, str]
) -> None:
    message = request(2, "list_sessions")
    message.traceparent, message.tracestate = TRACEPARENT, tracestate
    peer.send_bytes(message.SerializeToString())
    peer.receive()
    parent = spans.only().parent
    assert parent is not None
    assert dict(parent.trace_state) == members


def test_a_parent_of_any_length_is_looked_at_in_no_time(
    peer: MemoryPeerOfGateway, spans: Spans
) -> None:
    ask(peer, request(2, "list_sessions"), TRACEPARENT + " " * 1_000_000)
    assert spans.only().parent is None

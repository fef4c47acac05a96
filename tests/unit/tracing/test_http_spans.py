"""The calls to OpenCode as spans of the request that makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, OpenCodeBackend
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.tracing import TracedDispatcher
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import RecordingLink, ScriptedBackend, request
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Raw, Request
from tests.unit.gateway_opencode.test_opencode_prompt import FakeOpenCode
from tests.unit.tracing.conftest import Spans

Serve = Callable[..., HttpServer]
StoreOf = Callable[[HttpServer], "Store"]

PASSWORD = "a-password-of-the-tests"


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpServer]]:
    servers: list[HttpServer] = []

    def start(answer: Callable[[Request], Answer | Raw]) -> HttpServer:
        servers.append(HttpServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


class Store(ScriptedBackend):
    """Asks OpenCode for its health."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.http = OpenCodeHttp(url, password=PASSWORD)

    def check_health(self, *, deadline: Deadline) -> bool:
        return bool(self.http.call("GET", "/x", deadline=deadline, query={"directory": "/p q"}))


@pytest.fixture
def store_of() -> Iterator[Callable[[HttpServer], Store]]:
    """``store_of(server)``: a backend that asks this server."""
    stores: list[Store] = []

    def make(server: HttpServer) -> Store:
        stores.append(Store(server.url))
        return stores[-1]

    yield make
    for store in stores:
        store.http.close()


def ask(store: Store, spans: Spans, *, traced: bool = True) -> None:
    options = {"request_timeout": 10.0, "max_message_size": 1 << 20}
    dispatcher: Dispatcher = Dispatcher(store, **options)  # type: ignore[arg-type]
    if traced:
        dispatcher = TracedDispatcher(
            store, tracer_provider=spans.provider, endpoint=lambda: "memory:", **options
        )
    dispatcher.answer(request(2, "check_health"))


def http_span(spans: Spans) -> ReadableSpan:
    (span,) = [span for span in spans.ended if span.name == "GET"]
    return span


def test_a_call_is_a_client_span_that_takes_its_trace_to_the_server(
    serve: Serve, store_of: StoreOf, spans: Spans
) -> None:
    server = serve(lambda request: Answer(True))
    ask(store_of(server), spans)
    span, parent = http_span(spans), spans.named("check_health")[0]
    assert span.kind is SpanKind.CLIENT
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "url.full": f"{server.url}/x?directory=%2Fp%20q",
    }
    context = span.get_span_context()
    sent = server.requests[0].headers["traceparent"]
    assert sent.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert PASSWORD not in span.to_json()


def test_a_refusal_is_a_failure_by_its_status(
    serve: Serve, store_of: StoreOf, spans: Spans
) -> None:
    server = serve(lambda request: Answer({"name": "NotFoundError"}, status=404))
    ask(store_of(server), spans)
    span = http_span(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["http.response.status_code"] == 404
    assert (span.attributes or {})["error.type"] == "404"
    assert spans.named("check_health")[0].status.status_code is StatusCode.ERROR


def test_an_answer_that_is_none_is_a_failure_by_its_error(
    serve: Serve, store_of: StoreOf, spans: Spans
) -> None:
    server = serve(lambda request: Answer(content=b"<html>", content_type="text/html"))
    ask(store_of(server), spans)
    span = http_span(spans)
    assert (span.attributes or {})["error.type"] == "BackendError"
    assert (span.attributes or {})["http.response.status_code"] == 200


def test_each_attempt_is_a_span_of_its_own(serve: Serve, store_of: StoreOf, spans: Spans) -> None:
    """A connection that died unseen is tried again on a new one."""

    def answer(request: Request) -> Answer | Raw:
        if request.connection == 1:
            return Raw(lambda send: None)
        return Answer(True)

    server = serve(answer)
    ask(store_of(server), spans)
    first, second = [span for span in spans.ended if span.name == "GET"]
    assert (first.attributes or {})["error.type"] == "ProtocolError"
    assert second.status.status_code is StatusCode.UNSET


def test_without_traces_nothing_is_sent_along(
    serve: Serve, store_of: StoreOf, spans: Spans
) -> None:
    server = serve(lambda request: Answer(True))
    mine = spans.provider.get_tracer("mine")
    with mine.start_as_current_span("mine"):
        ask(store_of(server), spans, traced=False)
    assert "traceparent" not in server.requests[0].headers
    assert [span.name for span in spans.ended] == ["mine"]


def test_a_call_outside_any_request_has_no_span(
    serve: Serve, store_of: StoreOf, spans: Spans
) -> None:
    """A look for a server's health in the background is in nobody's trace."""
    server = serve(lambda request: Answer({"healthy": True}))
    store = store_of(server)
    ask(store, spans)
    assert store.http.is_healthy(deadline=Deadline.after(10))
    assert len([span for span in spans.ended if span.name == "GET"]) == 1
    assert not trace.get_current_span().get_span_context().is_valid


def test_nothing_there_is_a_failure_too(serve: Serve, store_of: StoreOf, spans: Spans) -> None:
    server = serve(lambda request: Answer(True))
    server.stop()
    store = store_of(server)
    ask(store, spans)
    assert (http_span(spans).attributes or {})["error.type"] == "NewConnectionError"
    with pytest.raises(BackendError) as caught:
        store.check_health(deadline=Deadline.after(10))
    assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER


def test_a_runs_own_call_belongs_to_the_run_though_another_thread_makes_it(
    serve: Serve, spans: Spans
) -> None:
    opencode = FakeOpenCode()
    opencode.routes["/global/health"] = Answer({"healthy": True, "version": "1.18.33"})
    server = serve(opencode)
    backend = OpenCodeBackend(server.url)
    asked = request(2, "send_message", session_id="ses_1", text="hello")
    asked.send_message.model_id, asked.send_message.provider_id = "one", "stub"
    dispatcher = TracedDispatcher(
        backend,
        tracer_provider=spans.provider,
        endpoint=lambda: "memory:",
        request_timeout=20.0,
        max_message_size=1 << 20,
    )
    pushes = dispatcher.pushes(RecordingLink(), asked, lambda reason: None)
    try:
        backend.start()
        answer = dispatcher.run(asked, cancellation=Cancellation(), pushes=pushes)
    finally:
        backend.close()
    assert b"hello" in answer
    (run,) = spans.named("send_message")
    (post,) = [
        span
        for span in spans.ended
        if span.name == "POST" and str((span.attributes or {})["url.full"]).endswith("/message")
    ]
    assert post.parent is not None
    assert post.parent.span_id == run.get_span_context().span_id
    assert (post.end_time or 0) <= (run.end_time or 0)

"""One trace of a blocking call: client, gateway and OpenCode's HTTP answer, over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from opencode_sync import IpcClient, IpcConfig, IpcServerError
from opencode_sync.gateway import Gateway, OpenCodeBackend
from tests.support.leaks import eventually, no_leaks
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Request

SPANS = InMemorySpanExporter()


class Stack:
    """A server, a gateway in front of it, a client, and the spans of the two."""

    def __init__(self, server: HttpServer, client: IpcClient, provider: TracerProvider) -> None:
        self.server = server
        self.client = client
        self.tracer = provider.get_tracer("the tests")

    def spans(self, count: int) -> list[ReadableSpan]:
        """Wait for so many spans and return them, by their beginning."""
        eventually(lambda: len(SPANS.get_finished_spans()) >= count)
        found = SPANS.get_finished_spans()
        assert len(found) == count, [span.name for span in found]
        return sorted(found, key=lambda span: span.start_time or 0)


def _answer(request: Request) -> Answer:
    if request.path == "/global/health":
        return Answer({"healthy": True, "version": "1.18.33"})
    if request.path == "/session" and request.method == "GET":
        return Answer([])
    return Answer({"name": "BadRequest", "data": {}}, status=400)


@pytest.fixture
def stack() -> Iterator[Stack]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SPANS))
    with no_leaks():
        server = HttpServer(_answer)
        backend = OpenCodeBackend(server.url)
        with Gateway(backend, tracer_provider=provider) as gateway:
            config = IpcConfig(gateway.port, gateway.auth_token)
            with IpcClient(config, tracer_provider=provider, reconnect=None) as client:
                SPANS.clear()
                server.requests.clear()
                yield Stack(server, client, provider)
        server.stop()
    SPANS.clear()


def _lineage(spans: list[ReadableSpan]) -> bool:
    """Return whether each span is the parent of the next, all in one trace."""
    return all(
        child.parent is not None
        and child.parent.span_id == parent.get_span_context().span_id
        and child.get_span_context().trace_id == parent.get_span_context().trace_id
        for parent, child in itertools.pairwise(spans)
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.list_sessions(),
        lambda client: client.futures.list_sessions().result(20),
        lambda client: client.list_sessions(directory="/"),
    ],
    ids=["blocking", "future", "in a folder"],
)
def test_one_trace_from_the_callers_span_to_opencodes_answer(
    stack: Stack, call: Callable[[IpcClient], object]
) -> None:
    with stack.tracer.start_as_current_span("script"):
        call(stack.client)
    spans = stack.spans(4)
    assert _lineage(spans)
    assert [(span.name, span.kind) for span in spans] == [
        ("script", SpanKind.INTERNAL),
        ("opencode.Ipc/list_sessions", SpanKind.CLIENT),
        ("opencode.Ipc/list_sessions", SpanKind.SERVER),
        ("GET", SpanKind.CLIENT),
    ]
    http = spans[-1].get_span_context()
    (request,) = stack.server.requests
    _, trace_id, span_id, _ = request.headers["traceparent"].split("-")
    assert (int(trace_id, 16), int(span_id, 16)) == (http.trace_id, http.span_id)
    for span in spans[1:3]:
        assert (span.attributes or {})["server.address"] == "127.0.0.1"
        assert (span.attributes or {})["server.port"] != (spans[3].attributes or {})["server.port"]


def test_an_error_of_opencode_is_one_in_all_three(stack: Stack) -> None:
    with pytest.raises(IpcServerError):
        stack.client.create_session("x")
    client, gateway, http = stack.spans(3)
    assert _lineage([client, gateway, http])
    assert {span.status.status_code for span in (client, gateway, http)} == {StatusCode.ERROR}
    assert (http.attributes or {})["error.type"] == "400"
    assert (client.attributes or {})["error.type"] == (gateway.attributes or {})["error.type"]


def test_two_callers_have_two_traces(stack: Stack) -> None:
    futures = [stack.client.futures.list_sessions() for _ in range(2)]
    for future in futures:
        future.result(20)
    spans = stack.spans(6)
    traces = {span.get_span_context().trace_id for span in spans}
    assert len(traces) == 2
    for trace_id in traces:
        of_one = [span for span in spans if span.get_span_context().trace_id == trace_id]
        assert _lineage(of_one)


def test_a_gateway_that_traces_serves_clients_that_do_not(stack: Stack) -> None:
    with Gateway(OpenCodeBackend(stack.server.url)) as plain:
        config = IpcConfig(plain.port, plain.auth_token)
        with IpcClient(config, reconnect=None) as client:
            assert list(client.list_sessions()) == []
    assert SPANS.get_finished_spans() == ()
    assert not trace.get_current_span().get_span_context().is_valid

"""One trace of a blocking call, from here through the gateway to OpenCode's HTTP answer.

From a clone of the repository:

    pip install -e '.[gateway,otel]' opentelemetry-sdk
    python docs/examples/traced.py

A program in production gives its own ``TracerProvider``, whose exporter sends the spans away; this
one keeps them and prints them as a tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from opencode_sync import launch

SHOWN = (
    "rpc.method",
    "http.request.method",
    "url.full",
    "http.response.status_code",
    "server.address",
    "error.type",
)


def main() -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer("traced.py")
    with (
        launch(tracer_provider=provider) as client,
        tracer.start_as_current_span("my script") as mine,
    ):
        sessions = client.list_sessions()
    print(f"{len(sessions)} sessions, and the trace of asking for them:")
    trace_id = mine.get_span_context().trace_id
    show([span for span in spans.get_finished_spans() if trace_id_of(span) == trace_id])


def trace_id_of(span: ReadableSpan) -> int:
    return span.get_span_context().trace_id


def show(spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0) -> None:
    """Print the spans below one, each before those below it."""
    for span in sorted(spans, key=lambda span: span.start_time or 0):
        if (span.parent.span_id if span.parent else None) != parent:
            continue
        took = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
        print(f"{'  ' * depth}{span.kind.name:8} {span.name}  {took:.2f} ms")
        for name in SHOWN:
            if name in (span.attributes or {}):
                print(f"{'  ' * depth}{'':9}{name} = {span.attributes[name]}")
        show(spans, span.get_span_context().span_id, depth + 1)


if __name__ == "__main__":
    main()

"""Spans kept in memory, and a scripted backend whose requests can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from opencode_sync import telemetry
from tests.support.backend import ScriptedBackend
from tests.support.leaks import no_leaks


class Spans:
    """A provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """In the order of their ends."""
        return self._exporter.get_finished_spans()

    def named(self, operation: str) -> list[ReadableSpan]:
        """Those of one operation."""
        return [span for span in self.ended if span.name == f"opencode.Ipc/{operation}"]

    def only(self) -> ReadableSpan:
        """The single one there is."""
        (span,) = self.ended
        return span


class Broken(SpanProcessor):
    """Raises where it is told to."""

    def __init__(self, *, start: bool = False, end: bool = False) -> None:
        self._start, self._end = start, end

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self._start:
            raise RuntimeError("start")

    def on_end(self, span: Any) -> None:
        if self._end:
            raise RuntimeError("end")


class NoTracer(trace.Tracer):
    """Returns no spans."""

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        return None

    start_as_current_span = start_span


class NoTracerProvider(trace.TracerProvider):
    """Returns a tracer that is none."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return NoTracer()


class RaisingProvider(trace.TracerProvider):
    """Has no tracer to give."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        raise RuntimeError("no tracer")


class OddSpan(trace.NonRecordingSpan):
    """Raises whatever is asked of it."""

    def _raise(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("odd")

    set_attribute = set_attributes = set_status = record_exception = end = _raise
    get_span_context = is_recording = _raise


class OddProvider(NoTracerProvider):
    """Returns spans that raise."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        tracer = NoTracer()
        tracer.start_span = lambda *args, **kwargs: OddSpan(trace.INVALID_SPAN_CONTEXT)  # type: ignore[method-assign]
        return tracer


def _with(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


@pytest.fixture(params=["start", "end", "nothing", "odd", "raising"])
def broken(request: pytest.FixtureRequest) -> trace.TracerProvider:
    """A provider whose spans fail, in one of the ways there are."""
    if request.param == "nothing":
        return NoTracerProvider()
    if request.param == "raising":
        return RaisingProvider()
    if request.param == "odd":
        return OddProvider()
    return _with(Broken(start=request.param == "start", end=request.param == "end"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings that a tracer's failures caused."""
    found: list[str] = []

    class Log:
        def opt(self, **_: object) -> Log:
            return self

        def warning(self, message: str) -> None:
            found.append(message)

    monkeypatch.setattr(telemetry, "logger", Log())
    return found


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with no_leaks():
        yield


@pytest.fixture
def backend(_leaves_nothing: None) -> Iterator[ScriptedBackend]:
    """A backend that answers everything well, unless told otherwise."""
    backend = ScriptedBackend()
    yield backend
    backend.close()

"""Spans kept in memory, and a scripted backend whose requests can be looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

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

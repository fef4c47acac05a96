"""How the end of a stream counts: in the figures as in its span."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from opencode_sync import CancelToken, InMemoryMetrics, IpcError, IpcServerError, IpcTimeoutError
from opencode_sync.testing import Fail, FakeIpcClient
from tests.support.leaks import eventually

WAIT = 20.0

End = Callable[[FakeIpcClient], None]


def closed(fake: FakeIpcClient) -> None:
    with fake.events():
        pass


def cancelled(fake: FakeIpcClient) -> None:
    token = CancelToken()
    fake.events(cancel=token)
    token.cancel()


def ended_by_the_backend(fake: FakeIpcClient) -> None:
    events = fake.events()
    fake.end_events("the server has died")
    with pytest.raises(IpcError):
        events.next_event(WAIT)


def lost(fake: FakeIpcClient) -> None:
    events = fake.events()
    fake.go_down()
    with pytest.raises(IpcError):
        events.next_event(WAIT)
    events.close()


def client_closed(fake: FakeIpcClient) -> None:
    fake.events()
    fake.close()


def never_begun(fake: FakeIpcClient) -> None:
    with fake.hold("events"), pytest.raises(IpcTimeoutError):
        fake.events(timeout=0.01)


def refused(fake: FakeIpcClient) -> None:
    fake.fail_next("events", IpcServerError)
    with pytest.raises(IpcServerError):
        fake.events()


def prompt_ended(fake: FakeIpcClient) -> None:
    with fake.stream_prompt(fake.create_session().id, "x") as stream:
        stream.result(WAIT)


def prompt_closed_early(fake: FakeIpcClient) -> None:
    with fake.hold("prompt"), fake.stream_prompt(fake.create_session().id, "x"):
        pass


def prompt_failed(fake: FakeIpcClient) -> None:
    fake.answer_prompt(Fail("rate_limited"))
    with (
        fake.stream_prompt(fake.create_session().id, "x") as stream,
        pytest.raises(IpcError),
    ):
        stream.result(WAIT)


@pytest.mark.parametrize(
    ("operation", "end", "success"),
    [
        ("subscribe", closed, True),
        ("subscribe", cancelled, True),
        ("subscribe", ended_by_the_backend, False),
        ("subscribe", lost, False),
        ("subscribe", client_closed, False),
        ("subscribe", never_begun, False),
        ("subscribe", refused, False),
        ("prompt", prompt_ended, True),
        ("prompt", prompt_closed_early, False),
        ("prompt", prompt_failed, False),
    ],
)
def test_the_end_of_a_stream_counts_as_its_span_says(
    operation: str, end: End, success: bool
) -> None:
    spans, provider, metrics = InMemorySpanExporter(), TracerProvider(), InMemoryMetrics()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with FakeIpcClient(metrics=metrics, tracer_provider=provider) as fake:
        end(fake)
    figures = metrics.snapshot().operations[operation]
    assert (figures.succeeded, figures.failed) == ((1, 0) if success else (0, 1))
    assert (len(figures.durations), len(figures.failed_durations)) == (
        figures.succeeded,
        figures.failed,
    )
    name = f"opencode.Ipc/{operation}"
    assert eventually(lambda: any(each.name == name for each in spans.get_finished_spans()))
    (span,) = [each for each in spans.get_finished_spans() if each.name == name]
    assert span.status.is_ok is success

"""A gateway's requests with an OpenTelemetry span each, and one for each call to OpenCode in it.

A subclass of ``Dispatcher``, so that a gateway without traces has nothing to do for them. Import it
only where spans are wanted: it needs the extra ``otel``.

A span begins when a worker turns to the request; the time that it waited for one is between the
client's span and this. It ends with the answer, or with the subscription.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError, EventSink, Subscription
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.pushes import Pushes
from opencode_sync.gateway.spans import HTTP_SPANS
from opencode_sync.telemetry import fail_with, make_tracer, place, rpc_attributes, rpc_method
from opencode_sync.wire import ext_event_pb2, ipc_pb2

__all__ = ["TracedDispatcher"]

_PROPAGATOR = TraceContextTextMapPropagator()


class TracedDispatcher(Dispatcher):
    """Answers requests, each in a span. Any thread may call any method.

    Args:
        backend: As for ``Dispatcher``, and so are the other arguments but two.
        tracer_provider: Makes the tracer.
        endpoint: Returns where the gateway is reached.

    Raises:
        IpcConfigError: ``tracer_provider`` is none.
    """

    def __init__(
        self,
        *args: Any,
        tracer_provider: TracerProvider,
        endpoint: Callable[[], str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._tracer = make_tracer(tracer_provider)
        self._endpoint = endpoint
        self._http = _HttpSpans(self._tracer)

    def answer_at_once(self, request: ipc_pb2.IpcClientMessage) -> bytes | None:
        """Leave every request to ``answer``: each has one span, which one tried in vain had not."""
        return None

    def answer(self, request: ipc_pb2.IpcClientMessage, directory: str = "") -> bytes:
        """See ``Dispatcher``."""
        with self._span(request):
            return super().answer(request, directory)

    def run(
        self,
        request: ipc_pb2.IpcClientMessage,
        directory: str = "",
        *,
        cancellation: Cancellation,
        pushes: Pushes,
    ) -> bytes:
        """See ``Dispatcher``."""
        with self._span(request):
            return super().run(request, directory, cancellation=cancellation, pushes=pushes)

    def subscribe(
        self, request: ipc_pb2.IpcClientMessage, directory: str, sink: EventSink
    ) -> Subscription:
        """See ``Dispatcher``."""
        with self._span(request, goes_on=True) as span:
            traced = _TracedSubscription(span, sink)
            try:
                traced.inner = super().subscribe(request, directory, traced)
            except BaseException:
                traced.finish(None)
                raise
        return traced

    def _encoded(self, answer: ipc_pb2.IpcServerMessage, operation: str | None) -> bytes:
        if answer.HasField("run_result") and answer.run_result.HasField("failure"):
            failure = answer.run_result.failure
            fail_with(trace.get_current_span(), failure.kind or "unknown", failure.message)
        return super()._encoded(answer, operation)

    def _error(
        self,
        request: ipc_pb2.IpcClientMessage,
        error: Exception,
        cancellation: Cancellation | None = None,
    ) -> BackendError:
        told = super()._error(request, error, cancellation)
        _fail(trace.get_current_span(), told)
        return told

    @contextmanager
    def _span(self, request: ipc_pb2.IpcClientMessage, *, goes_on: bool = False) -> Iterator[Span]:
        """Begin a span, the child of the client's if there is one, and let it be the current.

        It ends here unless it goes on.
        """
        operation = request.WhichOneof("payload") or "unknown"
        carrier = {"traceparent": request.traceparent, "tracestate": request.tracestate}
        span = self._tracer.start_span(
            rpc_method(operation),
            # Not the context of this thread: a gateway in the client's process has its own spans.
            context=_PROPAGATOR.extract(carrier, trace.set_span_in_context(trace.INVALID_SPAN)),
            kind=SpanKind.SERVER,
            attributes=rpc_attributes(operation, self._endpoint()),
        )
        token = HTTP_SPANS.set(self._http)
        try:
            # What raises has recorded why.
            with trace.use_span(
                span,
                end_on_exit=not goes_on,
                record_exception=False,
                set_status_on_exception=False,
            ):
                yield span
        finally:
            HTTP_SPANS.reset(token)


class _TracedSubscription:
    """A subscription, and the sink of its events, whose span ends when it does."""

    inner: Subscription

    def __init__(self, span: Span, sink: EventSink) -> None:
        self._span = span
        self._sink = sink
        # Taken for good by whoever ends the span.
        self._once = threading.Lock()

    def opened(self) -> None:
        """See ``EventSink``."""
        self._sink.opened()

    def event(self, event: ext_event_pb2.IpcEvent) -> None:
        """See ``EventSink``."""
        self._sink.event(event)

    def ended(self, reason: str) -> None:
        """See ``EventSink``."""
        self._sink.ended(reason)
        self.finish(BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, reason))

    def close(self) -> None:
        """See ``Subscription``."""
        try:
            self.inner.close()
        finally:
            self.finish(None)

    def finish(self, error: BackendError | None) -> None:
        """End the span, unless it has ended."""
        if self._once.acquire(False):
            if error is not None:
                _fail(self._span, error)
            self._span.end()


class _HttpSpan:
    """See ``HttpSpan``."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.failed = False
        self.headers: dict[str, str] = {}
        _PROPAGATOR.inject(self.headers)

    def answered(self, status: int) -> None:
        """See ``HttpSpan``."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            self.failed = True
            fail_with(self._span, str(status), f"OpenCode answered with status {status}")


class _HttpSpans:
    """See ``HttpSpans``."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, method: str, url: str) -> Iterator[_HttpSpan]:
        """See ``HttpSpans``."""
        attributes = {"http.request.method": method, "url.full": url, **place(url)}
        with self._tracer.start_as_current_span(
            method,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            told = _HttpSpan(span)
            try:
                yield told
            except Exception as error:
                if not told.failed:
                    fail_with(span, type(error).__qualname__, str(error))
                raise


def _fail(span: Span, error: BackendError) -> None:
    code = error_code_name(error.code)
    fail_with(span, code, error.message, code=code)

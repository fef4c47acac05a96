"""A gateway's requests with an OpenTelemetry span each, and one for each call to OpenCode in it.

A subclass of ``Dispatcher``, so that a gateway without traces has nothing to do for them. Import it
only where spans are wanted: it needs the extra ``otel``.

A span begins when a worker turns to the request; the time that it waited for one is between the
client's span and this. It ends with the answer, or with the subscription.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, TracerProvider

from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError, EventSink, Subscription
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.pushes import Pushes
from opencode_sync.gateway.spans import HTTP_SPANS
from opencode_sync.telemetry import Tracing, place, rpc_attributes, rpc_method
from opencode_sync.wire import ext_event_pb2, ipc_pb2

__all__ = ["TracedDispatcher"]

# What the W3C's "Trace Context" allows. OpenTelemetry prints what is not, however long it is.
_LONGEST = 512
_KEY = r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_VALUE = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_MEMBER = re.compile(rf"[ \t]*+((?:{_KEY})(?==))={_VALUE}[ \t]*+")
_MOST_MEMBERS = 32


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
        self._tracing = Tracing(tracer_provider)
        self._endpoint = endpoint
        self._http = _HttpSpans(self._tracing)

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
            traced = _TracedSubscription(self._tracing, span, sink)
            try:
                traced.inner = super().subscribe(request, directory, traced)
            except BaseException:
                traced.finish(None)
                raise
        return traced

    def _encoded(self, answer: ipc_pb2.IpcServerMessage, operation: str | None) -> bytes:
        if answer.HasField("run_result") and answer.run_result.HasField("failure"):
            failure = answer.run_result.failure
            self._tracing.fail_with(
                trace.get_current_span(), failure.kind or "unknown", failure.message
            )
        return super()._encoded(answer, operation)

    def _error(
        self,
        request: ipc_pb2.IpcClientMessage,
        error: Exception,
        cancellation: Cancellation | None = None,
    ) -> BackendError:
        told = super()._error(request, error, cancellation)
        _fail(self._tracing, trace.get_current_span(), told)
        return told

    @contextmanager
    def _span(self, request: ipc_pb2.IpcClientMessage, *, goes_on: bool = False) -> Iterator[Span]:
        """Begin a span, the child of the client's if there is one, and let it be the current.

        It ends here unless it goes on.
        """
        operation = request.WhichOneof("payload") or "unknown"
        span = self._tracing.begin(
            rpc_method(operation),
            context=self._tracing.context_of(_carried(request)),
            kind=SpanKind.SERVER,
            attributes=rpc_attributes(operation, self._endpoint()),
        )
        token = HTTP_SPANS.set(self._http)
        try:
            with self._tracing.current(span):
                yield span
        finally:
            HTTP_SPANS.reset(token)
            if not goes_on:
                self._tracing.end(span)


class _TracedSubscription:
    """A subscription, and the sink of its events, whose span ends when it does."""

    inner: Subscription

    def __init__(self, tracing: Tracing, span: Span, sink: EventSink) -> None:
        self._tracing = tracing
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
                _fail(self._tracing, self._span, error)
            self._tracing.end(self._span)


class _HttpSpan:
    """See ``HttpSpan``."""

    def __init__(self, tracing: Tracing, span: Span) -> None:
        self._tracing = tracing
        self._span = span
        self.failed = False
        self.headers = tracing.carried()

    def answered(self, status: int) -> None:
        """See ``HttpSpan``."""
        self._tracing.note(self._span, {"http.response.status_code": status})
        if status >= 400:
            self.failed = True
            self._tracing.fail_with(
                self._span, str(status), f"OpenCode answered with status {status}"
            )


class _HttpSpans:
    """See ``HttpSpans``."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    @contextmanager
    def span(self, method: str, url: str) -> Iterator[_HttpSpan]:
        """See ``HttpSpans``."""
        attributes = {"http.request.method": method, "url.full": url, **place(url)}
        span = self._tracing.begin(method, kind=SpanKind.CLIENT, attributes=attributes)
        try:
            with self._tracing.current(span):
                told = _HttpSpan(self._tracing, span)
                try:
                    yield told
                except Exception as error:
                    if not told.failed:
                        self._tracing.fail_with(span, type(error).__qualname__, str(error))
                    raise
        finally:
            self._tracing.end(span)


def _fail(tracing: Tracing, span: Span, error: BackendError) -> None:
    code = error_code_name(error.code)
    tracing.fail_with(span, code, error.message, code=code)


def _carried(request: ipc_pb2.IpcClientMessage) -> dict[str, str]:
    """Return what a request says of its trace, as far as it has the form that it has to have."""
    return {
        "traceparent": request.traceparent if len(request.traceparent) <= _LONGEST else "",
        "tracestate": request.tracestate if _is_state(request.tracestate) else "",
    }


def _is_state(text: str) -> bool:
    if len(text) > _LONGEST:
        return False
    members = [_MEMBER.fullmatch(member) for member in text.split(",") if member.strip(" \t")]
    keys = [member[1] for member in members if member is not None]
    return len(members) == len(set(keys)) <= _MOST_MEMBERS

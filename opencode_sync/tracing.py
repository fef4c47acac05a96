"""A client's calls with an OpenTelemetry span each.

A subclass of ``Calls``, so that a client without traces runs not one instruction more for them.
Import it only where spans are wanted: it needs the extra ``otel``.

A span begins with the call and ends with it, whatever is repeated in between; that of a stream ends
when the stream does. The request carries its context to the backend.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from opentelemetry.trace import Span, SpanKind, TracerProvider

from opencode_sync.call import FutureCall
from opencode_sync.calls import Calls
from opencode_sync.cancel import CancelToken
from opencode_sync.errors import IpcCancelledError
from opencode_sync.operations import Operation, Request
from opencode_sync.telemetry import Tracing, place, rpc_attributes, rpc_method
from opencode_sync.wire import ipc_pb2

__all__ = ["TracedCalls"]

R = TypeVar("R")


class TracedCalls(Calls):
    """Makes calls, and a span for each that the user makes. Any thread may call any method.

    Span processors run where OpenTelemetry has them run, in the caller's thread, but for the end of
    a future or a stream: that is told on the notifier thread, with the time at which it was. What
    they raise is logged, and changes no outcome.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider,
        endpoint: Callable[[], str | None],
        **parts: Any,
    ) -> None:
        """Make a client's calls possible.

        Args:
            tracer_provider: Makes the tracer.
            endpoint: Returns where the client is connected.
            parts: What ``Calls`` takes.

        Raises:
            IpcConfigError: ``tracer_provider`` is none.
        """
        super().__init__(**parts)
        self._tracing = Tracing(tracer_provider)
        self._endpoint = endpoint

    def run(self, request: Request[R], timeout: float | None, cancel: CancelToken | None) -> R:
        """Make a blocking call."""
        with self._span(request.operation) as span:
            result = super().run(request, timeout, cancel)
            self._finish(span, request.operation, result)
        return result

    def begin(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> FutureCall[R]:
        """Make a call for somebody who does not wait; never blocks."""
        with self._span(request.operation, goes_on=True) as span:
            call = super().begin(request, timeout, cancel)
        call.when_done(lambda future: self._note_end(span, request.operation, future))
        return call

    def open(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> FutureCall[R]:
        """Make a call that has no end in time; never blocks."""
        with self._span(request.operation, goes_on=True) as span:
            call = super().open(request, timeout, cancel)
        call.when_done(lambda future: self._note_end(span, request.operation, future))
        return call

    def _completed(self, request: Request[R], seconds: float) -> Request[R]:
        """Return the request with the context of the span that it belongs to, if there is one."""
        request = super()._completed(request, seconds)
        carrier = self._tracing.carried()
        if not carrier:
            return request
        # Fields that follow an encoded message are fields of that message.
        context = ipc_pb2.IpcClientMessage(
            traceparent=carrier["traceparent"], tracestate=carrier.get("tracestate", "")
        )
        return replace(request, body=request.body + context.SerializeToString())

    @contextmanager
    def _span(self, operation: Operation[Any], *, goes_on: bool = False) -> Iterator[Span]:
        """Begin a span and let it be the current one; it ends here unless it goes on."""
        span = self._tracing.begin(
            rpc_method(operation.name),
            kind=SpanKind.CLIENT,
            attributes=rpc_attributes(operation.name, self._endpoint()),
        )
        try:
            with self._tracing.current(span):
                yield span
        except BaseException as error:
            self._tracing.fail(span, error)
            goes_on = False
            raise
        finally:
            if not goes_on:
                self._end(span, self._endpoint())

    def _note_end(self, span: Span, operation: Operation[Any], future: Future[Any]) -> None:
        """Have the end of a call told; by whoever ended it, so this must not run a user's code."""
        now, endpoint = time.time_ns(), self._endpoint()
        self._notifier.post(self._finish_late, span, operation, future, endpoint, now)

    def _finish_late(
        self,
        span: Span,
        operation: Operation[Any],
        future: Future[Any],
        endpoint: str | None,
        when: int,
    ) -> None:
        if future.cancelled():
            self._tracing.fail_with(
                span, "concurrent.futures.CancelledError", f"{operation.name} was cancelled"
            )
        elif (error := future.exception()) is None:
            self._finish(span, operation, future.result())
        elif not (operation.name == "subscribe" and isinstance(error, IpcCancelledError)):
            # Closing is how a subscription ends.
            self._tracing.fail(span, error)
        self._end(span, endpoint, when)

    def _finish(self, span: Span, operation: Operation[Any], result: object) -> None:
        if operation.failure is not None and result == operation.failure:
            self._tracing.fail_with(
                span, "_OTHER", f"{operation.name} returned {result!r}, as for any failure"
            )
        elif operation.name == "subscribe":
            self._tracing.fail_with(
                span, "SERVER_ERROR", f"the backend ended the subscription: {result}"
            )

    def _end(self, span: Span, endpoint: str | None, when: int | None = None) -> None:
        if endpoint is not None:  # it may not have been known in the beginning
            self._tracing.note(span, place(endpoint))
        self._tracing.end(span, when)

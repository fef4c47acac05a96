"""How a request looks in a trace, the same for client and gateway.

Names and attributes follow OpenTelemetry's semantic conventions for RPC (v1.45, where they became
stable) and for the recording of errors. Import it only where spans are made: it needs the extra
``otel``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from opencode_sync.errors import IpcConfigError, IpcPromptError, IpcServerError
from opencode_sync.logger import logger

__all__ = ["SYSTEM", "Tracing", "place", "rpc_attributes", "rpc_method"]

SYSTEM: Final = "opencode_ipc"
"""``rpc.system.name`` of every span of this package."""

_SERVICE: Final = "opencode.Ipc"
_SCOPE: Final = "opencode_sync"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def rpc_method(operation: str) -> str:
    """Return an operation's full name, which is its span's name, too."""
    return f"{_SERVICE}/{operation}"


def rpc_attributes(operation: str, endpoint: str | None) -> dict[str, str | int]:
    """Return what is known of a request when its span begins."""
    return {
        "rpc.system.name": SYSTEM,
        "rpc.method": rpc_method(operation),
        **({} if endpoint is None else place(endpoint)),
    }


def place(endpoint: str) -> dict[str, str | int]:
    """Return the attributes that say where a server is, from an address such as a URL."""
    parts = urlsplit(endpoint)
    if parts.hostname is None:  # in memory
        return {"server.address": endpoint}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname, "server.port": port}


class Tracing:
    """Makes spans, and lets nothing that goes wrong in that change a request's outcome.

    Span processors, samplers and exporters are the program's own, and run in the thread that makes
    the request. Any thread may call any method; none raises an ``Exception`` of the tracer's.
    """

    def __init__(self, provider: TracerProvider) -> None:
        """Make spans with a provider's tracer; none, if the provider has none to give.

        Raises:
            IpcConfigError: that is no provider.
        """
        if not isinstance(provider, TracerProvider):
            raise IpcConfigError(
                f"tracer_provider is of type {type(provider).__name__}; give an OpenTelemetry "
                "TracerProvider, such as trace.get_tracer_provider(), or None for no traces",
                field="tracer_provider",
            )
        self._tracer: Tracer = trace.NoOpTracer()  # the trace goes on with the next one
        self._guard = _Guard()
        with self._guard:
            self._tracer = provider.get_tracer(_SCOPE, _version())

    def begin(
        self,
        name: str,
        *,
        kind: SpanKind,
        attributes: Mapping[str, str | int],
        context: Context | None = None,
    ) -> Span:
        """Begin a span below that of the context; None stands for this thread's.

        If there is none to be had, what is returned records nothing and belongs to the parent, so
        that the trace goes on with the next one.
        """
        with self._guard:
            span: object = self._tracer.start_span(
                name, context=context, kind=kind, attributes=dict(attributes)
            )
            if isinstance(span, Span):
                return span
            raise TypeError(f"start_span returned a {type(span).__name__}, which is no span")
        with self._guard:
            return NonRecordingSpan(trace.get_current_span(context).get_span_context())
        return trace.INVALID_SPAN

    @contextmanager
    def current(self, span: Span) -> Iterator[None]:
        """Let a span be this thread's current one."""
        token = None
        with self._guard:
            token = attach(trace.set_span_in_context(span))
        try:
            yield
        finally:
            if token is not None:
                with self._guard:
                    detach(token)

    def carried(self) -> dict[str, str]:
        """Return what a request has to carry for the trace to go on where it is served."""
        carrier: dict[str, str] = {}
        with self._guard:
            _PROPAGATOR.inject(carrier)
        return carrier

    def context_of(self, carrier: Mapping[str, str]) -> Context:
        """Return the context that a request carried; that of no trace if it is none."""
        # Not the context of this thread: a gateway in the client's process has its own spans.
        nobodys = trace.set_span_in_context(trace.INVALID_SPAN)
        with self._guard:
            return _PROPAGATOR.extract(carrier, nobodys)
        return nobodys

    def note(self, span: Span, attributes: Mapping[str, str | int]) -> None:
        """Add attributes to a span."""
        with self._guard:
            span.set_attributes(attributes)

    def end(self, span: Span, when: int | None = None) -> None:
        """End a span, now or at a time in nanoseconds since 1970."""
        with self._guard:
            span.end(when)

    def fail(self, span: Span, error: BaseException) -> None:
        """Record the exception by which a request ended."""
        with self._guard:
            span.record_exception(error)
        if isinstance(error, IpcServerError):
            self.fail_with(span, error.code_name, str(error), code=error.code_name)
        elif isinstance(error, IpcPromptError):
            self.fail_with(span, error.kind, str(error))
        else:
            cls = type(error)
            is_known = cls.__module__ == "builtins"
            kind = cls.__qualname__ if is_known else f"{cls.__module__}.{cls.__qualname__}"
            self.fail_with(span, kind, str(error))

    def fail_with(self, span: Span, kind: str, text: str, *, code: str | None = None) -> None:
        """Record that a request failed.

        Args:
            span: The request's.
            kind: What failed, one of few words.
            text: The same for people.
            code: The error code of the answer, if there was one.
        """
        with self._guard:
            span.set_attribute("error.type", kind)
            if code is not None:
                span.set_attribute("rpc.response.status_code", code)
            span.set_status(Status(StatusCode.ERROR, text))


def _version() -> str | None:
    try:
        return metadata.version("opencode-sync-sdk")
    except metadata.PackageNotFoundError:  # used from a folder, without an installation
        return None


class _Guard:
    """Keeps what a tracer raises to itself. It is told once: each request would raise it again."""

    def __init__(self) -> None:
        # Not locked: told twice is fine.
        self._told = False

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # an interrupt is nobody's but the program's
        if not self._told:
            self._told = True
            logger.opt(exception=error).warning("the tracer failed; spans are lost")
        return True

"""How a request looks in a trace, the same for client and gateway.

Names and attributes follow OpenTelemetry's semantic conventions for RPC (v1.45, where they became
stable) and for the recording of errors. Import it only where spans are made: it needs the extra
``otel``.
"""

from __future__ import annotations

from importlib import metadata
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from opencode_sync.errors import IpcConfigError, IpcPromptError, IpcServerError

__all__ = ["SYSTEM", "fail", "fail_with", "make_tracer", "place", "rpc_attributes", "rpc_method"]

SYSTEM: Final = "opencode_ipc"
"""``rpc.system.name`` of every span of this package."""

_SERVICE: Final = "opencode.Ipc"
_SCOPE: Final = "opencode_sync"


def make_tracer(provider: TracerProvider) -> Tracer:
    """Return the tracer of this package.

    Raises:
        IpcConfigError: that is no provider.
    """
    if not isinstance(provider, trace.TracerProvider):
        raise IpcConfigError(
            f"tracer_provider is of type {type(provider).__name__}; give an OpenTelemetry "
            "TracerProvider, such as trace.get_tracer_provider(), or None for no traces",
            field="tracer_provider",
        )
    try:
        version = metadata.version("opencode-sync-sdk")
    except metadata.PackageNotFoundError:  # used from a folder, without an installation
        version = None
    return provider.get_tracer(_SCOPE, version)


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


def fail(span: Span, error: BaseException) -> None:
    """Record the exception by which a request ended."""
    span.record_exception(error)
    if isinstance(error, IpcServerError):
        fail_with(span, error.code_name, str(error), code=error.code_name)
    elif isinstance(error, IpcPromptError):
        fail_with(span, error.kind, str(error))
    else:
        cls = type(error)
        is_known = cls.__module__ == "builtins"
        kind = cls.__qualname__ if is_known else f"{cls.__module__}.{cls.__qualname__}"
        fail_with(span, kind, str(error))


def fail_with(span: Span, kind: str, text: str, *, code: str | None = None) -> None:
    """Record that a request failed.

    Args:
        span: The request's.
        kind: What failed, one of few words.
        text: The same for people.
        code: The error code of the answer, if there was one.
    """
    span.set_attribute("error.type", kind)
    if code is not None:
        span.set_attribute("rpc.response.status_code", code)
    span.set_status(Status(StatusCode.ERROR, text))

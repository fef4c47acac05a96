"""How the calls to OpenCode get to know that they belong to a trace.

This module needs nothing of OpenTelemetry, so that a gateway without traces does without it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

__all__ = ["HTTP_SPANS", "HttpSpan", "HttpSpans"]


class HttpSpan(Protocol):
    """The span of one HTTP request."""

    headers: dict[str, str]
    """What the request has to carry for the trace to go on in the server."""

    def answered(self, status: int) -> None:
        """Note the status of the answer."""


class HttpSpans(Protocol):
    """Makes spans for HTTP requests. Any thread may call any method."""

    def span(self, method: str, url: str) -> AbstractContextManager[HttpSpan]:
        """Return the span of a request, from its beginning until its answer was read.

        Args:
            method: ``"GET"``, ``"POST"``, ...
            url: The whole address. No secret is in it.
        """


HTTP_SPANS: ContextVar[HttpSpans | None] = ContextVar("opencode_sync_http_spans", default=None)
"""Set while a request is served that has a span. A thread that works on for it has to be given the
context: ``contextvars.copy_context().run``."""

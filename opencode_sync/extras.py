"""What to say when a package of an extra is needed and not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opencode_sync.errors import IpcConfigError

__all__ = ["needs_opentelemetry"]


@contextmanager
def needs_opentelemetry(what: str) -> Iterator[None]:
    """Import what needs OpenTelemetry inside.

    Args:
        what: What it is for: an argument or a class.

    Raises:
        IpcConfigError: it is not installed; says how to install it.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise IpcConfigError(
            f"{what} needs the package opentelemetry-api of the extra otel, which is not "
            'installed; run: pip install "opencode-sync-sdk[otel]" opentelemetry-sdk',
            field=what,
            source="installation",
        ) from None

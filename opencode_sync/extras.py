"""What to say when a package of an extra is needed and not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opencode_sync.errors import IpcConfigError

__all__ = ["needs_gateway", "needs_opentelemetry"]


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
        if _package(error) != "opentelemetry":
            raise
        raise IpcConfigError(
            f"{what} needs the package opentelemetry-api of the extra otel, which is not "
            'installed; run: pip install "opencode-sync-sdk[otel]" opentelemetry-sdk',
            field=what,
            source="installation",
        ) from None


@contextmanager
def needs_gateway(what: str) -> Iterator[None]:
    """Import what needs packages of the extra ``gateway`` inside.

    Args:
        what: What it is for.

    Raises:
        IpcConfigError: one is not installed; says how to install it.
    """
    try:
        yield
    except ImportError as error:
        # An ImportError of our own making is a bug and must not be blamed on the installation.
        if _package(error) in ("", "opencode_sync"):
            raise
        raise IpcConfigError(
            f"{what} needs the package {_package(error)} of the extra gateway, which is not "
            "installed; run: pip install 'opencode-sync-sdk[gateway]'",
            source="installation",
        ) from None


def _package(error: ImportError) -> str:
    return (error.name or "").partition(".")[0]

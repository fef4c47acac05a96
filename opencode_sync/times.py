"""Times of the wire schema, which are Unix milliseconds, as ``datetime``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opencode_sync.errors import IpcArgumentError
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["session_created", "session_updated", "to_datetime"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(ms: int) -> datetime:
    """Convert a time of the wire schema.

    Args:
        ms: Unix milliseconds, as all times of the schema are; may lie before 1970.

    Returns:
        The same instant in UTC, exact to the millisecond; ``.astimezone()`` makes it local.

    Raises:
        IpcArgumentError: If the instant is outside the years 1 to 9999.
    """
    try:
        # Not datetime.fromtimestamp: it rounds, and on Windows it refuses times before 1970.
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        raise IpcArgumentError(
            f"ms is {ms}, which is outside the years 1 to 9999; pass Unix milliseconds.",
            field="ms",
        ) from None


def session_created(session: OcSessionInfo) -> datetime:
    """Return when a session was created, in UTC; 1970 if the backend did not say."""
    return to_datetime(session.time.created)


def session_updated(session: OcSessionInfo) -> datetime:
    """Return when a session last changed, in UTC; 1970 if the backend did not say."""
    return to_datetime(session.time.updated)

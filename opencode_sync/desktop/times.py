"""When something happened, as people say it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from PySide6.QtCore import QCoreApplication, QDate, QLocale

__all__ = ["Clock", "relative_time", "system_clock"]

Clock = Callable[[], datetime]
"""Returns the current time, with its zone. Tests have one that stands still."""

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY


def system_clock() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def relative_time(milliseconds: int, now: datetime) -> str:
    """Return "Just now", "5m ago", "3h ago", "2d ago", and from a week on the local date.

    Args:
        milliseconds: Unix milliseconds, as all times of the wire schema are; 0 stands for unknown.
        now: The time to compare with. What lies after it, by a clock that is wrong, is just now.
    """
    if milliseconds == 0:
        return QCoreApplication.translate("times", "Unknown")
    seconds = now.timestamp() - milliseconds / 1000
    if seconds < _MINUTE:
        return QCoreApplication.translate("times", "Just now")
    if seconds < _HOUR:
        return QCoreApplication.translate("times", "{0}m ago").format(int(seconds // _MINUTE))
    if seconds < _DAY:
        return QCoreApplication.translate("times", "{0}h ago").format(int(seconds // _HOUR))
    if seconds < _WEEK:
        return QCoreApplication.translate("times", "{0}d ago").format(int(seconds // _DAY))
    try:
        then = datetime.fromtimestamp(milliseconds / 1000, now.tzinfo)
    except (ValueError, OverflowError, OSError):  # no year that a calendar knows
        return QCoreApplication.translate("times", "Unknown")
    return QLocale().toString(QDate(then.year, then.month, then.day), "MMM dd, yyyy")

"""When something happened, as people say it."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from opencode_sync.desktop.times import relative_time, system_clock

from .conftest import NOW, ms_ago

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-_DAY, "Just now"),  # by a clock that is ahead
        (0, "Just now"),
        (_MINUTE - 1, "Just now"),
        (_MINUTE, "1m ago"),
        (5 * _MINUTE + 59, "5m ago"),
        (_HOUR - 1, "59m ago"),
        (_HOUR, "1h ago"),
        (3 * _HOUR, "3h ago"),
        (_DAY - 1, "23h ago"),
        (_DAY, "1d ago"),
        (7 * _DAY - 1, "6d ago"),
        (7 * _DAY, "Mar 03, 2026"),
        (400 * _DAY, "Feb 03, 2025"),
    ],
)
def test_relative_time(seconds: int, text: str) -> None:
    assert relative_time(ms_ago(seconds), NOW) == text


def test_a_date_is_that_of_the_clocks_zone() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=13)))
    assert relative_time(ms_ago(7 * _DAY), there) == "Mar 04, 2026"


@pytest.mark.parametrize("milliseconds", [0, -(10**18)])
def test_a_time_that_is_none_is_unknown(milliseconds: int) -> None:
    assert relative_time(milliseconds, NOW) == "Unknown"


def test_the_system_clock_knows_its_zone() -> None:
    assert system_clock().utcoffset() is not None

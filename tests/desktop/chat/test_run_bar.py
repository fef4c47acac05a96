"""The line about the run, where a clock cannot say when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from opencode_sync.desktop.chat.run_bar import _clock


@pytest.fixture
def east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone in which the last hours of the calendar are over."""
    if not hasattr(time, "tzset"):  # Windows: the zone is the system's
        yield
        return
    monkeypatch.setenv("TZ", "XXX-14")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("east")
def test_a_time_that_is_in_no_calendar_is_not_told() -> None:
    assert _clock(datetime.max.replace(tzinfo=UTC)) == ""
    assert _clock(None) == ""
    assert _clock(datetime(2026, 1, 1, 10, 20, 30, tzinfo=UTC)).endswith(":20:30")

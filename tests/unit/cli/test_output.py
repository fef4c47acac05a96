"""Tables for people, JSON for programs."""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from opencode_sync.cli import output
from opencode_sync.cli.errors import CommandError, ExitCode

from .doubles import session

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@pytest.fixture
def in_warsaw(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC+1, for the duration of a test."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change the time zone of a process")
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(0), "Just now"),
        (timedelta(seconds=59), "Just now"),
        (timedelta(seconds=-30), "Just now"),
        (timedelta(seconds=60), "1m ago"),
        (timedelta(minutes=59, seconds=59), "59m ago"),
        (timedelta(hours=1), "1h ago"),
        (timedelta(hours=23, minutes=59), "23h ago"),
        (timedelta(days=1), "1d ago"),
        (timedelta(days=6, hours=23), "6d ago"),
        (timedelta(days=7), ""),
        (timedelta(seconds=-61), ""),
    ],
)
def test_times_are_told_relative_to_now(ago: timedelta, text: str) -> None:
    assert output.relative_time(NOW - ago, now=NOW) == text


@pytest.mark.usefixtures("in_warsaw")
def test_an_update_is_told_both_relative_and_in_local_time() -> None:
    moment = milliseconds(NOW - timedelta(minutes=5))
    assert output.updated_text(moment, now=NOW) == "5m ago (2026-11-23 12:55)"


@pytest.mark.usefixtures("in_warsaw")
def test_an_old_update_is_a_date_alone() -> None:
    moment = milliseconds(NOW - timedelta(days=30))
    assert output.updated_text(moment, now=NOW) == "2026-10-24 13:00"


def test_an_update_nobody_told_is_a_dash() -> None:
    assert output.updated_text(0) == "-"


def test_a_present_update_needs_no_clock_of_the_caller() -> None:
    moment = milliseconds(datetime.now(UTC))
    assert output.updated_text(moment).startswith("Just now (")


@pytest.mark.parametrize("value", [2**62, -(2**62)])
def test_an_update_beyond_the_calendar_is_shown_as_it_came(value: int) -> None:
    assert output.updated_text(value, now=NOW) == f"{value} ms"
    assert output.session_record(session(1, updated=value))["updated"] is None


def test_sessions_are_ordered_by_their_last_change() -> None:
    sessions = [session(1, updated=10), session(2, updated=30), session(3, updated=20)]
    assert [s.time.updated for s in output.newest_first(sessions)] == [30, 20, 10]


def test_the_table_shows_id_title_time_and_directory(capsys: pytest.CaptureFixture[str]) -> None:
    shown = session(1, "A title", updated=milliseconds(NOW - timedelta(hours=3)))
    output.print_table(output.sessions_table([shown], now=NOW))
    text = capsys.readouterr().out
    assert shown.id in text
    assert "A title" in text
    assert "3h ago" in text
    assert "/home/me/project" in text


def test_the_table_shows_markup_and_control_characters_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = session(1, "[red]x[/red] [/] :smile: \x1b[31m\n\x00")
    output.print_table(output.sessions_table([shown], now=NOW))
    text = capsys.readouterr().out
    assert r"[red]x[/red] [/] :smile: \x1b[31m\n\x00" in text
    assert "\x1b" not in text


def test_one_endless_title_does_not_break_the_table_in_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = [session(1, "x" * 1_000_000), session(2, "short")]
    output.print_table(output.sessions_table(shown, now=NOW))
    lines = capsys.readouterr().out.splitlines()
    assert "x" * 80 + "..." in lines[2]
    assert "x" * 81 not in lines[2]
    assert max(map(len, lines)) < 250


def test_a_pipe_gets_whole_lines_with_usual_titles(capsys: pytest.CaptureFixture[str]) -> None:
    title = "word " * 16
    output.print_table(output.sessions_table([session(1, title)], now=NOW))
    assert title.strip() in capsys.readouterr().out


def test_a_long_id_is_not_cut_like_a_title(capsys: pytest.CaptureFixture[str]) -> None:
    shown = session(1)
    shown.id = "ses_" + "x" * 150
    output.print_table(output.sessions_table([shown], now=NOW))
    assert shown.id in capsys.readouterr().out


def test_a_narrow_terminal_gets_cut_titles_but_whole_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    shown = session(1, "word " * 30, updated=milliseconds(NOW))
    output.print_table(output.sessions_table([shown], now=NOW))
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(shown.id in line for line in lines)


def test_a_reader_who_went_away_is_told_as_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(BrokenPipeError):
        output.print_table(output.sessions_table([session(1)], now=NOW))


def test_a_disk_that_is_full_is_told_without_sending_anyone_to_repeat_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    for print_something in (
        lambda: output.print_line("text"),
        lambda: output.print_json({}),
        lambda: output.print_table(output.sessions_table([session(1)], now=NOW)),
    ):
        with pytest.raises(CommandError, match="No space left") as failed:
            print_something()
        assert failed.value.exit_code is ExitCode.FAILED
        assert "repeat" not in failed.value.message


def test_lines_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_line("first\nsecond")
    assert capsys.readouterr().out == "first\\nsecond\n"


def test_json_is_plain_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"title": "żółw \x1b \x9b"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text) == {"title": "żółw \x1b \x9b"}


def test_a_record_holds_every_field_that_programs_need() -> None:
    full = session(1, "A title", updated=1_700_000_000_123, parent_id="ses_parent", project_id="p")
    full.time.created, full.time.archived = 1_700_000_000_000, 1_700_000_001_000
    full.cost = 0.25
    full.summary.additions, full.summary.deletions, full.summary.files = 3, 2, 1
    assert output.session_record(full) == {
        "id": full.id,
        "title": "A title",
        "directory": "/home/me/project",
        "project_id": "p",
        "parent_id": "ses_parent",
        "version": "1",
        "created": "2023-11-14T22:13:20.000Z",
        "updated": "2023-11-14T22:13:20.123Z",
        "archived": "2023-11-14T22:13:21.000Z",
        "cost": 0.25,
        "summary": {"additions": 3, "deletions": 2, "files": 1},
    }


def test_a_record_says_null_for_what_a_session_does_not_have() -> None:
    bare = output.session_record(session(1))
    assert bare["parent_id"] is None
    assert bare["summary"] is None
    assert bare["created"] is None
    assert bare["updated"] is None
    assert bare["archived"] is None
    assert bare["cost"] is None


def test_a_json_line_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json_line({"text": "a\nb é"})
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text) == {"text": "a\nb é"}


def test_a_text_is_left_as_it_is_where_no_terminal_could_obey_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.print_text("a\n\x1b[31mb")
    assert capsys.readouterr().out == "a\n\x1b[31mb"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.print_text("a\n\x1b[31mb")
    assert capsys.readouterr().out == "a\n\\x1b[31mb"

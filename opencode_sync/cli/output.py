"""What commands print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.printable import printable, printable_block

if TYPE_CHECKING:
    from opencode_sync.types import OcSessionInfo

__all__ = [
    "cell",
    "empty_table",
    "newest_first",
    "optional_time",
    "print_json",
    "print_json_line",
    "print_line",
    "print_table",
    "print_text",
    "relative_time",
    "session_record",
    "sessions_table",
    "unwritable",
    "updated_text",
]

_CELL_LIMIT = 80
"""Characters of a title or directory that a table may show. A title can have a megabyte, and the
longest one pads every row, where no terminal's width sets a limit. Programs take --json."""

_ID_LIMIT = 200
"""Characters of an id: more than any real one has."""

_UNLIMITED_WIDTH = 2_000
"""Columns where standard output is no terminal: what reads a pipe wants whole lines, not cut ones.
Wide enough for full cells."""

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3_600, 86_400, 604_800


class _QuietConsole(Console):
    """A console that lets a broken pipe through, to be dealt with in one place (app.py)."""

    def on_broken_pipe(self) -> None:
        raise  # rich calls this while it handles the BrokenPipeError


def _console() -> Console:
    # Made anew each time, for standard output may have been redirected in between.
    stream = sys.stdout
    width = None if stream.isatty() else _UNLIMITED_WIDTH
    return _QuietConsole(file=stream, width=width, markup=False, emoji=False, highlight=False)


# All that is printed raises BrokenPipeError when the reader went away, and the CommandError of
# unwritable() when the system refuses.


def print_line(text: str) -> None:
    """Print one line for people; control characters are spelt out."""
    _write(f"{printable(text)}\n")


def print_json(value: Any) -> None:
    """Print a JSON document, in ASCII so that every terminal and every encoding can take it."""
    _write(f"{json.dumps(value, indent=2)}\n")


def print_json_line(value: Any) -> None:
    """Print a JSON document on one line, at once: for a program that reads while we write."""
    _write(f"{json.dumps(value)}\n")


def print_text(text: str) -> None:
    """Print a piece of a text of many lines, at once.

    On a terminal control characters are spelt out; a file or a pipe gets the text as it is.
    """
    _write(printable_block(text) if sys.stdout.isatty() else text)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal allows."""
    with _refusals_told():
        _console().print(table)


def unwritable(error: OSError) -> CommandError:
    """Return what to report when standard output could not be written.

    It does not send anyone to repeat the command, for what that was to do may be done.
    """
    return CommandError(
        f"standard output cannot be written: {error.strerror or error}; what the command has done "
        "stays done",
        ExitCode.FAILED,
    )


def _write(text: str) -> None:
    with _refusals_told():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextlib.contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def newest_first(sessions: Iterable[OcSessionInfo]) -> list[OcSessionInfo]:
    """Return the sessions ordered by their last change, the latest first."""
    return sorted(sessions, key=lambda session: session.time.updated, reverse=True)


def sessions_table(sessions: Sequence[OcSessionInfo], *, now: datetime | None = None) -> Table:
    """Return the table of sessions that people see.

    Args:
        sessions: The rows, in their order.
        now: What "5m ago" is counted from; None means the present moment.
    """
    now = now or datetime.now(UTC)
    table = empty_table()
    # An id is there to be copied: it is never cut.
    table.add_column("ID", no_wrap=True, overflow="ignore", min_width=_longest_id(sessions))
    table.add_column("Title", no_wrap=True, overflow="ellipsis", min_width=8)
    table.add_column("Updated", no_wrap=True, overflow="ellipsis", min_width=8)
    table.add_column("Directory", no_wrap=True, overflow="ellipsis", min_width=8)
    for session in sessions:
        table.add_row(
            cell(session.id, _ID_LIMIT),
            cell(session.title),
            Text(updated_text(session.time.updated, now=now)),
            cell(session.directory),
        )
    return table


def empty_table(*columns: str) -> Table:
    """Return a table with these columns, none of which is ever cut, and no rows yet."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _longest_id(sessions: Sequence[OcSessionInfo]) -> int:
    return max((len(cell(session.id, _ID_LIMIT)) for session in sessions), default=2)


def cell(text: str, limit: int = _CELL_LIMIT) -> Text:
    """Return a text from elsewhere as a cell of a table: on one line, and not too long."""
    # A Text, not a str: a str would be read as markup.
    return Text(printable(text, limit=limit))


def updated_text(milliseconds: int, *, now: datetime | None = None) -> str:
    """Return a Unix time as ``"5m ago (2026-11-23 14:05)"``, in local time.

    Args:
        milliseconds: Unix time; 0 means that nobody said.
        now: What the relative part is counted from; None means the present moment.
    """
    if milliseconds == 0:
        return "-"
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        absolute = moment.astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"  # beyond what a calendar holds, so shown as it came
    relative = relative_time(moment, now=now or datetime.now(UTC))
    return f"{relative} ({absolute})" if relative else absolute


def relative_time(moment: datetime, *, now: datetime) -> str:
    """Return ``"Just now"``, ``"5m ago"``, ``"3h ago"``, ``"2d ago"``; "" from a week on.

    A moment up to a minute ahead is "Just now" too, for clocks differ; further ahead it is "".
    """
    seconds = (now - moment).total_seconds()
    if -_MINUTE < seconds < _MINUTE:
        return "Just now"
    if not 0 <= seconds < _WEEK:
        return ""
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)}m ago"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)}h ago"
    return f"{int(seconds // _DAY)}d ago"


def session_record(session: OcSessionInfo) -> dict[str, Any]:
    """Return a session as the object that ``--json`` prints.

    Times are ISO 8601 in UTC with milliseconds, or null when nobody said; an optional field that
    the session does not have is null.
    """
    summary = session.summary if session.HasField("summary") else None
    return {
        "id": session.id,
        "title": session.title,
        "directory": session.directory,
        "project_id": session.project_id,
        "parent_id": session.parent_id if session.HasField("parent_id") else None,
        "version": session.version,
        "created": optional_time(session.time.created),
        "updated": optional_time(session.time.updated),
        "archived": optional_time(session.time.archived),
        "cost": session.cost if session.HasField("cost") else None,
        "summary": None
        if summary is None
        else {
            "additions": summary.additions,
            "deletions": summary.deletions,
            "files": summary.files,
        },
    }


def optional_time(milliseconds: int) -> str | None:
    """Return a Unix time as ISO 8601 in UTC; None when nobody said, or no calendar has it."""
    if milliseconds == 0:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

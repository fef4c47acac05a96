"""``docs/logging.md`` lists what client and gateway log: all of it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.logs.log_calls import ROOT, LogCall, calls_in, calls_in_package

PAGE = ROOT.parent / "docs" / "logging.md"

# Whoever uses these is looking at the screen.
_NOT_LISTED = ("desktop", "testing")


def listed() -> set[LogCall]:
    """Return what the page lists."""
    found: set[LogCall] = set()
    level = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            level = line.strip("# ")
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if level.isupper() and cells[0].startswith("`"):
            message, fields, module = (cell.strip("`") for cell in cells[:3])
            names = tuple(sorted(name.strip("`, ") for name in fields.split(",") if name))
            found.add(LogCall(level, message, names, module))
    return found


def row(call: LogCall) -> str:
    """Return a message as a row of the page."""
    fields = ", ".join(f"`{name}`" for name in call.fields)
    return f"{call.level}: | `{call.message}` | {fields} | `{call.module}` |"


def test_every_message_has_its_row_at_its_level() -> None:
    calls = {call for call in calls_in_package() if call.module.split(".")[0] not in _NOT_LISTED}
    missing = sorted(row(call) for call in calls - listed())
    assert missing == [], f"add to {PAGE.name} (and say what to do about errors and warnings)"
    stale = sorted(row(call) for call in listed() - calls)
    assert stale == [], f"nothing logs these any more; take them out of {PAGE.name}"


def test_the_page_was_read() -> None:
    assert len(listed()) > 60
    assert {call.level for call in listed()} == {"ERROR", "WARNING", "INFO", "DEBUG"}


def test_every_error_and_warning_says_what_to_do() -> None:
    text = PAGE.read_text("utf-8")
    serious = text[text.index("### ERROR") : text.index("### INFO")]
    rows = [line for line in serious.splitlines() if line.startswith("| `")]
    assert rows
    assert [line for line in rows if line.rstrip("| ").endswith("`") and line.count("|") < 5] == []
    assert [line for line in rows if not line.strip("| ").split(" | ")[-1].endswith(".")] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("logger.info('a {}', 1)", [("INFO", "a {}", ())]),
        ("logger.bind(b=1, a=2).warning('x')", [("WARNING", "x", ("a", "b"))]),
        ("logger.opt(exception=True).error('x')", [("ERROR", "x", ())]),
        ("logger.bind(a=1).opt(depth=1).exception('x')", [("ERROR", "x", ("a",))]),
        ("logger.log('DEBUG' if y else 'INFO', 'x')", [("DEBUG", "x", ()), ("INFO", "x", ())]),
        ("level = 'DEBUG'\nlogger.log(level, 'x')", [("DEBUG", "x", ())]),
        ("_log.exception('x'); call.exception(3); logger.remove(4)", []),
    ],
)
def test_the_reader_of_sources_sees_every_form(
    source: str, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert list(calls_in(source, "m")) == [LogCall(*each, "m") for each in expected]


@pytest.mark.parametrize(
    "source", ["logger.info(f'a {b}')", "logger.log(level, 'x')", "logger.log(a.b, 'x')"]
)
def test_a_message_that_cannot_be_listed_is_refused(source: str) -> None:
    with pytest.raises(AssertionError):
        list(calls_in(source, "m"))


def test_the_page_is_where_the_docstring_says() -> None:
    from opencode_sync import enable_logging

    assert "docs/logging.md" in str(enable_logging.__doc__)
    assert Path("docs/logging.md").name == PAGE.name

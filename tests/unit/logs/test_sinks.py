"""``enable_logging``: text, JSON, the standard library's logging; and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from opencode_sync import IpcArgumentError, IpcServerError, enable_logging
from opencode_sync.masking import HIDDEN
from tests.support import backend as b
from tests.support.backend import TOKEN, ScriptedBackend
from tests.support.leaks import no_leaks


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with no_leaks():
        backend = ScriptedBackend()
        yield backend
        backend.close()


class Kept(logging.Handler):
    """Keeps records of the standard library's."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def theirs() -> Iterator[tuple[logging.Logger, Kept]]:
    """A logger of a program's, and what arrives there."""
    target, kept = logging.getLogger("my.program.opencode"), Kept()
    target.propagate = False
    target.setLevel(logging.INFO)
    target.addHandler(kept)
    yield target, kept
    target.removeHandler(kept)


# --- Text ---


def test_a_line_has_time_level_module_text_and_fields(log: Callable[..., None]) -> None:
    stream = io.StringIO()
    disable = enable_logging("INFO", stream)
    log("INFO", "something happened", operation="list_sessions", request_id=7)
    log("DEBUG", "too little to tell")
    disable()
    (line,) = stream.getvalue().splitlines()
    when, level, rest = line.split(" | ")
    datetime.fromisoformat(when)
    assert level.strip() == "INFO"
    where, text = rest.split(" - ")
    assert where == "opencode_sync.somewhere"
    assert text == "something happened [operation='list_sessions' request_id=7]"


def test_without_fields_there_are_no_brackets(log: Callable[..., None]) -> None:
    stream = io.StringIO()
    disable = enable_logging(sink=stream)
    log("INFO", "plain {braces} <and> tags")
    disable()
    assert stream.getvalue().endswith(" - plain {braces} <and> tags\n")


def test_a_traceback_follows_without_the_values_of_variables(log: Callable[..., None]) -> None:
    stream = io.StringIO()
    disable = enable_logging("ERROR", stream)
    password = "correct horse"
    try:
        int(password and "x")
    except ValueError as error:
        log("ERROR", "it failed", error)
    disable()
    assert "ValueError" in stream.getvalue()
    assert "correct horse" not in stream.getvalue()


def test_a_file_is_a_sink_too(log: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    disable = enable_logging("INFO", path)
    log("INFO", "written")
    disable()
    assert path.read_text("utf-8").endswith(" - written\n")


# --- JSON ---


def test_as_json_each_message_is_one_line(log: Callable[..., None]) -> None:
    stream = io.StringIO()
    disable = enable_logging("DEBUG", stream, json=True)
    log("INFO", 'a {brace} and "quotes"', operation="x", thing=Path("/p"))
    try:
        raise ValueError("broken")
    except ValueError as error:
        log("ERROR", "it failed", error)
    disable()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {
        "level": "INFO",
        "logger": "opencode_sync.somewhere",
        "thread": "MainThread",
        "message": 'a {brace} and "quotes"',
        "fields": {"operation": "x", "thing": repr(Path("/p"))},
    }
    assert second["exception"].splitlines()[-1] == "ValueError: broken"


def test_json_without_a_sink_is_refused() -> None:
    with pytest.raises(IpcArgumentError, match="sink") as caught:
        enable_logging(json=True)
    assert caught.value.field == "json"


# --- The standard library ---


def test_a_logger_of_the_standard_library_gets_records_with_fields(
    log: Callable[..., None], theirs: tuple[logging.Logger, Kept]
) -> None:
    target, kept = theirs
    disable = enable_logging("DEBUG", target)
    log("DEBUG", "below the logger's own level")
    log("WARNING", "100 % {of} it", operation="x")
    disable()
    log("WARNING", "afterwards")
    (record,) = kept.records
    assert record.name == "my.program.opencode"
    assert (record.levelno, record.levelname) == (logging.WARNING, "WARNING")
    assert record.getMessage() == "100 % {of} it"
    assert record.opencode_sync == {"operation": "x"}  # type: ignore[attr-defined]
    assert (record.funcName, record.filename) == ("log", "somewhere.py")
    assert record.exc_info is None


def test_an_exception_goes_along(
    log: Callable[..., None], theirs: tuple[logging.Logger, Kept]
) -> None:
    target, kept = theirs
    disable = enable_logging("DEBUG", target)
    error = ValueError("broken")
    log("ERROR", "it failed", error)
    disable()
    (record,) = kept.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "ValueError: broken" in logging.Formatter().format(record)


def test_a_handler_will_do_and_keeps_its_level(log: Callable[..., None]) -> None:
    kept = Kept(logging.ERROR)
    disable = enable_logging("DEBUG", kept)
    log("WARNING", "too little")
    log("ERROR", "enough")
    disable()
    assert [(record.name, record.getMessage()) for record in kept.records] == [
        ("opencode_sync", "enough")
    ]


def test_a_program_that_sends_all_to_loguru_gets_no_circle(
    log: Callable[..., None], theirs: tuple[logging.Logger, Kept]
) -> None:
    target, kept = theirs

    class ToLoguru(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # As loguru's documentation has it: from where the message was logged.
            logger.opt(depth=5).log(record.levelname, record.getMessage())

    circle = ToLoguru()
    target.addHandler(circle)
    disable = enable_logging("DEBUG", target)
    log("WARNING", "once")
    disable()
    target.removeHandler(circle)
    assert [record.getMessage() for record in kept.records] == ["once"]


# --- On and off ---


def test_two_sinks_are_independent(log: Callable[..., None]) -> None:
    first, second = io.StringIO(), io.StringIO()
    end_first, end_second = enable_logging("INFO", first), enable_logging("INFO", second)
    end_first()
    end_first()
    log("INFO", "for the second alone")
    end_second()
    log("INFO", "for nobody")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def test_switching_off_is_quiet_once_the_program_has_removed_all_sinks() -> None:
    program = """
import sys
from loguru import logger
from opencode_sync import IpcConfig, enable_logging
disable = enable_logging("INFO", sys.stdout)
logger.remove()
disable()
disable()
logger.add(sys.stdout)
IpcConfig(4096, "short")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_messages_of_others_stay_out() -> None:
    stream = io.StringIO()
    disable = enable_logging("TRACE", stream)
    logger.info("of the tests")
    disable()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("level", ["LOUD", -3, 3.5])
def test_a_level_that_is_none_is_refused(level: Any) -> None:
    with pytest.raises(IpcArgumentError, match="level") as caught:
        enable_logging(level, io.StringIO())
    assert caught.value.field == "level"


def test_a_sink_that_is_none_is_refused() -> None:
    with pytest.raises(IpcArgumentError, match="sink") as caught:
        enable_logging("INFO", 17)
    assert caught.value.field == "sink"


_PROGRAM = """
import sys
from opencode_sync import IpcArgumentError, IpcConfig, enable_logging
{begin}
IpcConfig(4096, "short")
{end}
IpcConfig(4096, "short")
"""


@pytest.mark.parametrize(
    ("begin", "end", "out", "err"),
    [
        ("", "", 0, 0),
        ("end = enable_logging()", "end()", 0, 1),
        ("end = enable_logging('INFO', sys.stdout)", "end()", 1, 0),
        ("end = enable_logging('INFO', sys.stdout); enable_logging()", "end()", 1, 2),
        ("end = enable_logging('INFO', sys.stderr)", "end()", 0, 1),
        ("end = enable_logging('ERROR', sys.stderr)", "end()", 0, 0),
        # loguru's own way goes on as ever.
        ("import loguru; loguru.logger.enable('opencode_sync')", "", 0, 2),
        ("import loguru; enable_logging('INFO', sys.stdout)", "loguru.logger.remove(0)", 2, 0),
    ],
)
def test_each_message_is_shown_once_in_a_program_that_knows_nothing_of_loguru(
    begin: str, end: str, out: int, err: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(begin=begin, end=end)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("has only 5 characters") == out, done.stdout
    assert done.stderr.count("has only 5 characters") == err, done.stderr


def test_another_loguru_inside_costs_no_more_than_a_message_shown_twice(
    monkeypatch: pytest.MonkeyPatch, log: Callable[..., None]
) -> None:
    from opencode_sync import log_sinks

    class Changed:
        add, remove = logger.add, logger.remove

    monkeypatch.setattr(log_sinks, "logger", Changed)
    stream = io.StringIO()
    disable = enable_logging("INFO", stream)
    log("INFO", "told")
    disable()
    assert "told" in stream.getvalue()


# --- Secrets ---


@pytest.mark.parametrize("kind", ["text", "json", "logging"])
def test_no_sink_shows_a_secret_that_slipped_through(
    log: Callable[..., None],
    theirs: tuple[logging.Logger, Kept],
    kind: str,
    backend: ScriptedBackend,
) -> None:
    with backend.client():
        pass  # whose token is known from now on
    stream = io.StringIO()
    target, kept = theirs
    sink: Any = target if kind == "logging" else stream
    own = io.StringIO()
    of_program = logger.add(own, format="{message} {extra} {exception}", diagnose=False)
    disable = enable_logging("DEBUG", sink, json=kind == "json")
    log("ERROR", f"what is {TOKEN}?", ValueError(f"<{TOKEN}>"), token=TOKEN, key="sk-0123456789")
    disable()
    logger.remove(of_program)
    assert TOKEN not in own.getvalue()
    assert own.getvalue().count(HIDDEN) >= 4
    if kind == "logging":
        (record,) = kept.records
        text = f"{logging.Formatter().format(record)} {record.__dict__}"
    else:
        text = stream.getvalue()
    assert TOKEN not in text
    assert "sk-0123456789" not in text
    assert text.count(HIDDEN) >= 4


def test_a_clients_whole_life_is_told_with_fields(backend: ScriptedBackend) -> None:
    stream = io.StringIO()
    disable = enable_logging("DEBUG", stream, json=True)
    backend.rule("check_health", b.error(4, "no"))
    with backend.client() as client:
        assert client.health_check() is False
        with pytest.raises(IpcServerError):
            client.check_server_health()
    disable()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    states = [line["fields"]["state"] for line in lines if "state" in line["fields"]]
    assert states == [
        "connecting",
        "authenticating",
        "connected",
        "disconnecting",
        "disconnected",
    ]
    failed = [line for line in lines if line["fields"].get("operation")]
    assert [line["fields"] for line in failed] == [
        {"operation": "check_health", "request_id": number} for number in (2, 3)
    ]
    assert {line["level"] for line in failed} == {"INFO"}
    assert TOKEN not in stream.getvalue()

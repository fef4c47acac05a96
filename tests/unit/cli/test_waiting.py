"""Saying what is being waited for: on a terminal, and nowhere else."""

from __future__ import annotations

import io
import threading

import pytest

from opencode_sync.cli import waiting
from opencode_sync.cli.waiting import Status, waiting_for
from tests.support.backend import WAIT
from tests.support.leaks import eventually


class Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if "OpenCode" in text:
            self.shown.set()
        return written


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of standard error; in a fixture pytest would undo it."""
    made = Terminal()
    monkeypatch.setattr("sys.stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    return made


def test_on_a_terminal_it_is_shown_and_taken_away_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = a_terminal(monkeypatch)
    before = set(threading.enumerate())
    with waiting_for("Asking \x1b[31mOpenCode [b]now[/b]"):
        assert terminal.shown.wait(WAIT)
        assert "Asking \\x1b[31mOpenCode [b]now[/b]" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased
    assert eventually(lambda: set(threading.enumerate()) <= before, WAIT)


def test_an_error_inside_comes_out_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_terminal(monkeypatch)
    before = set(threading.enumerate())
    with pytest.raises(KeyError), waiting_for("something"):
        raise KeyError
    assert eventually(lambda: set(threading.enumerate()) <= before, WAIT)


def test_elsewhere_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with waiting_for("something"):
        pass
    assert stream.getvalue() == ""


def test_it_says_how_long_it_takes_already(monkeypatch: pytest.MonkeyPatch) -> None:
    line = waiting._Line("OpenCode")
    assert "s)" not in line.__rich__().plain
    now = waiting.time.monotonic()
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now + 75)
    assert line.__rich__().plain.endswith(" OpenCode (75 s)")


def test_what_is_waited_for_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with waiting_for("First") as status:
        status.show("First")
        status.show("OpenCode, then")
        assert terminal.shown.wait(WAIT)
        status.clear()
        status.clear()
        status.show("Last")
    shown = terminal.getvalue()
    assert shown.index("First") < shown.index("OpenCode, then") < shown.index("Last")


def test_a_status_that_was_never_shown_can_be_cleared() -> None:
    Status().clear()

"""Where the answer and all about it are shown."""

from __future__ import annotations

import pytest

from opencode_sync.cli.screen import Screen


def test_on_a_terminal_notes_do_not_run_into_the_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    screen = Screen()
    screen.text("Half")
    screen.note("a note")
    screen.text("a line\n")
    screen.note("another")
    screen.end_line()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("Half\na line\n", "a note\nanother\n")


def test_in_a_file_notes_do_not_break_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.text("Half")
    screen.note("a note \x1b[2J [b]no markup[/b] :smile:")
    screen.text(" done")
    screen.end_line()
    said = capsys.readouterr()
    assert said.out == "Half done\n"
    assert said.err == "a note \\x1b[2J [b]no markup[/b] :smile:\n"


def test_each_answer_is_shown_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.begin()
    screen.text("")
    assert not screen.wrote
    screen.text("x")
    assert screen.wrote
    screen.begin()
    assert not screen.wrote


def test_a_quiet_screen_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    screen.waiting("for it")
    screen.text("x")
    screen.note("x")
    screen.end_line()
    assert capsys.readouterr() == ("", "")


def test_nothing_is_waited_for_in_the_middle_of_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    shown: list[str] = []
    monkeypatch.setattr(screen._status, "show", shown.append)
    screen.waiting("first")
    screen.text("Half")
    screen.waiting("never")
    screen.end_line()
    screen.waiting("last")
    screen.clear()
    assert shown == ["first", "last"]

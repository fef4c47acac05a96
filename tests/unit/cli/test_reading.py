"""What is typed, piped or in a file."""

from __future__ import annotations

import builtins
import io
import sys
from pathlib import Path

import pytest

from opencode_sync.cli import reading
from opencode_sync.cli.errors import CommandError


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_pipe_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "\ufeffżółw\n".encode())
    assert not reading.is_interactive()
    assert reading.read_text("-", "prompt") == "żółw\n"


def test_a_standard_input_that_was_closed_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert not reading.is_interactive()
    with pytest.raises(CommandError, match="standard input cannot be read"):
        reading.read_text("-", "prompt")


def test_what_is_no_text_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"abc\xff")
    with pytest.raises(CommandError, match="not UTF-8 text: see its byte 3"):
        reading.read_text("-", "prompt")


def test_what_is_too_long_is_said_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_TEXT_BYTES", 4)
    path = tmp_path / "long"
    path.write_text("12345")
    with pytest.raises(CommandError, match="more than 4 bytes, which is no prompt"):
        reading.read_text(str(path), "prompt")


@pytest.mark.parametrize("on_terminal", [True, False])
def test_the_question_is_on_the_terminal_wherever_the_answer_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_terminal: bool
) -> None:
    prompts: list[tuple[object, ...]] = []

    def typed(*prompt: object) -> str:
        prompts.append(prompt)
        return "yes"

    monkeypatch.setattr(builtins, "input", typed)
    monkeypatch.setattr("sys.stdout.isatty", lambda: on_terminal)
    assert reading.read_line("Well? ") == "yes"
    said = capsys.readouterr()
    assert prompts == ([("Well? ",)] if on_terminal else [()])
    assert (said.out, said.err) == ("", "" if on_terminal else "Well? ")


def test_lines_can_be_read_where_none_can_be_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr(builtins, "input", lambda *prompt: "yes")
    assert reading.read_line("Well? ") == "yes"

"""What commands read: standard input, files, and lines that people type."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.operations import MAX_TEXT_BYTES
from opencode_sync.printable import printable

__all__ = ["STDIN", "is_interactive", "read_line", "read_text"]

STDIN = "-"


def read_text(source: str, what: str) -> str:
    """Return the whole of a file, or of standard input, as text.

    Args:
        source: The file's path, or ``"-"``.
        what: What it should be, for people: ``"configuration"``.

    Raises:
        CommandError: it cannot be read, is too long to be sent, or is not UTF-8.
    """
    name = "standard input" if source == STDIN else printable(source)
    try:
        if source == STDIN:
            data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_TEXT_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{name} cannot be read: {reason}", ExitCode.USAGE) from error
    if len(data) > MAX_TEXT_BYTES:
        raise CommandError(
            f"{name} has more than {MAX_TEXT_BYTES} bytes, which is no {what}", ExitCode.USAGE
        )
    try:
        # Editors on Windows put a mark in front that JSON, for one, does not have.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{name} is not UTF-8 text: see its byte {error.start}", ExitCode.USAGE
        ) from error


def is_interactive() -> bool:
    """Return whether somebody is there to answer questions."""
    return sys.stdin is not None and sys.stdin.isatty()


def read_line(prompt: str) -> str:
    """Return a line that somebody types.

    Raises:
        EOFError: there are no more, as after Ctrl-D.
        KeyboardInterrupt: Ctrl-C.
    """
    with contextlib.suppress(ImportError):  # not on Windows
        importlib.import_module("readline")  # once it is there, input() edits and remembers lines
    if sys.stdout.isatty():
        return input(prompt)
    # The answer may be on its way to a file; the question is for the terminal.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()

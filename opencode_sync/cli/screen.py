"""Where a chat shows itself: the answer on standard output, all about it on standard error."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from opencode_sync.cli.output import print_text
from opencode_sync.cli.waiting import Status
from opencode_sync.printable import printable

__all__ = ["Screen"]

_SHOWN_CHARACTERS = 300
"""Of a note."""


class Screen:
    """The answer goes to standard output, so that it can be redirected; the rest does not.

    Used by one thread.

    Args:
        quiet: Show nothing at all: what there is to say goes into a result for a program.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status = Status()
        self._line_open = False
        self.wrote = False
        """Whether any of the present answer was shown."""

    def begin(self) -> None:
        """A new answer begins."""
        self.wrote = False

    def waiting(self, what: str) -> None:
        """Say what is being waited for, unless the answer is just being written."""
        if not self._quiet and not self._line_open:
            self._status.show(what)

    def text(self, piece: str) -> None:
        """Show a piece of the answer."""
        if self._quiet or not piece:
            return
        self._status.clear()
        print_text(piece)
        self.wrote = True
        self._line_open = not piece.endswith("\n")

    def end_line(self) -> None:
        """End the line that the answer is on, if it is on one."""
        self._status.clear()
        if self._line_open:
            self._line_open = False
            print_text("\n")

    def note(self, line: str) -> None:
        """Say something about the answer, on a line of its own."""
        if self._quiet:
            return
        self._status.clear()
        if sys.stdout.isatty():
            # Both are on the same screen, very likely. In a file the answer stays unbroken.
            self.end_line()
        console = Console(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)
        console.print(Text(printable(line, _SHOWN_CHARACTERS), style="dim"))

    def clear(self) -> None:
        """Take away what says what is being waited for."""
        self._status.clear()

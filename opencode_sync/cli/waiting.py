"""Saying what is being waited for, and for how long, where that takes longer than a blink."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from opencode_sync.printable import printable

__all__ = ["Status", "waiting_for"]


class _Line:
    """A spinner, what is being waited for, and the seconds so far."""

    def __init__(self, what: str) -> None:
        self._what = printable(what)
        self._began = time.monotonic()
        self._spinner = Spinner("dots")

    def __rich__(self) -> Text:
        seconds = int(time.monotonic() - self._began)
        sign = self._spinner.render(time.monotonic())
        # Texts, not strings, which would be markup.
        return Text.assemble(
            sign if isinstance(sign, Text) else "",
            Text(f" {self._what}"),
            Text(f" ({seconds} s)" if seconds else "", style="dim"),
        )


class Status:
    """One line on standard error that says what is being waited for, and goes away again.

    Where standard error is no terminal nothing is shown, so that logs stay clean. Used by one
    thread.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._what = ""

    def show(self, what: str) -> None:
        """Say this from now on."""
        if not sys.stderr.isatty() or (self._live is not None and what == self._what):
            return
        self._what = what
        if self._live is not None:
            self._live.update(_Line(what))
            return
        console = Console(file=sys.stderr, highlight=False)
        self._live = Live(_Line(what), console=console, transient=True, redirect_stdout=False)
        self._live.start(refresh=True)

    def clear(self) -> None:
        """Say nothing any more; the line is free."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


@contextmanager
def waiting_for(what: str) -> Iterator[Status]:
    """Say what is being waited for while the block runs; the block may say something else."""
    status = Status()
    try:
        status.show(what)
        yield status
    finally:
        status.clear()

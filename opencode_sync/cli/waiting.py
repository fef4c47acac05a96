"""Saying what is being waited for, where that takes longer than a blink."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from opencode_sync.cli.text import printable

__all__ = ["waiting_for"]


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Show ``what`` on standard error while the block runs, if anyone is there to see it.

    It is gone when the block ends. Where standard error is no terminal nothing is shown, so that
    logs stay clean.
    """
    if not sys.stderr.isatty():
        yield
        return
    console = Console(file=sys.stderr, highlight=False)
    spinner = Spinner("dots", Text(printable(what)))  # a Text, not a str, which would be markup
    with Live(spinner, console=console, transient=True, redirect_stdout=False):
        yield

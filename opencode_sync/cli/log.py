"""The library's log on standard error, for ``--verbose``."""

from __future__ import annotations

import sys

import typer
from loguru import logger

from opencode_sync.logs import enable_logging

__all__ = ["log_to_stderr"]


def log_to_stderr(context: typer.Context) -> None:
    """Show the library's log, without the values of variables, until the context closes."""
    # loguru's own default sink would print the values of variables with every traceback, and one
    # of them may be the token. So it goes, and ours prints none.
    logger.remove()
    context.call_on_close(enable_logging("DEBUG", _write))


def _write(message: str) -> None:
    sys.stderr.write(message)

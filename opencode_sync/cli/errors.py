"""Exit codes, and how an error becomes one line on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from opencode_sync.errors import (
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    error_code_name,
)
from opencode_sync.printable import printable

__all__ = ["EXIT_CODES", "CommandError", "ExitCode", "exit_code_for", "report"]


class ExitCode(IntEnum):
    """What the program's exit code means; a part of the public interface, so never renumbered."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    CONNECTION = 4
    AUTHENTICATION = 5
    TIMEOUT = 6
    SERVER = 7
    PROTOCOL = 8
    NOT_FOUND = 9
    CANCELLED = 10
    INTERRUPTED = 130

    @property
    def kind(self) -> str:
        """The word that names it in JSON: ``"not_found"``."""
        return self.name.lower()


EXIT_CODES: Mapping[ExitCode, str] = {
    ExitCode.OK: "everything went well",
    ExitCode.FAILED: "unexpected error, or demo or doctor found something wrong",
    ExitCode.USAGE: "wrong use of the command line",
    ExitCode.CONFIGURATION: "a setting is missing or wrong",
    ExitCode.CONNECTION: "no connection to the backend",
    ExitCode.AUTHENTICATION: "the backend refused the token",
    ExitCode.TIMEOUT: "no answer in time",
    ExitCode.SERVER: "the backend answered with an error or is unhealthy, or the model failed",
    ExitCode.PROTOCOL: "the peer does not speak the protocol",
    ExitCode.NOT_FOUND: "no such session",
    ExitCode.CANCELLED: "the request was cancelled",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}
"""Every exit code with what it means; the help text shows this table."""

_BY_CLASS: tuple[tuple[type[IpcError], ExitCode], ...] = (
    (IpcArgumentError, ExitCode.USAGE),
    (IpcConfigError, ExitCode.CONFIGURATION),
    (IpcConnectionError, ExitCode.CONNECTION),
    (IpcAuthenticationError, ExitCode.AUTHENTICATION),
    (IpcTimeoutError, ExitCode.TIMEOUT),
    (IpcServerError, ExitCode.SERVER),
    (IpcPromptError, ExitCode.SERVER),
    (IpcProtocolError, ExitCode.PROTOCOL),
    (IpcCancelledError, ExitCode.CANCELLED),
    (IpcSlowConsumerError, ExitCode.FAILED),
)

_DETAILS = (
    "field",
    "source",
    "endpoint",
    "close_code",
    "operation",
    "timeout",
    "request_id",
    "request_sent",
)
"""The attributes of our errors that a program may want; none ever holds a secret."""


_REMEDIES: tuple[tuple[type[IpcError], str], ...] = (
    (IpcConnectionError, "is a gateway running? Start one with: opencode-sync gateway"),
    (IpcTimeoutError, "allow more with --timeout"),
)
"""What to do on the command line. The errors' own texts speak to whoever writes Python, and name
the remedy wherever it depends on more than the kind of error."""


class CommandError(Exception):
    """A command did not reach its goal, for a reason that is no ``IpcError``.

    Attributes:
        message: One sentence for people, with the remedy where there is one.
        exit_code: What the program exits with.
    """

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message, exit_code)
        self.message = message
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.message


def exit_code_for(error: BaseException) -> ExitCode:
    """Return the exit code for an error; ``FAILED`` for one that nobody foresaw."""
    if isinstance(error, CommandError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    for cls, code in _BY_CLASS:
        if isinstance(error, cls):
            return code
    return ExitCode.FAILED


def report(error: BaseException, *, as_json: bool = False) -> ExitCode:
    """Tell people, or a program, about an error on standard error, without a traceback.

    Args:
        error: What went wrong.
        as_json: Whether to write a JSON object instead of the line for people.

    Returns:
        The exit code that belongs to the error.
    """
    code = exit_code_for(error)
    message = _message(error)
    if as_json:
        details = {"kind": code.kind, "exit_code": int(code), "message": message}
        line = json.dumps({"error": details | _context(error)})
    else:
        line = printable(f"error: {message}")
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # Nobody can be told that nobody can be told. The exit code still says it.
        return code
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, CommandError):
        return error.message
    if isinstance(error, IpcError):
        return f"{error.message}{_remedy(error)}"
    text = str(error)
    name = type(error).__name__
    return (
        f"unexpected {name}{': ' if text else ''}{text} "
        "(repeat the command as: opencode-sync --verbose ..., which shows where)"
    )


def _remedy(error: IpcError) -> str:
    for cls, remedy in _REMEDIES:
        if isinstance(error, cls) and remedy.rpartition(": ")[2] not in error.message:
            return f" ({remedy})"
    return ""


def _context(error: BaseException) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if isinstance(error, IpcError):
        for name in _DETAILS:
            value = getattr(error, name, None)
            if value is not None:
                context[name] = value
    if isinstance(error, IpcServerError):
        context["code"] = error_code_name(error.code)
    if isinstance(error, IpcPromptError):
        context["failure"] = error.kind
        context["status"] = error.status
        context["retryable"] = error.retryable
    return context

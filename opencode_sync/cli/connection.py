"""The options of commands that connect, and how they become a client."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from opencode_sync import (
    DefaultConfigProvider,
    FileConfigProvider,
    IpcClient,
    IpcClientOptions,
)
from opencode_sync.cli.log import log_to_stderr

__all__ = ["AsJson", "ConfigFile", "Link", "State", "Timeout", "Verbose", "open_link", "state_of"]

_LONGEST_TIMEOUT = 86_400.0
"""Seconds. A day is more than anyone waits for, and far below what the system's waits can hold."""


def _checked_timeout(value: float | None) -> float | None:
    if value is None or (math.isfinite(value) and 0 < value <= _LONGEST_TIMEOUT):
        return value
    raise typer.BadParameter(
        f"{value} is not a number of seconds above 0 and up to {_LONGEST_TIMEOUT:.0f}; "
        "give one such as 5 or 0.5."
    )


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config-file",
        metavar="PATH",
        help="Read port and token from this JSON file, such as a gateway's runtime file. Without "
        "it: the variables OPENCODE_IPC_PORT and OPENCODE_IPC_TOKEN, then a running gateway. "
        "There is no option for the token itself: every user of the machine could read it in the "
        "list of processes.",
    ),
]

Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        callback=_checked_timeout,
        help="How long to wait for the connection, and for each answer. Without it: the client's "
        "own options (10 and 30 seconds, or the variables OPENCODE_SYNC_...).",
    ),
]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON for programs, errors on standard error included."),
]

# Every command takes it too, for who thinks of it last should not have to type the line anew.
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Show the library's log on standard error."),
]


@dataclass(frozen=True)
class Link:
    """A client that is not connected yet, and where it will connect to."""

    client: IpcClient
    endpoint: str


def open_link(config_file: Path | None, timeout: float | None) -> Link:
    """Make the client of a command. Does no network I/O.

    Args:
        config_file: JSON with port and token; None looks at the environment, then for a gateway.
        timeout: Seconds for the connection and for each answer; None keeps the client's options.

    Raises:
        IpcConfigError: where to connect is unknown or wrong.
    """
    provider = DefaultConfigProvider() if config_file is None else FileConfigProvider(config_file)
    config = provider.get_config()
    options = IpcClientOptions.from_environment()
    if timeout is not None:
        options = options.replace(
            connection_timeout=timeout,
            authentication_timeout=timeout,
            default_request_timeout=timeout,
        )
    # A command is over after one exchange: what is lost then is reported, not restored.
    return Link(IpcClient(config, options=options, reconnect=None), config.endpoint)


@dataclass
class State:
    """What the root command and the command below it share during one run."""

    as_json: bool = False
    """Whether output and errors are for a program."""

    verbose: bool = False
    """Whether the library's log and tracebacks go to standard error."""

    open_link: Callable[[Path | None, float | None], Link] = field(default=open_link)
    """How commands get their client; tests put their own here."""


def state_of(context: typer.Context, *, as_json: bool = False, verbose: bool = False) -> State:
    """Return the run's state, with the command's own options noted in it.

    Args:
        context: The command's; once it closes, the log is off again.
        as_json: Whether whoever reports an error later shall do it for a program.
        verbose: Whether to show the library's log; it goes on here, if it is not on yet.
    """
    state = context.ensure_object(State)
    state.as_json = state.as_json or as_json
    if verbose and not state.verbose:
        state.verbose = True
        log_to_stderr(context)
    return state

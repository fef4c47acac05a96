"""The options of commands that connect, and how they become a client."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_sync import (
    DefaultConfigProvider,
    EnvironmentConfigProvider,
    FileConfigProvider,
    IpcClient,
    IpcClientOptions,
)
from opencode_sync.cli.log import log_to_stderr
from opencode_sync.launching import launch
from opencode_sync.runtime_file import default_runtime_file, gateway_behind

if TYPE_CHECKING:
    from opencode_sync.cli.checks import Check

__all__ = [
    "AsJson",
    "ConfigFile",
    "Directory",
    "Link",
    "State",
    "Timeout",
    "Verbose",
    "is_backend_there",
    "open_link",
    "options_for",
    "state_of",
]

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

Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        exists=True,
        file_okay=False,
        resolve_path=True,
        help="The project that it is about. Without it: the gateway's own.",
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


def open_link(
    config_file: Path | None, timeout: float | None, directory: Path | None = None
) -> Link:
    """Make the client of a command. Does no network I/O.

    Args:
        config_file: JSON with port and token; None looks at the environment, then for a gateway.
        timeout: Seconds for the connection and for each answer; None keeps the client's options.
        directory: The project that calls are about; None leaves it to the gateway.

    Raises:
        IpcConfigError: where to connect is unknown or wrong.
    """
    provider = DefaultConfigProvider() if config_file is None else FileConfigProvider(config_file)
    config = provider.get_config()
    # A command is over after one exchange: what is lost then is reported, not restored.
    client = IpcClient(config, options=options_for(timeout), reconnect=None, directory=directory)
    return Link(client, config.endpoint)


def options_for(timeout: float | None) -> IpcClientOptions:
    """Return the client's options from the environment, with this time-out if there is one."""
    options = IpcClientOptions.from_environment()
    if timeout is None:
        return options
    return options.replace(
        connection_timeout=timeout,
        authentication_timeout=timeout,
        default_request_timeout=timeout,
        default_prompt_timeout=timeout,
    )


def is_backend_there(config_file: Path | None) -> bool:
    """Return whether somebody said where to connect, or a gateway of this user answers."""
    if config_file is not None or EnvironmentConfigProvider().is_set():
        return True
    return gateway_behind(default_runtime_file()) is not None


@dataclass
class State:
    """What the root command and the command below it share during one run."""

    as_json: bool = False
    """Whether output and errors are for a program."""

    verbose: bool = False
    """Whether the library's log, and the traceback of what nobody foresaw, go to standard error."""

    # Tests put their own in the place of these four.
    open_link: Callable[..., Link] = field(default=open_link)
    """How commands get their client."""

    is_backend_there: Callable[[Path | None], bool] = field(default=is_backend_there)
    """Whether there is anything to connect to."""

    launch: Callable[..., AbstractContextManager[IpcClient]] = field(default=launch)
    """How a command gets a client where there is nothing to connect to."""

    checks: Sequence[Check] | None = None
    """What the doctor looks at; None for all that there is."""


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

"""``opencode-sync gateway``: serve the protocol until told to stop."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_sync.cli.connection import Verbose, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import print_line
from opencode_sync.extras import needs_opentelemetry

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from opencode_sync.gateway.serve import StopRequest

__all__ = ["BackendKind", "gateway"]

_LOWEST_PORT = 1024


class BackendKind(StrEnum):
    """What keeps the sessions."""

    AUTO = "auto"
    OPENCODE = "opencode"
    EMBEDDED = "embedded"


def _checked_port(value: int) -> int:
    if value and value < _LOWEST_PORT:
        raise typer.BadParameter(
            f"{value} is reserved for the system; give {_LOWEST_PORT} to 65535, or 0 for any free."
        )
    return value


def gateway(
    context: typer.Context,
    backend: Annotated[
        BackendKind,
        typer.Option(
            help="What keeps the sessions: a real OpenCode server, the embedded store (which has "
            "no model), or auto: OpenCode if it can be found or started, else the store."
        ),
    ] = BackendKind.AUTO,
    opencode_url: Annotated[
        str | None,
        typer.Option(
            "--opencode-url",
            metavar="URL",
            help="A running OpenCode server. Its password is read from the variable "
            "OPENCODE_SERVER_PASSWORD, never from the command line.",
        ),
    ] = None,
    discover: Annotated[
        bool, typer.Option("--discover", help="Find a running OpenCode server on this machine.")
    ] = False,
    spawn: Annotated[
        bool,
        typer.Option("--spawn", help="Start an OpenCode server, and stop it with the gateway."),
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="The project that OpenCode works on. Without it: the current folder.",
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=65535,
            callback=_checked_port,
            help="Where to listen on 127.0.0.1; 0 takes any free port.",
        ),
    ] = 0,
    database: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="The embedded store's file. Without it: one in your own data folder.",
        ),
    ] = None,
    runtime_file: Annotated[
        Path | None,
        typer.Option(
            "--runtime-file",
            metavar="FILE",
            help="Where clients on this machine find port and token; readable by you alone, "
            "removed at the end. Without it: one in your own runtime folder, where clients look.",
        ),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Report each request, and each call to OpenCode that it takes, to OpenTelemetry. "
            "It takes opentelemetry-distro and an exporter; start it as: "
            "opentelemetry-instrument -- opencode-sync gateway --trace",
        ),
    ] = False,
    until_stdin_ends: Annotated[
        bool,
        # For a program that starts a gateway for itself: the system closes the pipe between them
        # even if that program is killed, so the gateway never outlives it.
        typer.Option("--until-stdin-ends", hidden=True),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Serve the protocol on 127.0.0.1 until Ctrl-C or SIGTERM."""
    state_of(context, verbose=verbose)
    _check_combination(backend, opencode_url, discover=discover, spawn=spawn, database=database)
    # Only this command needs the gateway, whose packages are an extra of their own.
    from opencode_sync.gateway import BackendError, Gateway, GatewayError
    from opencode_sync.gateway.serve import StopRequest, choose_backend, run
    from opencode_sync.runtime_file import default_runtime_file

    tracer_provider = _tracer_provider() if trace else None
    try:
        chosen = choose_backend(
            backend.value,
            url=opencode_url,
            discover=discover,
            spawn=spawn,
            directory=directory,
            database=database,
            announce=_announce,
        )
        # The gateway closes its backend, if it comes that far.
        with contextlib.closing(chosen):
            served = Gateway(
                chosen,
                port=port,
                runtime_file=runtime_file or default_runtime_file(),
                tracer_provider=tracer_provider,
            )
            stop = StopRequest()
            if until_stdin_ends:
                _stop_when_stdin_ends(stop)
            code = run(served, announce=_announce, stop=stop)
    except BackendError as error:
        raise CommandError(str(error), ExitCode.SERVER) from error
    except GatewayError as error:
        # A port that is taken, or a package that is not installed.
        raise CommandError(error.message, ExitCode.CONFIGURATION) from error
    if code:
        raise typer.Exit(code)


def _check_combination(
    backend: BackendKind,
    opencode_url: str | None,
    *,
    discover: bool,
    spawn: bool,
    database: Path | None,
) -> None:
    given = [
        name
        for name, is_given in (
            ("--opencode-url", opencode_url is not None),
            ("--discover", discover),
            ("--spawn", spawn),
        )
        if is_given
    ]
    if backend is BackendKind.EMBEDDED and given:
        raise typer.BadParameter(
            f"{given[0]} is for a real OpenCode and cannot go with --backend embedded; leave one "
            "of them out."
        )
    if opencode_url is not None and len(given) > 1:
        raise typer.BadParameter(
            f"--opencode-url says which server to use, so {given[1]} cannot go with it; leave one "
            "of them out."
        )
    if backend is BackendKind.OPENCODE and database is not None:
        raise typer.BadParameter(
            "--database is the embedded store's file and cannot go with --backend opencode; leave "
            "one of them out."
        )


def _tracer_provider() -> TracerProvider:
    """Return the provider that whoever started this process has set up."""
    with needs_opentelemetry("--trace"):
        from opentelemetry import trace
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # which stands for none
        raise CommandError(
            "--trace reports to OpenTelemetry, and nothing is set up to take spans; run: pip "
            "install opentelemetry-distro opentelemetry-exporter-otlp, and start it as: "
            "opentelemetry-instrument -- opencode-sync gateway --trace",
            ExitCode.CONFIGURATION,
        )
    return provider


def _announce(text: str) -> None:
    # A gateway whose first line was read by `head -1`, or went to a full disk, still has clients to
    # serve.
    with contextlib.suppress(BrokenPipeError, CommandError):
        print_line(text)


def _stop_when_stdin_ends(stop: StopRequest) -> None:
    descriptor = sys.stdin.fileno()

    def read_to_the_end() -> None:
        # Past sys.stdin, whose lock must not be held by a thread when the interpreter ends.
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass
        stop.send("standard input ended")

    # It waits in a read that nothing but the other side can end, so it ends with the process.
    threading.Thread(target=read_to_the_end, name="opencode-sync-stdin", daemon=True).start()

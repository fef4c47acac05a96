"""The root command: its options, its sub-commands, and where every error ends."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup
from typer.main import get_command

from opencode_sync import __version__
from opencode_sync.cli import (
    agents,
    auth,
    chat,
    config,
    demo,
    doctor,
    events,
    gateway,
    gui,
    health,
    models,
    providers,
    session,
    sessions,
)
from opencode_sync.cli.connection import State, Verbose, state_of
from opencode_sync.cli.errors import EXIT_CODES, CommandError, ExitCode, exit_code_for, report
from opencode_sync.cli.output import unwritable

__all__ = ["app", "run"]

_PROGRAM = "opencode-sync"
_SIGNALLED = 128
"""Exit codes above it are 128 plus the signal's number, as in a shell."""

# The base of everything that typer raises about wrong use. Where it lives has changed between
# releases (typer brought click along, then took it in); that BadParameter is one has not.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


class _Root(TyperGroup):
    """The root command, which turns every error into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command; whatever it raises ends here, except typer's own signals."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, _UsageError):
            raise
        except BrokenPipeError:
            # The reader of our output has what it wanted (`| head`): that is no error.
            raise typer.Exit(ExitCode.OK) from None
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - nothing may end in a traceback
            state = ctx.ensure_object(State)
            # What is foreseen says itself what is wrong, and the log what came before.
            if state.verbose and exit_code_for(error) is ExitCode.FAILED:
                with contextlib.suppress(OSError):  # as report() does, which follows
                    traceback.print_exception(error)
            raise typer.Exit(report(error, as_json=state.as_json)) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run with these arguments; wrong use becomes one line too."""
        arguments = sys.argv[1:] if args is None else list(args)
        try:
            result = super().main(
                arguments, prog_name, complete_var, False, windows_expand_args, **extra
            )
            code = result if isinstance(result, int) else ExitCode.OK
        except _UsageError as error:
            code = report(_usage(error), as_json="--json" in arguments)
        except typer.Abort:
            code = report(KeyboardInterrupt())
        except OSError as error:
            # A help text that could not be written, to a full disk for instance.
            code = report(unwritable(error), as_json="--json" in arguments)
        if standalone_mode:
            sys.exit(code)
        return code


def _usage(error: Any) -> CommandError:
    command = error.ctx.command_path if error.ctx is not None else _PROGRAM
    sentence = str(error.format_message()).strip()
    return CommandError(f"{sentence} (see: {command} --help)", ExitCode.USAGE)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"{_PROGRAM} {__version__}")
    raise typer.Exit


def _show_help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def _root(
    context: typer.Context,
    verbose: Verbose = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Drive OpenCode from the command line: see that it works, serve it, look at what it has.

    New here? Run: opencode-sync demo. Something does not work? Run: opencode-sync doctor
    """
    _show_help_without_command(context)
    state_of(context, verbose=verbose)


def _epilog() -> str:
    codes = "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    return f"Exit codes: {codes}."


def _sessions(context: typer.Context, verbose: Verbose = False) -> None:
    """List, create, change and delete sessions."""
    _show_help_without_command(context)
    state_of(context, verbose=verbose)


def _config(context: typer.Context) -> None:
    """Show and replace the configuration of the backend's own application."""
    _show_help_without_command(context)


def _auth(context: typer.Context) -> None:
    """Give OpenCode the API keys of model providers, and see which it has."""
    _show_help_without_command(context)


app = typer.Typer(
    name=_PROGRAM,
    cls=_Root,
    callback=_root,
    invoke_without_command=True,
    epilog=_epilog(),
    add_completion=False,
    # Its tracebacks show the values of local variables, a token among them.
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("gateway")(gateway.gateway)
app.command("health")(health.health)
app.command("doctor")(doctor.doctor)
app.command("chat")(chat.chat)
app.command("gui")(gui.gui)
app.command("events")(events.events)

_sessions_app = typer.Typer(callback=_sessions, invoke_without_command=True)
_sessions_app.command("list")(sessions.list_all)
_sessions_app.command("create")(sessions.create)
_sessions_app.command("get")(session.get)
_sessions_app.command("rename")(session.rename)
_sessions_app.command("archive")(session.archive)
_sessions_app.command("messages")(session.messages)
_sessions_app.command("abort")(session.abort)
_sessions_app.command("delete")(sessions.delete)
app.add_typer(_sessions_app, name="sessions")

app.command("agents")(agents.agents)
app.command("providers")(providers.providers)
app.command("models")(models.models)

_config_app = typer.Typer(callback=_config, invoke_without_command=True)
_config_app.command("get")(config.show)
_config_app.command("set")(config.replace)
app.add_typer(_config_app, name="config")

_auth_app = typer.Typer(callback=_auth, invoke_without_command=True)
_auth_app.command("sync")(auth.sync)
_auth_app.command("status")(auth.status)
app.add_typer(_auth_app, name="auth")


def run(argv: Sequence[str] | None = None) -> int:
    """Run the program on this process's own streams and return its exit code."""
    with _usable_streams():
        try:
            code = get_command(app).main(argv, prog_name=_PROGRAM, standalone_mode=False)
        except SystemExit as ended:
            # A signal ended the demo, whose code says so. Or typer did, with 1, because the reader
            # of a help text went away, which is no error.
            signalled = isinstance(ended.code, int) and ended.code > _SIGNALLED
            code = ended.code if signalled else ExitCode.OK
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                _discard(stream)
    return int(code)


@contextlib.contextmanager
def _usable_streams() -> Iterator[None]:
    """Make sure that there are a standard output and a standard error, which take any text."""
    with contextlib.ExitStack() as replaced:
        # Python has None for one that was closed before the start, as by `>&-` in a shell.
        if sys.stdout is None:
            nowhere = replaced.enter_context(open(os.devnull, "w", encoding="utf-8"))
            replaced.enter_context(contextlib.redirect_stdout(nowhere))
        if sys.stderr is None:
            nowhere = replaced.enter_context(open(os.devnull, "w", encoding="utf-8"))
            replaced.enter_context(contextlib.redirect_stderr(nowhere))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that cannot show a title's emoji is no reason to fail.
                stream.reconfigure(errors="backslashreplace")
        yield


def _discard(stream: TextIO) -> None:
    # What cannot be written must not be tried again when the interpreter flushes at its end, for
    # that would print a complaint, and change the exit code.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)

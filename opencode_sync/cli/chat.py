"""``opencode-sync chat``: ask the model, and see it answer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from opencode_sync.cli.answering import Prompting, answer, answer_record, summary
from opencode_sync.cli.connection import (
    AsJson,
    ConfigFile,
    State,
    Timeout,
    Verbose,
    options_for,
    state_of,
)
from opencode_sync.cli.errors import CommandError, ExitCode, report
from opencode_sync.cli.output import newest_first, print_json, updated_text
from opencode_sync.cli.reading import STDIN, is_interactive, read_line, read_text
from opencode_sync.cli.screen import Screen
from opencode_sync.cli.session import looked_up
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.errors import (
    IpcArgumentError,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
)
from opencode_sync.printable import printable

if TYPE_CHECKING:
    from opencode_sync import IpcClient
    from opencode_sync.types import OcSessionInfo
    from opencode_sync.wire.ext_operations_pb2 import IpcBackendInfo

__all__ = ["Permission", "chat"]

_OFFERED: Final = 5
"""How many sessions there are to choose from."""

_SHOWN_CHARACTERS: Final = 60

_STORE: Final = "embedded"
"""What a gateway calls its own store, which keeps sessions and has no model."""


class Permission(StrEnum):
    """What becomes of permission questions where nobody is asked."""

    REJECT = "reject"
    ONCE = "once"
    ALWAYS = "always"


def chat(
    context: typer.Context,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROMPT]",
            help="Ask this and end; - reads it from standard input, as does a pipe. Without it: "
            "a conversation.",
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Go on with this session.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a session, without asking which to go on with.")
    ] = False,
    title: Annotated[
        str | None, typer.Option("--title", help="Begin a session of this title.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PROVIDER/MODEL",
            help="As `opencode-sync models` lists them. Without it: the session's last one, or "
            "OpenCode's default.",
        ),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="As `opencode-sync agents` lists them.")
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            metavar="DIR",
            exists=True,
            file_okay=False,
            resolve_path=True,
            help="The project. Without it: the running gateway's own, or, where none runs, the "
            "current folder.",
        ),
    ] = None,
    permission: Annotated[
        Permission | None,
        typer.Option(
            "--permission",
            help="What to reply when a tool asks for permission. Without it: on a terminal you "
            "are asked, elsewhere it is rejected.",
        ),
    ] = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Ask the model and see it answer, once or in a conversation.

    Uses a running gateway that has a model, or else OpenCode itself, which is started if need be.
    Ctrl-C aborts an answer; Ctrl-D, or Ctrl-C once more, ends the conversation. The answer goes to
    standard output, all else to standard error.
    """
    state = state_of(context, as_json=as_json, verbose=verbose)
    if session is not None and (new or title is not None):
        raise typer.BadParameter(
            "--session goes on with a session, --new and --title begin one; leave one of them out."
        )
    text = _prompt(prompt, as_json=as_json)
    somebody = is_interactive() and prompt != STDIN and not as_json
    screen = Screen(quiet=as_json)
    with _connected(state, screen, config_file, timeout, directory) as client:
        chosen = _session(
            client, session, title=title, ask=text is None and not new and title is None
        )
        how = Prompting(
            client=client,
            session_id=chosen.id,
            model=model,
            agent=agent,
            permission=permission.value if permission else "ask" if somebody else "reject",
            asks=somebody,
            timeout=timeout,
        )
        if text is None:
            screen.note(f"{_described(chosen)} in {printable(chosen.directory)}. Ctrl-D ends it.")
            _converse(how, screen)
            return
        answered = answer(how, text, screen)
        if as_json:
            print_json(answer_record(answered))
        else:
            screen.note(f"({summary(answered)}; session {how.session_id})")


def _prompt(prompt: str | None, *, as_json: bool) -> str | None:
    """Return the one thing to ask; None for a conversation."""
    if prompt is None and is_interactive():
        if as_json:
            raise typer.BadParameter("--json is for one answer; give the PROMPT, too.")
        return None
    text = read_text(STDIN, "prompt") if prompt in (None, STDIN) else prompt
    assert text is not None
    if not text.strip():
        raise CommandError("the prompt is blank; say what to ask", ExitCode.USAGE)
    return text


@contextlib.contextmanager
def _connected(
    state: State,
    screen: Screen,
    config_file: Path | None,
    timeout: float | None,
    directory: Path | None,
) -> Iterator[IpcClient]:
    with contextlib.ExitStack() as stack:
        client: IpcClient | None = None
        info: IpcBackendInfo | None = None
        if state.is_backend_there(config_file):
            with waiting_for("Connecting to the gateway"):
                link = state.open_link(config_file, timeout, directory)
                client = stack.enter_context(link.client)
                info = _backend_info(client)
            if info is not None and info.backend == _STORE:
                client = None
                stack.close()
                screen.note("The running gateway has no model, so OpenCode is used without it.")
        if client is None:
            folder = directory or Path.cwd()
            with waiting_for(f"Finding or starting OpenCode in {folder}"):
                client = stack.enter_context(state.launch(folder, options=options_for(timeout)))
                info = _backend_info(client)
        if info is not None and info.description and (state.verbose or sys.stderr.isatty()):
            screen.note(f"This is {info.description}.")
        yield client


def _backend_info(client: IpcClient) -> IpcBackendInfo | None:
    """Return what serves this client; None where it does not say."""
    try:
        return client.get_backend_info()
    except IpcServerError:
        # It serves all the same. What is wrong with it, if anything, the next call tells.
        return None


# Which session


def _session(
    client: IpcClient, session_id: str | None, *, title: str | None, ask: bool
) -> OcSessionInfo:
    if session_id is not None:
        with waiting_for("Looking for the session"), looked_up(session_id):
            return client.get_session(session_id)
    if ask:
        with waiting_for("Asking for the sessions"):
            listed = newest_first(client.list_sessions())
        picked = _pick([each for each in listed if _is_offered(each)][:_OFFERED])
        if picked is not None:
            return picked
    with waiting_for("Creating a session"):
        return client.create_session(title)


def _is_offered(session: OcSessionInfo) -> bool:
    # Those of subagents are not for people, and archived ones are out of sight on purpose.
    return not session.HasField("parent_id") and not session.time.HasField("archived")


def _pick(sessions: list[OcSessionInfo]) -> OcSessionInfo | None:
    """Return the session that somebody chooses; None for a new one."""
    if not sessions:
        return None
    screen = Screen()
    for number, each in enumerate(sessions, start=1):
        screen.note(f"  {number}  {_described(each)}, {updated_text(each.time.updated)}")
    while True:
        try:
            reply = read_line("Number of the session to go on with, or Enter for a new one: ")
        except EOFError:
            raise CommandError("no session was chosen", ExitCode.INTERRUPTED) from None
        reply = reply.strip()
        if not reply:
            return None
        if reply.isdecimal() and 1 <= int(reply) <= len(sessions):
            return sessions[int(reply) - 1]


def _described(session: OcSessionInfo) -> str:
    return f'"{printable(session.title, _SHOWN_CHARACTERS)}" ({session.id})'


# A conversation


def _converse(how: Prompting, screen: Screen) -> None:
    """Ask and answer until whoever sits there has enough.

    Raises:
        typer.Exit: that was said by Ctrl-C.
    """
    interrupted = False
    while True:
        try:
            text = read_line("> ")
        except EOFError:
            screen.note("")
            return
        except KeyboardInterrupt:
            if interrupted:
                screen.note("")
                raise typer.Exit(ExitCode.INTERRUPTED) from None
            interrupted = True
            screen.note("")  # ends the line that was being typed
            screen.note("Ctrl-C once more, or Ctrl-D, ends the conversation.")
            continue
        if not text.strip():
            continue
        interrupted = False
        try:
            screen.note(f"({summary(answer(how, text, screen))})")
        except KeyboardInterrupt:
            # The first of two, if another follows at once.
            interrupted = True
            screen.note("(aborted)")
        except (IpcArgumentError, IpcPromptError, IpcServerError, IpcTimeoutError) as error:
            screen.end_line()
            report(error)

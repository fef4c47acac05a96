"""``opencode-sync sessions get|rename|archive|messages|abort``: one session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, Verbose, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import (
    optional_time,
    print_json,
    print_line,
    print_text,
    session_record,
    updated_text,
)
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.errors import IpcServerError
from opencode_sync.messages import (
    is_assistant,
    message_cost,
    message_error,
    message_text,
    message_tokens,
    tool_calls,
)
from opencode_sync.printable import printable

if TYPE_CHECKING:
    from opencode_sync.types import OcMessage, OcSessionInfo

__all__ = ["abort", "archive", "get", "looked_up", "messages", "rename"]

_SHOWN_CHARACTERS: Final = 80
_REFUSED: Final = "INVALID_MESSAGE"

SessionId = Annotated[str, typer.Argument(metavar="ID", help="The session, by its id.")]


@contextlib.contextmanager
def looked_up(session_id: str) -> Iterator[None]:
    """Turn the refusal of a request that is about nothing but a session into "no such session"."""
    try:
        yield
    except IpcServerError as error:
        if error.code_name != _REFUSED:
            raise
        shown = printable(session_id, _SHOWN_CHARACTERS)
        raise CommandError(
            f"no such session: {shown} (opencode-sync sessions list shows those there are)",
            ExitCode.NOT_FOUND,
        ) from error


def get(
    context: typer.Context,
    session_id: SessionId,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Show a session."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Asking for the session"), looked_up(session_id):
        session = client.get_session(session_id)
    _print(session, as_json=as_json)


def rename(
    context: typer.Context,
    session_id: SessionId,
    title: Annotated[str, typer.Argument(help="The new title.")],
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Give a session another title."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Changing the session"), looked_up(session_id):
        session = client.update_session(session_id, title=title)
    _print(session, as_json=as_json)


def archive(
    context: typer.Context,
    session_id: SessionId,
    undo: Annotated[bool, typer.Option("--undo", help="Take it out of the archive.")] = False,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Put a session into the archive, where OpenCode's own lists leave it out."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Changing the session"), looked_up(session_id):
        session = client.update_session(session_id, archived=not undo)
    _print(session, as_json=as_json)


def abort(
    context: typer.Context,
    session_id: SessionId,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Abort whatever runs in a session."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Aborting what runs"), looked_up(session_id):
        idle = client.abort_session(session_id)
    if as_json:
        print_json({"id": session_id, "idle": idle})
    elif idle:
        print_line("nothing runs in it any more")
    if not idle:
        raise CommandError("something still runs in the session; try again", ExitCode.SERVER)


def messages(
    context: typer.Context,
    session_id: SessionId,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only the newest so many.")
    ] = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Print the messages of a session, the oldest first."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Reading the messages"), looked_up(session_id):
        listed = client.list_messages(session_id, limit=limit)
    if as_json:
        print_json([_record(message) for message in listed])
        return
    for message in listed:
        _print_message(message)
    if not listed:
        print_line("No messages yet.")


def _print(session: OcSessionInfo, *, as_json: bool) -> None:
    record = session_record(session)
    if as_json:
        print_json(record)
        return
    now = datetime.now(UTC)
    shown = record | {
        "created": updated_text(session.time.created, now=now),
        "updated": updated_text(session.time.updated, now=now),
        "archived": updated_text(session.time.archived, now=now)
        if session.time.HasField("archived")
        else None,
    }
    for name, value in shown.items():
        if value not in (None, ""):
            print_line(f"{name + ':':12} {printable(_one(value), _SHOWN_CHARACTERS * 2)}")


def _one(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return str(value)


def _print_message(message: OcMessage) -> None:
    made = message.assistant if is_assistant(message) else message.user
    who = "model" if is_assistant(message) else "you"
    print_line(f"--- {who}, {updated_text(made.created)}")
    for call in tool_calls(message):
        print_line(f"* {printable(call.name, 40)}: {printable(call.title or call.status, 120)}")
    text = message_text(message)
    if text:
        print_text(text if text.endswith("\n") else f"{text}\n")
    error = message_error(message)
    if error is not None:
        print_line(f"! {error}")


def _record(message: OcMessage) -> dict[str, Any]:
    made = message.assistant if is_assistant(message) else message.user
    tokens = message_tokens(message)
    return {
        "id": made.id,
        "role": "assistant" if is_assistant(message) else "user",
        "created": optional_time(made.created),
        "text": message_text(message),
        "tool_calls": [
            {"name": call.name, "status": call.status, "input": call.input, "title": call.title}
            for call in tool_calls(message)
        ],
        "model": f"{made.model.provider_id}/{made.model.model_id}",
        "cost": message_cost(message),
        "tokens": tokens.total,
        "error": message_error(message),
    }

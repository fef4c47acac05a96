"""``opencode-sync sessions``: list, create and delete sessions."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, Verbose, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import (
    newest_first,
    print_json,
    print_line,
    print_table,
    session_record,
    sessions_table,
)
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.printable import printable

__all__ = ["create", "delete", "list_all"]

_SHOWN_CHARACTERS = 80
"""Of a title or an id, in a sentence."""


def list_all(
    context: typer.Context,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """List all sessions, the most recently updated first."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Asking for the sessions"):
        sessions = newest_first(client.list_sessions())
    if as_json:
        print_json([session_record(session) for session in sessions])
    elif sessions:
        print_table(sessions_table(sessions))
    else:
        print_line("No sessions yet. Create one with: opencode-sync sessions create")


def create(
    context: typer.Context,
    title: Annotated[
        str | None, typer.Argument(help="The new session's title; without it the backend's own.")
    ] = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Create a session and print a line with its id and title (with --json, all there is)."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Creating a session"):
        session = client.create_session(title)
    if as_json:
        print_json(session_record(session))
    else:
        print_line(f"created {session.id}  {printable(session.title, _SHOWN_CHARACTERS)}")


def delete(
    context: typer.Context,
    session_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="The sessions to delete, by their ids.")
    ],
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Delete sessions, one or several; all that exist are deleted, even if others do not."""
    state = state_of(context, as_json=as_json, verbose=verbose)
    wanted = list(dict.fromkeys(session_ids))  # an id given twice is one session
    deleted: dict[str, bool] = {}
    try:
        client = state.open_link(config_file, timeout).client
        with client, waiting_for("Deleting") as status:
            for number, session_id in enumerate(wanted, start=1):
                status.show(f"Deleting session {number} of {len(wanted)}")
                deleted[session_id] = client.delete_session(session_id)
    finally:
        # What is gone is gone: it is told even when a later id failed. And it is told only now, so
        # that a reader who went away can neither stop the work halfway nor hide how it ended.
        with contextlib.suppress(BrokenPipeError):
            _print_deleted(deleted, as_json=as_json)
    missing = [session_id for session_id, was_there in deleted.items() if not was_there]
    if missing:
        names = ", ".join(printable(session_id, _SHOWN_CHARACTERS) for session_id in missing)
        raise CommandError(
            f"no such session: {names} (opencode-sync sessions list shows those there are)",
            ExitCode.NOT_FOUND,
        )


def _print_deleted(deleted: dict[str, bool], *, as_json: bool) -> None:
    if as_json and deleted:
        print_json([{"id": name, "deleted": was_there} for name, was_there in deleted.items()])
    if as_json:
        return
    for session_id, was_there in deleted.items():
        if was_there:
            print_line(f"deleted {session_id}")

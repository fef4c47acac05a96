"""``opencode-sync events``: what OpenCode, or the gateway's own store, does, as it happens."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Directory, Timeout, Verbose, state_of
from opencode_sync.cli.output import print_json_line, print_line
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.errors import IpcSlowConsumerError
from opencode_sync.messages import event_properties
from opencode_sync.printable import printable

if TYPE_CHECKING:
    from opencode_sync import EventStream
    from opencode_sync.types import IpcEvent

__all__ = ["events"]

_SHOWN_CHARACTERS: Final = 120
_NO_NEWS: Final = frozenset({"sessionID"})
"""Properties that have a column of their own."""


def events(
    context: typer.Context,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="NAME",
            help='Only events of this name, such as session.updated or "message.*"; may be given '
            "several times.",
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Only those of this session."),
    ] = None,
    current: Annotated[
        bool,
        typer.Option(
            "--current",
            help="Begin with what is so now: the sessions at work, and the questions that wait for "
            "an answer.",
        ),
    ] = False,
    directory: Directory = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Print events until Ctrl-C, one a line; with --json each line is an object.

    They are OpenCode's, or those of the gateway's own store. What was read and not heard, at the
    beginning or after an outage, is marked. The exit code is 0 after Ctrl-C; if the connection is
    lost it says so.
    """
    state = state_of(context, as_json=as_json, verbose=verbose)
    client = state.open_link(config_file, timeout, directory).client
    with client:
        with waiting_for("Subscribing to events"):
            stream = client.events(types=types or (), session_id=session, current=current)
        with stream:
            try:
                if sys.stderr.isatty():
                    sys.stderr.write("Listening; Ctrl-C ends.\n")
                _print_all(stream, as_json=as_json)
            except KeyboardInterrupt:
                # What everybody ends it with is no failure.
                raise typer.Exit from None


def _print_all(stream: EventStream, *, as_json: bool) -> None:
    while True:
        try:
            event = next(stream)
        except StopIteration:
            return
        except IpcSlowConsumerError as error:
            if as_json:
                print_json_line({"missed": error.missed})
            else:
                print_line(f"({error.missed} events came too fast and are missing here)")
            continue
        if as_json:
            print_json_line(_record(event))
        else:
            replayed = " (read)" if event.replayed else ""
            print_line(
                f"{datetime.now():%H:%M:%S}  {printable(event.type, 40):24}  "
                f"{printable(event.session_id, 60) or '-'}  {_details(event)}{replayed}"
            )


def _record(event: IpcEvent) -> dict[str, Any]:
    return {
        "type": event.type,
        "directory": event.directory or None,
        "session_id": event.session_id or None,
        "id": event.id or None,
        "replayed": event.replayed,
        "properties": event_properties(event),
    }


def _details(event: IpcEvent) -> str:
    """Return what there is to know about an event, shortly."""
    if event.WhichOneof("detail") == "delta":
        return printable(json.dumps(event.delta.text, ensure_ascii=False), _SHOWN_CHARACTERS)
    properties = event_properties(event)
    news = {name: value for name, value in properties.items() if name not in _NO_NEWS}
    if not news:
        return ""
    return printable(json.dumps(news, ensure_ascii=False), _SHOWN_CHARACTERS)

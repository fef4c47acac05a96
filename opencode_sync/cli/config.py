"""``opencode-sync config``: the configuration of the backend's own application."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import print_json, print_line
from opencode_sync.cli.reading import read_text
from opencode_sync.cli.waiting import waiting_for

__all__ = ["replace", "show"]


def show(
    context: typer.Context,
    models: Annotated[
        bool,
        typer.Option("--models", help="Show the document of providers and models instead."),
    ] = False,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Print the application's configuration, which is JSON, fit for ``config set``."""
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Reading the configuration"):
        answer = client.get_config()
    print_json(_parsed(answer.models_config_json if models else answer.app_config_json))


def _parsed(document: str) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"the backend's configuration is not JSON: {error}", ExitCode.PROTOCOL
        ) from error


def replace(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-", help="A file with the new document, or - for standard input."
        ),
    ],
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Replace the application's configuration by a JSON document; what it leaves out is gone."""
    state = state_of(context, as_json=as_json)
    document = read_text(source, "configuration")
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Replacing the configuration"):
        answer = client.update_config(document)
    if not answer.success:
        reason = answer.error or "the backend gave no reason"
        raise CommandError(f"the configuration was not replaced: {reason}", ExitCode.CONFIGURATION)
    if as_json:
        print_json({"updated": True})
    else:
        print_line("configuration replaced")

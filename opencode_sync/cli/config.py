"""``opencode-sync config``: the configuration of the backend's own application."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import print_json, print_line
from opencode_sync.cli.text import printable
from opencode_sync.operations import MAX_TEXT_BYTES

__all__ = ["replace", "show"]

_STDIN = "-"


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
    with state.open_link(config_file, timeout).client as client:
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
    document = _read(source)
    with state.open_link(config_file, timeout).client as client:
        answer = client.update_config(document)
    if not answer.success:
        reason = answer.error or "the backend gave no reason"
        raise CommandError(f"the configuration was not replaced: {reason}", ExitCode.CONFIGURATION)
    if as_json:
        print_json({"updated": True})
    else:
        print_line("configuration replaced")


def _read(source: str) -> str:
    name = "standard input" if source == _STDIN else printable(source)
    try:
        if source == _STDIN:
            data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_TEXT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{name} cannot be read: {reason}", ExitCode.USAGE) from error
    if len(data) > MAX_TEXT_BYTES:
        raise CommandError(
            f"{name} has more than {MAX_TEXT_BYTES} bytes, which is no configuration",
            ExitCode.USAGE,
        )
    try:
        # Editors on Windows put a mark in front that JSON does not have.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{name} is not UTF-8 text: see its byte {error.start}", ExitCode.USAGE
        ) from error

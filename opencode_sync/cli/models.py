"""``opencode-sync models``: which models can be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Directory, Timeout, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import cell, empty_table, print_json, print_line, print_table
from opencode_sync.cli.providers import NO_PROVIDERS
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.printable import printable

if TYPE_CHECKING:
    from rich.table import Table

    from opencode_sync.types import OcModelInfo

__all__ = ["models"]


def models(
    context: typer.Context,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="ID", help="Only those of this provider.")
    ] = None,
    directory: Directory = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """List the models that can be used, as `chat --model` takes them.

    Prices are in US dollars for a million tokens.
    """
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout, directory).client
    with client, waiting_for("Asking OpenCode for its models"):
        answer = client.list_models()
    listed = sorted(
        (each for each in answer.models if provider in (None, each.provider_id)),
        key=lambda each: (each.provider_id, each.id),
    )
    if provider is not None and not listed:
        known = ", ".join(sorted({each.provider_id for each in answer.models})) or "none"
        raise CommandError(
            f"no model of the provider {printable(provider, 80)} can be used; providers with "
            f"models: {printable(known, 400)}",
            ExitCode.NOT_FOUND,
        )
    defaults = dict(answer.default_models)
    if as_json:
        print_json([_record(each, defaults) for each in listed])
    elif listed:
        print_table(_table(listed, defaults))
    else:
        print_line(NO_PROVIDERS)


def _is_default(model: OcModelInfo, defaults: dict[str, str]) -> bool:
    return defaults.get(model.provider_id) == model.id


def _table(listed: Sequence[OcModelInfo], defaults: dict[str, str]) -> Table:
    table = empty_table("Model", "Name", "Context", "Output", "Price in/out", "")
    for model in listed:
        marks = [
            "default" if _is_default(model, defaults) else "",
            "reasons" if model.capabilities.reasoning else "",
            "" if model.capabilities.toolcall else "no tools",
        ]
        table.add_row(
            cell(f"{model.provider_id}/{model.id}", 200),
            cell(model.name),
            _tokens(model.limit.context),
            _tokens(model.limit.output),
            f"{model.cost.input:g}/{model.cost.output:g}",
            ", ".join(filter(None, marks)),
        )
    return table


def _tokens(count: float) -> str:
    return f"{count:,.0f}" if count else "-"


def _record(model: OcModelInfo, defaults: dict[str, str]) -> dict[str, Any]:
    return {
        "model": f"{model.provider_id}/{model.id}",
        "provider_id": model.provider_id,
        "id": model.id,
        "name": model.name,
        "default": _is_default(model, defaults),
        "context": int(model.limit.context),
        "output": int(model.limit.output),
        "reasoning": model.capabilities.reasoning,
        "tools": model.capabilities.toolcall,
        "cost": {
            "input": model.cost.input,
            "output": model.cost.output,
            "cache_read": model.cost.cache.read,
            "cache_write": model.cost.cache.write,
        },
        "release_date": model.release_date or None,
    }

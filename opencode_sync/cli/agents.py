"""``opencode-sync agents``: which agents there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, state_of
from opencode_sync.cli.output import cell, empty_table, print_json, print_line, print_table
from opencode_sync.cli.waiting import waiting_for

if TYPE_CHECKING:
    from rich.table import Table

    from opencode_sync.types import OcAgentInfo

__all__ = ["agents"]


def agents(
    context: typer.Context,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show those too that OpenCode keeps to itself.")
    ] = False,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """List the agents of the project: those of OpenCode's and those it was given."""
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Asking OpenCode for its agents"):
        listed = [agent for agent in client.list_agents() if show_all or not agent.hidden]
    if as_json:
        print_json([_record(agent) for agent in listed])
    elif listed:
        print_table(_table(listed))
    else:
        print_line("No agents.")


def _table(listed: Sequence[OcAgentInfo]) -> Table:
    table = empty_table("Name", "Mode", "Model", "Description")
    for agent in listed:
        table.add_row(
            cell(agent.name), cell(agent.mode), cell(_model(agent) or "-"), cell(agent.description)
        )
    return table


def _model(agent: OcAgentInfo) -> str | None:
    if not agent.HasField("model"):
        return None
    return f"{agent.model.provider_id}/{agent.model.model_id}"


def _record(agent: OcAgentInfo) -> dict[str, Any]:
    def optional(name: str) -> Any:
        return getattr(agent, name) if agent.HasField(name) else None

    return {
        "name": agent.name,
        "description": optional("description"),
        "mode": agent.mode,
        "native": agent.native,
        "hidden": agent.hidden,
        "model": _model(agent),
        "temperature": optional("temperature"),
        "top_p": optional("top_p"),
        "color": optional("color"),
        "steps": optional("steps"),
    }

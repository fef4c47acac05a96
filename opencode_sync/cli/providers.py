"""``opencode-sync providers``: which model providers can be used."""

from __future__ import annotations

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, state_of
from opencode_sync.cli.output import print_json, print_line
from opencode_sync.cli.waiting import waiting_for

__all__ = ["NO_PROVIDERS", "providers"]

NO_PROVIDERS = (
    "No model provider can be used yet. Put an API key into the gateway's environment and run: "
    "opencode-sync auth sync"
)


def providers(
    context: typer.Context,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """List the model providers that can be used, by their ids."""
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Asking OpenCode for its providers"):
        connected = sorted(client.get_provider_status())
    if as_json:
        print_json(connected)
        return
    for provider in connected or [NO_PROVIDERS]:
        print_line(provider)

"""``opencode-sync auth``: API keys of model providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from opencode_sync.cli.connection import AsJson, ConfigFile, Timeout, state_of
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.output import cell, empty_table, print_json, print_line, print_table
from opencode_sync.cli.providers import NO_PROVIDERS
from opencode_sync.cli.waiting import waiting_for
from opencode_sync.printable import printable
from opencode_sync.wire.ipc_pb2 import OAuthStatusType

if TYPE_CHECKING:
    from rich.table import Table

    from opencode_sync.types import (
        IpcAuthSyncResponse,
        IpcOAuthStatusResponse,
        IpcProviderSyncResult,
    )

__all__ = ["status", "sync"]

_OUTCOMES: Final = {
    "synced": "synced",
    "failed": "FAILED",
    "skipped": "skipped",
    "validation_failed": "BAD KEY",
}
"""The fields of the answer, and what the table calls each."""

_STATUS_PREFIX: Final = "OAUTH_STATUS_TYPE_"

_STATUS_WORDS: Final[Mapping[str, str]] = {
    "unknown": "unknown",
    "configured": "OAuth login",
    "api_key": "API key",
    "well_known": "well-known token",
    "not_configured": "not configured",
}


def sync(
    context: typer.Context,
    include_oauth: Annotated[
        bool,
        typer.Option("--include-oauth", help="Also where the provider has an OAuth login already."),
    ] = False,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Copy the API keys that the gateway finds to OpenCode, provider by provider.

    It looks in its environment and in the .env file of its directory.

    The exit code is 0 only if no key was refused.
    """
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Copying API keys to OpenCode"):
        answer = client.sync_auth_keys(not include_oauth)
    results = {name: list(getattr(answer, name)) for name in _OUTCOMES}
    if as_json:
        print_json(_sync_record(answer))
    elif any(results.values()):
        print_table(_sync_table(results))
    else:
        print_line(
            "The gateway found no API keys, in its environment or in the .env of its directory."
        )
    refused = [
        result.provider for name in ("failed", "validation_failed") for result in results[name]
    ]
    if refused:
        names = printable(", ".join(refused), 200)
        raise CommandError(f"not every key was copied: {names}", ExitCode.SERVER)


def _sync_table(results: Mapping[str, list[IpcProviderSyncResult]]) -> Table:
    table = empty_table("Provider", "Result", "Reason")
    for name, word in _OUTCOMES.items():
        for result in results[name]:
            table.add_row(cell(result.provider), word, cell(_reason(result)))
    return table


def _reason(result: IpcProviderSyncResult) -> str:
    text = result.error or result.error_category
    if result.HasField("status_code"):
        text = f"{text} (status {result.status_code})".strip()
    if result.retryable:
        text = f"{text}; try again".removeprefix("; ")
    return text


def _sync_record(answer: IpcAuthSyncResponse) -> dict[str, Any]:
    record: dict[str, Any] = {
        name: [_result_record(result) for result in getattr(answer, name)] for name in _OUTCOMES
    }
    return record | {"duration_ms": answer.duration_ms}


def _result_record(result: IpcProviderSyncResult) -> dict[str, Any]:
    return {
        "provider": result.provider,
        "error": result.error or None,
        "error_category": result.error_category or None,
        "status_code": result.status_code if result.HasField("status_code") else None,
        "retryable": result.retryable,
    }


def status(
    context: typer.Context,
    provider: Annotated[
        str | None,
        typer.Argument(help="A provider's id; without it all that can be used."),
    ] = None,
    config_file: ConfigFile = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Say how providers are authenticated: by API key, by OAuth login, or not at all."""
    state = state_of(context, as_json=as_json)
    client = state.open_link(config_file, timeout).client
    with client, waiting_for("Asking OpenCode for its credentials"):
        names = sorted(client.get_provider_status()) if provider is None else [provider]
        answers = {name: client.get_oauth_status(name) for name in names}
    if as_json:
        print_json([_status_record(name, answer) for name, answer in answers.items()])
    elif answers:
        table = empty_table("Provider", "Credentials", "Reason")
        for name, answer in answers.items():
            word = _status_word(answer)
            table.add_row(cell(name), _STATUS_WORDS.get(word, word), cell(answer.reason))
        print_table(table)
    else:
        print_line(NO_PROVIDERS)


def _status_word(answer: IpcOAuthStatusResponse) -> str:
    try:
        return OAuthStatusType.Name(answer.status).removeprefix(_STATUS_PREFIX).lower()
    except ValueError:
        return f"status {answer.status}"  # newer than this schema


def _status_record(provider: str, answer: IpcOAuthStatusResponse) -> dict[str, Any]:
    return {
        "provider": provider,
        "status": _status_word(answer),
        "reason": answer.reason if answer.HasField("reason") else None,
    }

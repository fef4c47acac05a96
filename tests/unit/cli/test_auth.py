"""``opencode-sync auth``: what became of each key, and what each provider has."""

from __future__ import annotations

import json
from typing import Any

from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthSyncResponse,
    IpcOAuthStatusResponse,
    IpcProviderSyncResult,
)

from .conftest import Run
from .doubles import FakeClient


def result_of(provider: str, **fields: Any) -> IpcProviderSyncResult:
    return IpcProviderSyncResult(provider=provider, **fields)


MIXED = IpcAuthSyncResponse(
    synced=[result_of("anthropic")],
    failed=[
        result_of(
            "openai",
            error="it said \x1bno",
            error_category="http",
            status_code=503,
            retryable=True,
        ),
        result_of("groq", retryable=True),
    ],
    skipped=[result_of("google", error_category="oauth")],
    validation_failed=[result_of("mistral", error="the key is a placeholder")],
    duration_ms=12,
)


def test_keys_that_were_all_copied(run: Run, client: FakeClient) -> None:
    client.synced = IpcAuthSyncResponse(synced=[result_of("anthropic"), result_of("openai")])
    result = run("auth", "sync")
    assert result.exit_code == 0
    _, _, *rows = result.stdout.splitlines()
    assert [row.split() for row in rows] == [["anthropic", "synced"], ["openai", "synced"]]
    assert result.stderr == ""
    assert client.asked == [("sync_auth_keys", True)]


def test_a_provider_that_was_skipped_is_no_error(run: Run, client: FakeClient) -> None:
    client.synced = IpcAuthSyncResponse(skipped=[result_of("google", error="has a login")])
    result = run("auth", "sync")
    assert result.exit_code == 0
    assert "has a login" in result.stdout


def test_keys_with_a_login_are_copied_on_demand(run: Run, client: FakeClient) -> None:
    run("auth", "sync", "--include-oauth")
    assert client.asked == [("sync_auth_keys", False)]


def test_each_key_is_told_with_its_reason_and_the_refused_ones_are_an_error(
    run: Run, client: FakeClient
) -> None:
    client.synced = MIXED
    result = run("auth", "sync")
    assert result.exit_code == 7
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()[2:]]
    assert {name: " ".join(rest.split()) for name, rest in rows} == {
        "anthropic": "synced",
        "openai": "FAILED it said \\x1bno (status 503); try again",
        "groq": "FAILED try again",
        "google": "skipped oauth",
        "mistral": "BAD KEY the key is a placeholder",
    }
    assert result.stderr == "error: not every key was copied: openai, groq, mistral\n"


def test_the_same_as_json(run: Run, client: FakeClient) -> None:
    client.synced = MIXED
    result = run("auth", "sync", "--json")
    assert result.exit_code == 7
    said = json.loads(result.stdout)
    assert said["duration_ms"] == 12
    names = ("synced", "failed", "skipped", "validation_failed")
    assert [[each["provider"] for each in said[name]] for name in names] == [
        ["anthropic"],
        ["openai", "groq"],
        ["google"],
        ["mistral"],
    ]
    assert said["failed"][0] == {
        "provider": "openai",
        "error": "it said \x1bno",
        "error_category": "http",
        "status_code": 503,
        "retryable": True,
    }
    assert said["synced"][0] == {
        "provider": "anthropic",
        "error": None,
        "error_category": None,
        "status_code": None,
        "retryable": False,
    }
    assert json.loads(result.stderr)["error"]["kind"] == "server"


def test_no_keys_at_all(run: Run) -> None:
    result = run("auth", "sync")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "The gateway found no API keys, in its environment or in the .env"
    )


def test_status_of_all_providers_that_can_be_used(run: Run, client: FakeClient) -> None:
    client.connected_providers = ["openai", "anthropic", "newer"]
    client.oauth = {
        "anthropic": IpcOAuthStatusResponse(status=ipc_pb2.OAUTH_STATUS_TYPE_CONFIGURED),
        "openai": IpcOAuthStatusResponse(
            status=ipc_pb2.OAUTH_STATUS_TYPE_API_KEY, reason="from \x1bauth.json"
        ),
        "newer": IpcOAuthStatusResponse.FromString(b"\x08\x09"),
    }
    result = run("auth", "status")
    assert result.exit_code == 0
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()[2:]]
    assert rows == [
        "anthropic OAuth login",
        "newer status 9",
        "openai API key from \\x1bauth.json",
    ]
    assert json.loads(run("auth", "status", "--json").stdout) == [
        {"provider": "anthropic", "status": "configured", "reason": None},
        {"provider": "newer", "status": "status 9", "reason": None},
        {"provider": "openai", "status": "api_key", "reason": "from \x1bauth.json"},
    ]


def test_status_of_one_provider_asks_for_no_other(run: Run, client: FakeClient) -> None:
    result = run("auth", "status", "groq")
    assert result.exit_code == 0
    assert client.asked == [("get_oauth_status", "groq")]
    assert result.stdout.splitlines()[2].split() == ["groq", "not", "configured"]


def test_status_without_providers_says_how_to_get_one(run: Run) -> None:
    assert "opencode-sync auth sync" in run("auth", "status").stdout
    assert json.loads(run("auth", "status", "--json").stdout) == []

"""The commands on a real OpenCode: what they print is what OpenCode's own answers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from opencode_sync.cli.app import app
from opencode_sync.gateway import Gateway, OpenCodeBackend
from tests.e2e.opencode_server import RealServer

pytestmark = pytest.mark.e2e

Run = Callable[..., Result]

KEY = "sk-ant-of-this-test-0123456789abcdef"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def runtime_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands find the gateway of the test."""
    path = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(path))
    monkeypatch.delenv("OPENCODE_IPC_PORT", raising=False)
    monkeypatch.delenv("OPENCODE_IPC_TOKEN", raising=False)
    return path


@pytest.fixture
def run(opencode_server: RealServer, runtime_file: Path) -> Iterator[Run]:
    """Runs a command against a gateway in front of the shared server."""
    with Gateway(OpenCodeBackend(opencode_server.url), runtime_file=runtime_file):
        yield command


@pytest.fixture
def run_with_keys(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path, runtime_file: Path
) -> Iterator[Run]:
    """Runs a command against a gateway with an OpenCode of its own, and keys to give it."""
    keys = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": "your-api-key-here"}
    backend = OpenCodeBackend(
        spawn=True,
        executable=opencode_program,
        directory=project,
        environ=spawn_environment | keys,
    )
    with Gateway(backend, runtime_file=runtime_file):
        yield command


def answer_of(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_agents_are_opencodes(run: Run, opencode_server: RealServer) -> None:
    status, listed = opencode_server.request("GET", "/agent")
    assert status == 200
    real = {agent["name"]: agent for agent in listed}
    shown = {agent["name"]: agent for agent in answer_of(run("agents", "--all", "--json"))}
    assert set(shown) == set(real)
    assert {"build", "plan"} <= set(shown)
    for name, agent in shown.items():
        assert agent["mode"] == real[name]["mode"]
        assert agent["description"] == real[name].get("description")
        assert agent["hidden"] == real[name].get("hidden", False)
    visible = {agent["name"] for agent in answer_of(run("agents", "--json"))}
    assert visible == {name for name in real if not real[name].get("hidden")}
    assert "build" in run("agents").stdout


def test_providers_are_those_that_opencode_has_connected(
    run: Run, opencode_server: RealServer
) -> None:
    status, answer = opencode_server.request("GET", "/provider")
    assert status == 200
    connected = answer["connected"]
    assert answer_of(run("providers", "--json")) == sorted(connected)
    assert run("providers").stdout.split() == sorted(connected)


def test_keys_are_copied_to_opencode_and_then_shown_as_there(run_with_keys: Run) -> None:
    (before,) = answer_of(run_with_keys("auth", "status", "anthropic", "--json"))
    assert before["status"] == "not_configured"

    result = run_with_keys("auth", "sync", "--json")
    assert result.exit_code == 7  # for one of the keys is none
    copied = json.loads(result.stdout)
    assert [each["provider"] for each in copied["synced"]] == ["anthropic"]
    assert [each["provider"] for each in copied["validation_failed"]] == ["openai"]
    assert "openai" in json.loads(result.stderr)["error"]["message"]
    assert KEY not in result.output

    (after,) = answer_of(run_with_keys("auth", "status", "anthropic", "--json"))
    assert after["status"] == "api_key"
    table = run_with_keys("auth", "status")
    assert "API key" in table.stdout
    assert KEY not in table.output

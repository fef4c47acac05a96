"""``opencode-sync agents`` and ``opencode-sync providers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.errors import IpcServerError, IpcUnsupportedOperationError
from opencode_sync.wire.oc_agent_pb2 import OcAgentInfo, OcAgentModel

from .conftest import Run
from .doubles import FakeClient, FakeLinks

COMMANDS = [
    ("agents",),
    ("providers",),
    ("config", "get"),
    ("config", "set", "-"),
    ("auth", "sync"),
    ("auth", "status"),
]


def agent(name: str, **fields: Any) -> OcAgentInfo:
    return OcAgentInfo(name=name, mode="primary", **fields)


def test_agents_are_shown_with_what_tells_them_apart(run: Run, client: FakeClient) -> None:
    model = OcAgentModel(model_id="claude", provider_id="anthropic")
    client.agents = [agent("build", description="Does \x1b[31mit"), agent("plan", model=model)]
    result = run("agents")
    assert result.exit_code == 0
    header, _, build, plan = result.stdout.splitlines()
    assert header.split() == ["Name", "Mode", "Model", "Description"]
    assert build.split() == ["build", "primary", "-", "Does", "\\x1b[31mit"]
    assert plan.split() == ["plan", "primary", "anthropic/claude"]
    assert not client.connected


def test_hidden_agents_are_shown_on_demand(run: Run, client: FakeClient) -> None:
    client.agents = [agent("build"), agent("title", hidden=True)]
    assert "title" not in run("agents").stdout
    assert "title" in run("agents", "--all").stdout
    names = [record["name"] for record in json.loads(run("agents", "--json").stdout)]
    assert names == ["build"]


def test_agents_as_json_have_null_for_what_is_absent(run: Run, client: FakeClient) -> None:
    model = OcAgentModel(model_id="m", provider_id="p")
    client.agents = [
        agent("a"),
        agent("b", description="", native=True, temperature=0.5, steps=3, model=model),
    ]
    bare, full = json.loads(run("agents", "--json").stdout)
    assert bare == {
        "name": "a",
        "description": None,
        "mode": "primary",
        "native": False,
        "hidden": False,
        "model": None,
        "temperature": None,
        "top_p": None,
        "color": None,
        "steps": None,
    }
    assert full["description"] == ""
    assert (full["native"], full["temperature"], full["steps"]) == (True, 0.5, 3)
    assert full["model"] == "p/m"


def test_no_agents(run: Run) -> None:
    assert run("agents").stdout == "No agents.\n"
    assert json.loads(run("agents", "--json").stdout) == []


def test_providers_are_one_a_line_in_order(run: Run, client: FakeClient) -> None:
    client.connected_providers = ["openai", "anthropic", "odd\nid"]
    result = run("providers")
    assert result.exit_code == 0
    assert result.stdout == "anthropic\nodd\\nid\nopenai\n"
    assert result.stderr == ""
    shown = json.loads(run("providers", "--json").stdout)
    assert shown == ["anthropic", "odd\nid", "openai"]


def test_no_providers_says_how_to_get_one(run: Run) -> None:
    assert "opencode-sync auth sync" in run("providers").stdout
    assert json.loads(run("providers", "--json").stdout) == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_backend_that_lacks_the_operation_exits_7(
    run: Run, client: FakeClient, command: tuple[str, ...]
) -> None:
    client.failure = IpcUnsupportedOperationError(
        "needs a model; use --backend opencode", request_id=2, code=2, operation=command[0]
    )
    result = run(*command)
    assert result.exit_code == 7
    assert result.stdout == ""
    assert result.stderr == "error: needs a model; use --backend opencode\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_error_is_json_too_where_that_was_asked_for(
    run: Run, client: FakeClient, command: tuple[str, ...]
) -> None:
    client.failure = IpcServerError("no server", request_id=2, code=5, operation=command[0])
    result = run(*command, "--json")
    assert result.exit_code == 7
    said = json.loads(result.stderr)["error"]
    assert (said["kind"], said["code"], said["message"]) == ("server", "NO_SERVER", "no server")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_the_connection_options(
    run: Run, links: FakeLinks, client: FakeClient, command: tuple[str, ...], tmp_path: Path
) -> None:
    client.config.app_config_json = "{}"
    path = tmp_path / "config.json"
    for options in (("--config-file", str(path), "--timeout", "2.5"), ()):
        assert run(*command, *options).exit_code == 0
    assert links.opened == [(path, 2.5), (None, None)]

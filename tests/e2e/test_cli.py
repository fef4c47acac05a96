"""The commands on a real OpenCode: what they print is what OpenCode's own answers say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

import opencode_sync
from opencode_sync.cli.app import app
from opencode_sync.gateway import Gateway, OpenCodeBackend
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY as MODEL_KEY
from tests.e2e.stub_model import StubModel
from tests.integration.cli.terminal import CTRL_C, WAIT, Terminal
from tests.support.leaks import eventually

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


# With a model


@pytest.fixture(scope="module")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def server(
    opencode_program: Path, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """A server of this module's own, whose model is the stub, and whose bash asks first."""
    folder = tmp_path_factory.mktemp("opencode-of-commands")
    environ = {"OPENCODE_CONFIG_CONTENT": stub.config(permission={"bash": "ask"})}
    running = RealServer(opencode_program, folder, environ=environ)
    yield running
    running.stop()


@pytest.fixture
def run_with_model(server: RealServer, runtime_file: Path) -> Iterator[Run]:
    with Gateway(OpenCodeBackend(server.url), runtime_file=runtime_file):
        yield command


BASH = '[[tool:bash {"command": "echo from-the-tool", "description": "Say it"}]]'


def test_chat_shows_the_answer_that_opencode_has(run_with_model: Run, server: RealServer) -> None:
    result = run_with_model("chat", "[[say:Grüße 🚀]]", "--title", "asked")
    assert (result.exit_code, result.stdout) == (0, "Grüße 🚀\n")
    session_id = result.stderr.strip().rpartition("session ")[2].rstrip(")")
    assert server.session(session_id)["title"] == "asked"  # type: ignore[index]

    again = answer_of(run_with_model("chat", "[[think:Hm]] Hi", "--session", session_id, "--json"))
    assert (again["session_id"], again["text"]) == (session_id, "Hello from the stub model.")
    status, own = server.request("GET", f"/session/{session_id}/message")
    assert status == 200
    assert again["cost"] == own[-1]["info"]["cost"]
    shown = answer_of(run_with_model("sessions", "messages", session_id, "--json"))
    assert [each["id"] for each in shown] == [each["info"]["id"] for each in own]
    assert [each["id"] for each in shown[-1:]] == [
        each["id"]
        for each in answer_of(
            run_with_model("sessions", "messages", session_id, "--limit", "1", "--json")
        )
    ]


def test_chat_says_no_where_nobody_can_be_asked(run_with_model: Run) -> None:
    result = run_with_model("chat", BASH)
    assert result.exit_code == 0
    assert "Permission rejected" in result.stderr
    assert "bash: echo from-the-tool" in result.stderr
    assert "from-the-tool" not in result.stdout

    allowed = answer_of(run_with_model("chat", BASH, "--permission", "once", "--json"))
    (call,) = allowed["tool_calls"]
    assert (call["name"], call["status"]) == ("bash", "completed")
    assert "from-the-tool" in allowed["text"]
    assert [each["reply"] for each in allowed["permissions"]] == ["once"]


def test_a_model_that_refuses_is_a_failure(run_with_model: Run) -> None:
    result = run_with_model("chat", "[[401]]", "--json")
    assert (result.exit_code, result.stdout) == (7, "")
    said = json.loads(result.stderr)["error"]
    assert (said["failure"], said["status"]) == ("provider_auth", 401)
    assert MODEL_KEY not in result.output
    unknown = json.loads(run_with_model("chat", "Hi", "--model", "stub/none", "--json").stderr)
    assert unknown["error"]["failure"] == "unknown_model"


def test_models_are_opencodes(run_with_model: Run, server: RealServer) -> None:
    status, own = server.request("GET", "/config/providers")
    assert status == 200
    real = {f"{each['id']}/{name}" for each in own["providers"] for name in each["models"]}
    assert {each["model"] for each in answer_of(run_with_model("models", "--json"))} == real
    stubs = answer_of(run_with_model("models", "--provider", "stub", "--json"))
    assert [each["id"] for each in stubs] == ["stub-1", "stub-2"]
    assert (stubs[0]["context"], stubs[0]["cost"]["output"]) == (200_000, 2)
    assert "stub/stub-1" in run_with_model("models").stdout


def test_a_session_is_shown_and_changed(run_with_model: Run, server: RealServer) -> None:
    session_id = server.create("before")
    assert answer_of(run_with_model("sessions", "get", session_id, "--json"))["title"] == "before"
    assert run_with_model("sessions", "rename", session_id, "after").exit_code == 0
    assert run_with_model("sessions", "archive", session_id).exit_code == 0
    own = server.session(session_id)
    assert own is not None
    assert own["title"] == "after"
    assert own["time"]["archived"]
    undone = answer_of(run_with_model("sessions", "archive", session_id, "--undo", "--json"))
    assert undone["archived"] is None
    idle = answer_of(run_with_model("sessions", "abort", session_id, "--json"))
    assert idle == {"id": session_id, "idle": True}
    for name in ("get", "messages", "abort", "archive"):
        gone = run_with_model("sessions", name, "ses_00000000000000000000000000")
        assert gone.exit_code == 9, gone.stderr


def test_doctor_finds_all_of_it(run_with_model: Run, server: RealServer) -> None:
    found = json.loads(run_with_model("doctor", "--json").stdout)["findings"]
    by_name = {each["name"]: each for each in found}
    assert by_name["gateway"]["backend"] == "opencode"
    assert by_name["gateway's server"]["healthy"] is True
    assert "stub" in by_name["model providers"]["providers"]


def test_events_are_shown_as_they_come(
    server: RealServer, runtime_file: Path, run_with_model: Run
) -> None:
    listening = [sys.executable, "-m", "opencode_sync", "events", "--type", "session.*"]
    with Terminal(listening) as terminal:
        terminal.expect("Listening")
        session_id = server.create("seen")
        terminal.expect("session.created")
        terminal.expect(session_id)
        terminal.type(CTRL_C)
        assert terminal.code() == 0


def test_a_conversation_without_a_gateway(
    opencode_program: Path,
    spawn_environment: dict[str, str],
    stub: StubModel,
    project: Path,
    tmp_path: Path,
) -> None:
    """It starts OpenCode, aborts an answer with Ctrl-C, goes on, and leaves nothing running."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "opencode").symlink_to(opencode_program)
    # No process is seen, for one of them may be an OpenCode of whoever runs the tests.
    (folder / "sitecustomize.py").write_text(
        "import psutil; psutil.process_iter = lambda *details: iter(())"
    )
    environ = spawn_environment | {
        "PATH": os.pathsep.join([str(folder), spawn_environment["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(opencode_sync.__file__).parents[1])]),
        "OPENCODE_CONFIG_CONTENT": stub.config(permission={"bash": "ask"}),
        "OPENCODE_SYNC_RUNTIME_FILE": str(tmp_path / "none.json"),
    }
    stub.hold()
    chat = [sys.executable, "-m", "opencode_sync", "chat", "--directory", str(project)]
    with Terminal(chat, environ=environ) as terminal:
        terminal.expect("> ")
        below = psutil.Process(terminal.process.pid).children(recursive=True)
        assert below
        terminal.type("[[slow]]\n")
        terminal.expect("Slowly")
        terminal.type(CTRL_C)
        terminal.expect("(aborted)")
        stub.release()
        terminal.expect("> ")
        terminal.type(f"{BASH}\n")
        terminal.expect("bash: echo from-the-tool")
        terminal.expect("Allow?")
        terminal.type("y\n")
        terminal.expect("The tool said: from-the-tool")
        terminal.expect("> ")
        assert terminal.end_typing() == 0
        assert "Traceback" not in terminal.shown
    assert eventually(lambda: not any(each.is_running() for each in below), WAIT)

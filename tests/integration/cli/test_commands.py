"""The commands, in this process, against a real gateway over a real WebSocket."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from opencode_sync.cli.app import app
from opencode_sync.gateway import Gateway

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and "opencode-sync" in t.name]
    assert left == []


@pytest.mark.usefixtures("gateway")
def test_sessions_are_created_listed_and_deleted(run: Run) -> None:
    first = json.loads(run("sessions", "create", "First", "--json").stdout)
    second = json.loads(run("sessions", "create", "[b]Second[/b] \x1b", "--json").stdout)
    assert second["title"] == "[b]Second[/b] \x1b"

    listed = json.loads(run("sessions", "list", "--json").stdout)
    assert {record["id"] for record in listed} == {first["id"], second["id"]}
    table = run("sessions", "list").stdout
    assert first["id"] in table
    assert r"[b]Second[/b] \x1b" in table
    assert "Just now" in table

    assert run("sessions", "delete", first["id"]).exit_code == 0
    again = run("sessions", "delete", first["id"], second["id"])
    assert again.exit_code == 9
    assert first["id"] in again.stderr
    assert json.loads(run("sessions", "list", "--json").stdout) == []


def test_health_of_a_running_gateway(run: Run, gateway: Gateway) -> None:
    result = run("health", "--json", "--timeout", "10")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["backend"]["endpoint"] == gateway.endpoint
    assert said["server"]["healthy"] is True


def test_a_session_id_that_cannot_be_one_is_the_servers_error(run: Run, gateway: Gateway) -> None:
    result = run("sessions", "delete", "../rubbish")
    assert result.exit_code == 7
    assert "session_id" in result.stderr


def test_an_empty_session_id_is_wrong_use(run: Run, gateway: Gateway) -> None:
    result = run("sessions", "delete", "")
    assert result.exit_code == 2
    assert "session_id" in result.stderr


def test_a_title_with_half_a_character_is_wrong_use(run: Run, gateway: Gateway) -> None:
    result = run("sessions", "create", "half \udcff")
    assert result.exit_code == 2
    assert "title" in result.stderr


def test_the_configuration_is_shown_changed_and_shown_again(
    run: Run, gateway: Gateway, tmp_path: Path
) -> None:
    settings = json.loads(run("config", "get").stdout)
    settings["server"]["auto_start"] = not settings["server"]["auto_start"]
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert run("config", "set", str(path)).exit_code == 0
    assert json.loads(run("config", "get").stdout) == settings
    assert json.loads(run("config", "get", "--models").stdout)["providers"]


@pytest.mark.parametrize(
    ("document", "said"),
    [("{", "line 1"), ("[]", "object"), ('{"version": "one"}', "version"), ("", "line 1")],
)
def test_a_wrong_configuration_is_3_and_changes_nothing(
    run: Run, gateway: Gateway, tmp_path: Path, document: str, said: str
) -> None:
    before = run("config", "get").stdout
    path = tmp_path / "wrong.json"
    path.write_text(document, encoding="utf-8")
    result = run("config", "set", str(path))
    assert result.exit_code == 3
    assert said in result.stderr
    assert run("config", "get").stdout == before


@pytest.mark.parametrize(
    "command",
    [("agents",), ("providers",), ("auth", "sync"), ("auth", "status")],
    ids=" ".join,
)
def test_without_a_model_the_error_says_what_has_one(
    run: Run, gateway: Gateway, command: tuple[str, ...]
) -> None:
    result = run(*command)
    assert result.exit_code == 7
    assert "--backend opencode" in result.stderr
    assert result.stdout == ""


def test_the_demo_starts_a_gateway_of_its_own(run: Run, runtime_file: Path) -> None:
    result = run("demo")
    assert result.exit_code == 0, result.stderr
    assert "Demo passed" in result.stdout
    assert not runtime_file.exists()


def test_a_gateway_in_this_process_ends_at_ctrl_c(
    run: Run, tmp_path: Path, runtime_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def announced(text: str) -> None:
        lines.append(text)
        assert runtime_file.exists()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("opencode_sync.cli.gateway.print_line", announced)
    result = run("gateway", "--backend", "embedded", "--database", str(tmp_path / "s.db"))
    assert result.exit_code == 0, result.stderr
    assert "ws://127.0.0.1:" in lines[-1]
    assert not runtime_file.exists()


def test_a_second_gateway_is_refused_with_what_to_do(
    run: Run, gateway: Gateway, runtime_file: Path, tmp_path: Path
) -> None:
    before = runtime_file.read_bytes()
    result = run("gateway", "--backend", "embedded", "--database", str(tmp_path / "second.db"))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: another gateway ")
    assert str(gateway.port) in result.stderr
    assert "--runtime-file" in result.stderr
    assert result.stderr.count("\n") == 1
    assert runtime_file.read_bytes() == before
    assert run("health").exit_code == 0


def test_without_a_gateway_the_error_says_how_to_start_one(run: Run, runtime_file: Path) -> None:
    result = run("health")
    assert result.exit_code == 3
    assert "opencode-sync gateway" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_config_file_that_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    result = run("health", "--config-file", str(tmp_path / "nowhere.json"))
    assert result.exit_code == 3
    assert "nowhere.json" in result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    def write(**document: Any) -> str:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return str(path)

    return write


def test_a_wrong_token_is_5_and_never_shown(
    run: Run, gateway: Gateway, config: Callable[..., str]
) -> None:
    token = "0123456789abcdef-wrong"
    path = config(port=gateway.port, auth_token=token)
    result = run("--verbose", "health", "--config-file", path)
    assert result.exit_code == 5
    assert token not in result.output
    assert gateway.auth_token not in result.output


def test_nobody_listening_is_4(run: Run, config: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = run("health", "--config-file", config(port=port, auth_token="x" * 36))
    assert result.exit_code == 4
    assert "opencode-sync gateway" in result.stderr


def test_silence_is_6_within_the_timeout(run: Run, config: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = config(port=silent.getsockname()[1], auth_token="x" * 36)
        result = run("health", "--config-file", path, "--timeout", "0.3", "--json")
    assert result.exit_code == 6
    assert json.loads(result.stderr)["error"]["kind"] == "timeout"


def test_an_option_from_the_environment_that_is_wrong_is_3(
    run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCODE_SYNC_DEFAULT_REQUEST_TIMEOUT", "-1")
    result = run("health")
    assert result.exit_code == 3
    assert "OPENCODE_SYNC_DEFAULT_REQUEST_TIMEOUT" in result.stderr

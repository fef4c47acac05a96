"""What the README says is true: its scripts run, its tables match the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import opencode_sync
from opencode_sync import IpcClient, IpcClientOptions, IpcError
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.types import OcAssistantMessage, OcMessage, OcTokenUsage

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"<!-- run: with-gateway -->\n```python\n(.*?)```", README, re.DOTALL)
MODEL_SCRIPTS = re.findall(r"<!-- run: with-model -->\n```python\n(.*?)```", README, re.DOTALL)


class AnsweringBackend(EmbeddedBackend):
    """Sessions, and a model that has one answer."""

    def send_message(self, session_id: str, text: str, **details: object) -> OcMessage:
        answer = OcAssistantMessage(text=f"An answer to: {text}")
        answer.tokens.CopyFrom(OcTokenUsage(input=40, output=2))
        return OcMessage(assistant=answer)


@pytest.fixture
def running_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that the scripts find as a user's would: by its runtime file."""
    runtime_file = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))
    monkeypatch.delenv("OPENCODE_IPC_PORT", raising=False)
    monkeypatch.delenv("OPENCODE_IPC_TOKEN", raising=False)
    backend = AnsweringBackend(tmp_path / "sessions.db")
    with Gateway(backend, runtime_file=runtime_file) as gateway:
        yield gateway


def test_readme_has_its_scripts() -> None:
    """The marks that choose the scripts are still there."""
    assert len(SCRIPTS) == 4
    assert len(MODEL_SCRIPTS) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=["ten lines", "server", "threads", "futures"])
def test_script_runs(
    script: str, running_gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script from the README does what it says, against a running gateway."""
    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})
    output = capsys.readouterr().out
    assert "did not work" not in output
    assert "ses_" in output or "True" in output


def test_script_asks_a_model(running_gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The script that asks prints the answer and its tokens."""
    exec(compile(MODEL_SCRIPTS[0], "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "An answer to: What does this project do?\n42\n"


def test_operation_table_names_arguments_that_there_are() -> None:
    """Every row of the table of operations is a method, and takes what the row says."""
    rows = re.findall(r"^\| `(\w+)\((.*?)\)` \|", README, re.MULTILINE)
    rows = [row for row in rows if hasattr(IpcClient, row[0])]
    assert len(rows) == 8
    for name, arguments in rows:
        parameters = inspect.signature(getattr(IpcClient, name)).parameters
        assert set(arguments.split(", ")) - {""} <= set(parameters), name


def test_first_script_without_a_gateway_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing running the script prints one sentence that names the remedy."""
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(tmp_path / "none.json"))
    monkeypatch.delenv("OPENCODE_IPC_PORT", raising=False)
    monkeypatch.delenv("OPENCODE_IPC_TOKEN", raising=False)
    exec(compile(SCRIPTS[0], "README.md", "exec"), {"__name__": "__main__"})
    assert "opencode-sync gateway" in capsys.readouterr().out


def test_option_table_matches_the_options() -> None:
    """Every option is in the table with its default, and nothing else is."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", README, re.MULTILINE))
    defaults = {
        field.name: getattr(IpcClientOptions(), field.name)
        for field in dataclasses.fields(IpcClientOptions)
    }
    assert {name: float(value) for name, value in rows.items()} == defaults


def test_error_table_names_every_error() -> None:
    """No public error is missing from the table of errors."""
    public = {
        name
        for name in opencode_sync.__all__
        if isinstance(getattr(opencode_sync, name), type)
        and issubclass(getattr(opencode_sync, name), IpcError)
    }
    table = README[README.index("| error | means | do |") : README.index("`health_check()` is")]
    assert public - {"IpcError", "IpcPromptError"} <= set(re.findall(r"`(\w+)`", table))


def test_ci_runs_the_readmes_test_command() -> None:
    """CI takes the command from the README, so the two cannot differ."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme_command tests" in script
    assert "<!-- command: tests -->\n```sh\n" in README

"""What the README says is true: its scripts run, its tables match the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import opencode_sync
from opencode_sync import IpcClient, IpcClientOptions, IpcError, IpcServerError
from opencode_sync.gateway import Gateway
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from tests.integration.cli.talking import TalkingBackend
from tests.support.threads import Background

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"<!-- run: with-gateway -->\n```python\n(.*?)```", README, re.DOTALL)
MODEL_SCRIPTS = re.findall(r"<!-- run: with-model -->\n```python\n(.*?)```", README, re.DOTALL)
EVENT_SCRIPTS = re.findall(r"<!-- run: with-events -->\n```python\n(.*?)```", README, re.DOTALL)
LAUNCHED = re.findall(r"<!-- run: launched -->\n```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def running_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that the scripts find as a user's would: by its runtime file."""
    runtime_file = tmp_path / "run" / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(runtime_file))
    monkeypatch.delenv("OPENCODE_IPC_PORT", raising=False)
    monkeypatch.delenv("OPENCODE_IPC_TOKEN", raising=False)
    backend = TalkingBackend(tmp_path / "sessions.db")
    with Gateway(backend, runtime_file=runtime_file) as gateway:
        yield gateway


def run(script: str) -> None:
    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})


def test_readme_has_its_scripts() -> None:
    """The marks that choose the scripts are still there."""
    counts = [len(each) for each in (LAUNCHED, MODEL_SCRIPTS, EVENT_SCRIPTS, SCRIPTS)]
    assert counts == [1, 3, 1, 3]


@pytest.mark.parametrize("script", SCRIPTS, ids=["gateway", "threads", "futures"])
def test_script_runs(
    script: str, running_gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script from the README does what it says, against a running gateway."""
    run(script)
    output = capsys.readouterr().out
    assert "did not work" not in output
    assert "ses_" in output or "True" in output


@pytest.mark.parametrize(
    ("number", "asked"),
    [(0, "What does this project do?"), (1, "Run the tests"), (2, "Run the tests")],
    ids=["prompt", "stream", "permission"],
)
def test_script_asks_a_model(
    number: int, asked: str, running_gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each script that asks prints the answer."""
    run(MODEL_SCRIPTS[number])
    assert f"You said: {asked}" in capsys.readouterr().out


def test_first_script_prints_the_answer_as_it_comes(
    running_gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end-to-end tests run it on a real OpenCode; here it is about what the client does."""
    monkeypatch.setattr(opencode_sync, "launch", IpcClient)
    run(LAUNCHED[0])
    assert len(LAUNCHED[0].splitlines()) <= 10
    assert "You said: What does this project do?" in capsys.readouterr().out


def test_script_prints_events(running_gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The script prints each event, until the gateway ends."""
    backend = running_gateway.backend
    assert isinstance(backend, TalkingBackend)
    script = Background(run, EVENT_SCRIPTS[0])
    assert backend.subscribed.acquire(timeout=10)
    event = IpcEvent(type="session.idle", session_id="ses_1", properties_json='{"a": 1}')
    backend.sinks[0].event(event)
    backend.sinks[0].ended("the test is over")
    assert isinstance(script.error(), IpcServerError)
    assert capsys.readouterr().out == "session.idle ses_1 {'a': 1}\n"


def test_operation_table_names_arguments_that_there_are() -> None:
    """Every row of the table of operations is a method, and takes what the row says."""
    rows = re.findall(r"^\| `(\w+)\((.*?)\)` \|", README, re.MULTILINE)
    rows = [row for row in rows if hasattr(IpcClient, row[0])]
    assert len(rows) == 15
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
    run(SCRIPTS[0])
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
    assert public - {"IpcError"} <= set(re.findall(r"`(\w+)`", table))


def test_ci_runs_the_readmes_test_command() -> None:
    """CI takes the command from the README, so the two cannot differ."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme_command tests" in script
    assert "<!-- command: tests -->\n```sh\n" in README

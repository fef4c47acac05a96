"""What ``doctor`` says of environment variables."""

from __future__ import annotations

import dataclasses

import pytest

from opencode_sync.cli.checks import Finding, Level
from opencode_sync.cli.variables import check_variables
from opencode_sync.options import IpcClientOptions

TOKEN = "not-a-secret-only-for-a-test"


def others(environ: dict[str, str]) -> list[Finding]:
    """What is said beside the list of those that are read."""
    return check_variables(environ)[1:]


def test_those_that_are_read_are_listed_by_name_only() -> None:
    environ = {"PATH": "/bin", "OPENCODE_IPC_TOKEN": TOKEN, "OPENCODE_SYNC_RUNTIME_FILE": "/x"}
    (finding,) = check_variables(environ)
    assert finding.level is Level.OK
    assert finding.text == "OPENCODE_IPC_TOKEN, OPENCODE_SYNC_RUNTIME_FILE"
    assert TOKEN not in str(finding.record())


def test_none_at_all_is_fine() -> None:
    (finding,) = check_variables({"OPENCODE_CONFIG": "OpenCode's own"})
    assert (finding.level, finding.text) == (Level.OK, "none of ours is set")


@pytest.mark.parametrize("option", dataclasses.fields(IpcClientOptions), ids=lambda each: each.name)
def test_each_option_is_known(option: dataclasses.Field[object]) -> None:
    assert others({f"OPENCODE_SYNC_{option.name.upper()}": "3"}) == []


@pytest.mark.parametrize(
    ("misspelt", "remedy"),
    [
        ("OPENCODE_SYNC_RUNTIMEFILE", "if you mean OPENCODE_SYNC_RUNTIME_FILE, set that instead"),
        ("OPENCODE_IPC_PROT", "if you mean OPENCODE_IPC_PORT, set that instead"),
        ("OPENCODE_SYNC_" + "X" * 60, "unset OPENCODE_SYNC_" + "X" * 60),
    ],
)
def test_one_that_nobody_reads_is_a_note(misspelt: str, remedy: str) -> None:
    (finding,) = others({misspelt: TOKEN})
    assert (finding.level, finding.remedy) == (Level.NOTE, remedy)
    assert finding.text == f"{misspelt} is read by nobody"
    assert TOKEN not in str(finding.record())


def test_a_value_that_is_wrong_is_a_problem() -> None:
    (finding,) = others({"OPENCODE_SYNC_PING_INTERVAL": "soon"})
    assert finding.level is Level.PROBLEM
    assert "OPENCODE_SYNC_PING_INTERVAL" in finding.text

"""The watch over what tests print finds what it is there for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.secrets import shown_secrets

_ROOT = Path(__file__).parents[3]

_SUITE = """
import subprocess, sys
from opencode_sync import IpcConfig
from opencode_sync.gateway import Gateway
from tests.unit.gateway.doubles import ScriptedBackend

TOKEN = "a-token-of-this-test-0123"

def test_quiet():
    print(IpcConfig(port=4096, auth_token=TOKEN))

def test_prints_a_token():
    print("connecting with", TOKEN)

def test_prints_a_token_that_a_gateway_made():
    print(Gateway(ScriptedBackend()).auth_token)

def test_prints_a_key():
    print("sk-" + "ant-0123456789abcdef")

def test_a_child_prints_a_token():
    subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write(sys.argv[1])", TOKEN])
"""


def test_a_test_that_shows_a_secret_fails(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(_SUITE)
    plugins = ["-p", "tests.support.secrets", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-q", "--rootdir", tmp_path, tmp_path],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert "5 passed, 4 errors" in done.stdout
    for name in (
        "prints_a_token",
        "prints_a_token_that_a_gateway_made",
        "prints_a_key",
        "a_child_prints_a_token",
    ):
        assert f"ERROR test_suite.py::test_{name} " in done.stdout
    assert "test_quiet " not in done.stdout


@pytest.mark.parametrize(
    "text", ["", "sk-...6789", "sk-", "task-0123456789abcdef", "ask-me-anything-at-all"]
)
def test_what_is_no_secret(text: str) -> None:
    assert shown_secrets(text, {"a-known-secret"}) == []


def test_a_secret_is_not_shown_by_who_finds_it() -> None:
    (found,) = shown_secrets("there: a-known-secret!", {"a-known-secret"})
    assert found == "a-kn... (14 characters)"

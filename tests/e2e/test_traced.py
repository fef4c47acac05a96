"""Traces on a real OpenCode: the example, as it stands in the docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "traced.py"


def test_the_example_prints_one_trace(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "opencode").symlink_to(opencode_program)
    path = os.pathsep.join([str(folder), spawn_environment["PATH"]])
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=project,
        env=spawn_environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    spans = [line.rpartition("  ")[0] for line in done.stdout.splitlines() if line.endswith(" ms")]
    # Each stands below the one before, for it is part of it.
    assert spans == [
        "INTERNAL my script",
        "  CLIENT   opencode.Ipc/list_sessions",
        "    SERVER   opencode.Ipc/list_sessions",
        "      CLIENT   GET",
    ]
    assert "http.response.status_code = 200" in done.stdout
    assert done.stderr == ""

"""The command itself, as short as it gets: everybody takes part and the answers are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


def test_a_short_run_compares_the_contenders(tmp_path: Path) -> None:
    arguments = ["round-trip", "list", "--scale", "0.01", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "round trip: IpcClient / bare loop" in done.stdout
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert {"IpcClient", "bare loop", "raw socket"} <= set(
        run["figures"]["round-trip"]["contenders"]
    )
    assert run["machine"]["python"].split()[1] == sys.version.split()[0]


def test_an_unknown_figure_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "round-trp"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no such figure: round-trp" in done.stderr

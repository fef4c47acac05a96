"""``import opencode_sync`` brings along only what every user needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import opencode_sync

_ROOT = Path(opencode_sync.__file__).parents[1]
_HEAVY = {
    "PySide6",
    "click",
    "opentelemetry",
    "psutil",
    "pytest",
    "requests",
    "rich",
    "sqlite3",
    "tenacity",
    "typer",
    "urllib3",
    "websocket",
    "websockets",
}


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COV_")}
    environ["PYTHONPATH"] = str(_ROOT)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def _packages_after(statements: str) -> set[str]:
    names = "{name.partition('.')[0] for name in sys.modules}"
    printed = _python("-c", f"import sys; {statements}; print(*sorted({names}))").stdout
    return set(printed.split())


def test_importtime_shows_nothing_heavy() -> None:
    report = _python("-X", "importtime", "-c", "import opencode_sync").stderr
    names = {line.rpartition("|")[2].strip() for line in report.splitlines() if "|" in line}
    assert "opencode_sync.client" in names  # the report is one
    assert {name.partition(".")[0] for name in names} & _HEAVY == set()
    assert not [name for name in names if name.startswith(("opencode_sync.gateway",))]


@pytest.mark.parametrize(
    "statements",
    [
        "import opencode_sync",
        "import opencode_sync; opencode_sync.IpcClient()",
        "from opencode_sync import *",
        "import opencode_sync.types, opencode_sync.providers, opencode_sync.transport.memory",
    ],
)
def test_nothing_heavy_is_loaded(statements: str) -> None:
    assert _packages_after(statements) & _HEAVY == set()


def test_asyncio_comes_with_the_logger_if_at_all() -> None:
    """Loguru imports it for its own sake; nothing else may."""
    ours = _packages_after("import opencode_sync")
    loggers = _packages_after("import loguru")
    assert "asyncio" not in ours - loggers
    assert "loguru" in loggers


def test_importing_starts_nothing_and_says_nothing() -> None:
    done = _python(
        "-X",
        "dev",
        "-W",
        "error",
        "-c",
        "import threading, opencode_sync; opencode_sync.IpcClient(); "
        "print([thread.name for thread in threading.enumerate()])",
    )
    assert done.stdout.strip() == "['MainThread']"
    assert done.stderr == ""

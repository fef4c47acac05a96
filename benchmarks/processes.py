"""What is measured of whole processes: starting, importing, idling."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.contenders.base import ContenderMissing
from benchmarks.samples import Figure
from benchmarks.wire import TOKEN

__all__ = ["idle", "python_with_official_sdk", "start"]

OFFICIAL_SDK: Final = "opencode-ai==0.1.0a36"

_ROOT: Final = Path(__file__).resolve().parents[1]
_PATIENCE: Final = 120.0

_OURS: Final = """
from opencode_sync import IpcClient
with IpcClient() as client:
    assert len(client.list_sessions()) == 10
"""
_THEIRS: Final = """
import os
from opencode_ai import Opencode
assert len(Opencode(base_url=os.environ["BENCHMARK_URL"], timeout=60).session.list()) == 10
"""
_IMPORT: Final = """
import time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""
_IDLE: Final = """
import sys, time
from opencode_sync import IpcClient
with IpcClient() as client:
    client.check_server_health()
    busy = time.process_time()
    time.sleep(float(sys.argv[1]))  # what is measured is that nothing happens
    print(time.process_time() - busy)
"""


def start(
    python: Path | None, websocket_port: int, http_port: int, rounds: int
) -> Iterator[Figure]:
    """Time processes that import, connect, list ten sessions and exit; and the import alone.

    Args:
        python: The interpreter that has the official SDK; None leaves that one out.
        websocket_port: The responder's, with ten sessions.
        http_port: Likewise.
        rounds: How often each is started.
    """
    with tempfile.TemporaryDirectory() as bytecode:
        # Both from bytecode, as after an installation, whatever the environment says of it.
        environ = _environ(websocket_port, http_port) | {"PYTHONPYCACHEPREFIX": bytecode}
        yield from _start(environ, python, rounds)


def _start(environ: dict[str, str], python: Path | None, rounds: int) -> Iterator[Figure]:
    chosen = str(python or sys.executable)
    programs = {"bare python": "pass", "IpcClient": _OURS}
    # Of ours every name, for they are imported when they are used.
    imports = {"IpcClient": "from opencode_sync import *"}
    if python is not None:
        programs["official SDK"] = _THEIRS
        imports["official SDK"] = "import opencode_ai"
    whole = Figure("start", "Whole process: import, connect, list ten sessions, exit", "ms")
    importing = Figure("import", "The import alone", "ms")
    for _ in range(rounds):
        for name, program in programs.items():
            started = time.perf_counter()
            _run(environ, chosen, "-c", program)
            whole.add(name, [(time.perf_counter() - started) * 1e3])
        for name, statement in imports.items():
            printed = _run(environ, chosen, "-c", _IMPORT.format(statement=statement))
            importing.add(name, [float(printed) * 1e3])
    yield whole
    yield importing


def idle(websocket_port: int, seconds: float) -> Iterator[Figure]:
    """Count the CPU time of a process whose client is connected and does nothing."""
    figure = Figure("idle", f"CPU of an idle client over {seconds:g} s", "%")
    printed = _run(_environ(websocket_port, 0), sys.executable, "-c", _IDLE, str(seconds))
    figure.add("IpcClient", [float(printed) / seconds * 100])
    yield figure


def python_with_official_sdk(folder: Path) -> Path:
    """Return the interpreter of an environment with the official SDK, making it if need be.

    What this project needs is installed there too, so that both start under the same conditions.

    Raises:
        ContenderMissing: it could not be made.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = folder / f"{OFFICIAL_SDK}.installed"
    if mark.is_file():
        return python
    print(f"installing {OFFICIAL_SDK} into {folder} ...", flush=True)
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    ours = setup["options"]["install_requires"].split()
    try:
        venv.create(folder, with_pip=True, clear=True)
        _run(os.environ, str(python), "-m", "pip", "install", "-q", OFFICIAL_SDK, *ours)
    except (OSError, subprocess.SubprocessError) as error:
        raise ContenderMissing(f"{OFFICIAL_SDK} could not be installed: {error}") from error
    mark.touch()
    return python


def _environ(websocket_port: int, http_port: int) -> dict[str, str]:
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return kept | {
        "PYTHONPATH": str(_ROOT),
        "OPENCODE_IPC_PORT": str(websocket_port),
        "OPENCODE_IPC_TOKEN": TOKEN,
        "BENCHMARK_URL": f"http://127.0.0.1:{http_port}",
    }


def _run(environ: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(
        command,
        env=environ,
        cwd=_ROOT.anchor,  # nothing of it is importable by accident
        stdout=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE,
        check=True,
    )
    return done.stdout

"""The program as users run it: processes of its own, signals, pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.leaks import eventually

PROGRAM = [sys.executable, "-m", "opencode_sync"]
TIMEOUT = 60

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end of the block, whatever happens."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The output's lines up to the first with ``text`` in it; fails if that never comes."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no line with {text!r}, only {lines}")


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the processes a test starts, to see what they leave in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(folder))
    return folder


def test_the_demo_passes_shows_the_sessions_and_leaves_nothing(
    temporary_folder: Path, runtime_file: Path
) -> None:
    done = run("demo")
    assert done.returncode == 0, done.stderr
    assert "created 3 sessions" in done.stdout
    assert "Fix the failing test" in done.stdout
    assert "requests/s" in done.stdout
    assert "Demo passed" in done.stdout.splitlines()[-1]
    assert done.stderr == ""
    assert list(temporary_folder.iterdir()) == []
    assert not runtime_file.exists()


@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_demo_that_is_told_to_end_takes_its_gateway_along(
    temporary_folder: Path, name: str
) -> None:
    number = signal.Signals[name]
    with started("demo") as demo:
        lines_until(demo, "waiting until it listens")
        (gateway,) = psutil.Process(demo.pid).children()
        demo.send_signal(number)
        demo.communicate(timeout=TIMEOUT)
    assert demo.returncode == 128 + number
    assert not gateway.is_running()
    assert list(temporary_folder.iterdir()) == []


@posix_only
@pytest.mark.parametrize("last_line", ["waiting until it listens", "connected to"])
def test_a_demo_that_is_killed_leaves_no_gateway(temporary_folder: Path, last_line: str) -> None:
    with started("demo") as demo:
        lines = lines_until(demo, "waiting until it listens")
        (gateway,) = psutil.Process(demo.pid).children()
        if last_line not in lines[-1]:
            lines_until(demo, last_line)
        demo.kill()
        demo.communicate(timeout=TIMEOUT)
    gateway.wait(TIMEOUT)
    # Nobody was left to remove the folder, but the gateway took its token along.
    assert list(temporary_folder.glob("*/gateway.json")) == []


def test_a_demo_whose_gateway_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "websockets.py").write_text("raise ImportError('hidden', name='websockets')")
    monkeypatch.setenv("PYTHONPATH", str(hidden), prepend=os.pathsep)
    done = run("demo")
    assert done.returncode == 1
    assert "before it was ready" in done.stderr
    assert "opencode-sync-sdk[" in done.stderr
    assert "Traceback" not in done.stderr


@posix_only
def test_a_gateway_serves_the_other_commands_until_told_to_end(
    tmp_path: Path, runtime_file: Path
) -> None:
    database = str(tmp_path / "sessions.db")
    with started("gateway", "--backend", "embedded", "--database", database) as gateway:
        said = lines_until(gateway, "ws://127.0.0.1:")
        token = json.loads(runtime_file.read_text())["auth_token"]
        assert runtime_file.stat().st_mode & 0o077 == 0

        assert run("health").returncode == 0
        created = run("sessions", "create", "From a process", "--json")
        session_id = json.loads(created.stdout)["id"]
        assert "From a process" in run("sessions", "list").stdout
        assert run("sessions", "delete", session_id).returncode == 0
        assert run("sessions", "delete", session_id).returncode == 9

        gateway.send_signal(signal.SIGTERM)
        rest, errors = gateway.communicate(timeout=TIMEOUT)
    assert gateway.returncode == 0
    assert not runtime_file.exists()
    assert token not in "".join(said) + rest + errors
    assert "Traceback" not in errors


@posix_only
def test_ctrl_c_ends_a_gateway_that_has_served(tmp_path: Path, runtime_file: Path) -> None:
    database = str(tmp_path / "sessions.db")
    with started("gateway", "--backend", "embedded", "--database", database) as gateway:
        said = lines_until(gateway, "ws://127.0.0.1:")
        token = json.loads(runtime_file.read_text())["auth_token"]
        assert run("health").returncode == 0
        gateway.send_signal(signal.SIGINT)
        rest, errors = gateway.communicate(timeout=TIMEOUT)
    assert gateway.returncode == 0
    assert not runtime_file.exists()
    assert token not in "".join(said) + rest + errors
    assert "Traceback" not in errors


@posix_only
def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path) -> None:
    database = str(tmp_path / "sessions.db")
    with started("gateway", "--backend", "embedded", "--database", database) as gateway:
        lines_until(gateway, "ws://127.0.0.1:")
        run("sessions", "create", "One")
        for arguments in (("sessions", "list"), ("sessions", "list", "--json"), ("--help",)):
            reader, writer = os.pipe()
            os.close(reader)
            with open(writer, "wb") as closed_pipe:
                done = subprocess.run(
                    [*PROGRAM, *arguments],
                    stdout=closed_pipe,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=TIMEOUT,
                    check=False,
                )
            assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def gateway_in_shell(redirection: str, tmp_path: Path, runtime_file: Path) -> Iterator[None]:
    """A gateway whose streams a shell has closed or led elsewhere; it must end as told."""
    command = [*PROGRAM, "gateway", "--backend=embedded", f"--database={tmp_path / 's.db'}"]
    with subprocess.Popen(["sh", "-c", f'exec "$@" {redirection}', "sh", *command]) as gateway:
        try:
            assert eventually(runtime_file.exists, TIMEOUT)
            yield
            gateway.terminate()
            assert gateway.wait(TIMEOUT) == 0
        finally:
            gateway.kill()


@posix_only
@pytest.mark.parametrize(
    "redirection",
    [">&-", ">&- 2>&-", "<&- >&- 2>&-", pytest.param(">/dev/full", marks=needs_full)],
)
def test_a_gateway_serves_whatever_became_of_its_streams(
    tmp_path: Path, runtime_file: Path, redirection: str
) -> None:
    with gateway_in_shell(redirection, tmp_path, runtime_file):
        assert run("health").returncode == 0


@posix_only
@needs_full
def test_the_exit_code_does_not_depend_on_the_streams(tmp_path: Path, runtime_file: Path) -> None:
    def code(redirection: str, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *PROGRAM, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stderr

    with gateway_in_shell("", tmp_path, runtime_file):
        assert code(">&-", "sessions", "create", "One") == (0, "")
        assert code(">&-", "sessions", "list") == (0, "")
        assert code(">&-", "--help") == (0, "")
        assert code("2>&-", "sessions", "delete", "nope") == (7, "")
        assert code("2>/dev/full", "sessions", "delete", "nope") == (7, "")
        full, said = code(">/dev/full", "sessions", "list")
        assert full == 1
        assert said.startswith("error: standard output cannot be written")
        assert said.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    database = str(tmp_path / "sessions.db")
    with started("gateway", "--backend", "embedded", "--database", database) as gateway:
        line = lines_until(gateway, "ws://127.0.0.1:")[-1]
        port = line.partition("ws://127.0.0.1:")[2].partition("/")[0]
        other = (f"--database={tmp_path / 'other.db'}", f"--runtime-file={tmp_path / 'other.json'}")
        done = run("gateway", "--backend=embedded", "--port", port, *other)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert port in done.stderr
    assert done.stderr.count("\n") == 1

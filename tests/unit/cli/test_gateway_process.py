"""A gateway in a process of its own is waited for, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from opencode_sync.cli import gateway_process
from opencode_sync.cli.errors import CommandError
from opencode_sync.cli.gateway_process import GatewayProcess, gateway_command

READY = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("starting", flush=True)
pathlib.Path(sys.argv[1]).write_text("{}")
print("ready", flush=True)
signal.pause()
"""
STUBBORN = READY.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
LISTENING = "import os, sys; sys.exit(7 if os.read(0, 1) == b'' else 1)"
SILENT = "import signal; signal.pause()"
DYING = "import sys; print('first', flush=True); sys.exit('no room \\x1b[31mleft')"
SPEECHLESS = "import sys; sys.exit(3)"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in gateways use POSIX signals")


@pytest.fixture
def runtime_file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.json"


def standing_in(script: str, runtime_file: Path, **options: float) -> GatewayProcess:
    """A gateway process that runs a script instead of the gateway."""
    return GatewayProcess(
        [sys.executable, "-c", script, str(runtime_file)], runtime_file, **options
    )


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def readers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("opencode-sync-demo")]


def test_it_is_ready_once_its_runtime_file_is_there_and_ends_with_the_block(
    runtime_file: Path,
) -> None:
    with standing_in(READY, runtime_file) as process:
        process.wait_until_ready(20)
        assert runtime_file.exists()
        pid = process.pid
        assert not is_gone(pid)
    assert is_gone(pid)
    assert not process.killed
    assert readers() == []


def test_it_ends_with_the_block_when_the_block_fails(runtime_file: Path) -> None:
    process = standing_in(READY, runtime_file)

    def use_and_fail() -> None:
        with process:
            process.wait_until_ready(20)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert process.pid
    assert is_gone(process.pid)
    assert readers() == []


def test_one_that_ignores_the_request_to_end_is_killed(runtime_file: Path) -> None:
    with standing_in(STUBBORN, runtime_file, stop_timeout=0.2) as process:
        process.wait_until_ready(20)
        pid = process.pid
    assert process.killed
    assert is_gone(pid)
    assert readers() == []


def test_its_standard_input_lasts_as_long_as_the_block(runtime_file: Path) -> None:
    with standing_in(LISTENING, runtime_file) as process:
        inside = process._process
        assert inside is not None
        with pytest.raises(subprocess.TimeoutExpired):
            inside.wait(0.2)
        assert inside.stdin is not None
        inside.stdin.close()  # as the system does when this process is killed
        assert inside.wait(20) == 7
    with standing_in(READY, runtime_file) as process:
        process.wait_until_ready(20)
    assert process._process is not None
    assert process._process.stdin is not None
    assert process._process.stdin.closed


def test_one_that_says_nothing_is_given_up_in_time(runtime_file: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"not ready within 0\.2 s; it said nothing"),
        standing_in(SILENT, runtime_file) as process,
    ):
        process.wait_until_ready(0.2)
    assert is_gone(process.pid)


def test_one_that_dies_is_reported_with_its_last_words(runtime_file: Path) -> None:
    with (
        pytest.raises(CommandError) as failed,
        standing_in(DYING, runtime_file) as process,
    ):
        process.wait_until_ready(20)
    assert "ended with exit code 1 before it was ready" in failed.value.message
    assert r"its last words: no room \x1b[31mleft" in failed.value.message


def test_one_that_dies_without_a_word_is_reported_too(runtime_file: Path) -> None:
    with (
        pytest.raises(CommandError, match="exit code 3 before it was ready; it said nothing"),
        standing_in(SPEECHLESS, runtime_file) as process,
    ):
        process.wait_until_ready(20)


def test_one_that_closes_its_output_but_lives_on_is_reported_as_such(
    runtime_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_process, "_KILL_TIMEOUT", 0.2)
    script = "import os, signal; os.close(1); os.close(2); signal.pause()"
    with (
        pytest.raises(CommandError, match="ended with exit code None"),
        standing_in(script, runtime_file) as process,
    ):
        process.wait_until_ready(20)
    assert is_gone(process.pid)


def test_an_interrupted_wait_for_its_end_still_leaves_nothing_behind(
    runtime_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait
    interruptions = [KeyboardInterrupt()]

    def interrupted(self: subprocess.Popen[str], timeout: float | None = None) -> int:
        if interruptions:
            raise interruptions.pop()
        return wait(self, timeout)

    process = standing_in(STUBBORN, runtime_file).__enter__()
    process.wait_until_ready(20)
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.stop()
    assert is_gone(process.pid)
    assert readers() == []
    process.stop()


def test_a_reader_that_cannot_be_started_does_not_leave_the_process_behind(
    runtime_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    process = standing_in(SILENT, runtime_file)
    with pytest.raises(RuntimeError, match="new thread"):
        process.__enter__()
    assert is_gone(process.pid)


def test_one_that_never_started_needs_no_stop(runtime_file: Path) -> None:
    process = standing_in(READY, runtime_file)
    process.stop()
    assert process.pid == 0


def test_the_command_keeps_everything_in_its_folder_and_shows_no_secret(tmp_path: Path) -> None:
    command, runtime_file = gateway_command(tmp_path)
    assert command[0] == sys.executable
    assert "-m" in command
    assert runtime_file.parent == tmp_path
    assert f"--runtime-file={runtime_file}" in command
    assert f"--database={tmp_path / 'sessions.db'}" in command
    assert "--until-stdin-ends" in command
    assert not any("token" in word for word in command)


def test_the_command_trusts_the_current_folder_only_when_it_holds_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "-P" in gateway_command(tmp_path)[0]
    package = Path(gateway_process.opencode_sync.__file__).parent
    monkeypatch.chdir(package.parent)
    assert "-P" not in gateway_command(tmp_path)[0]

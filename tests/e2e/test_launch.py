"""``launch`` on a real OpenCode: it answers, and nothing of it outlives the program, however."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import opencode_sync
from opencode_sync import IpcServerError, launch
from opencode_sync.gateway.backends.opencode.server import discovery as opencode_discovery
from tests.e2e.opencode_server import RealServer, offline_environment
from tests.e2e.stub_model import StubModel
from tests.support.leaks import eventually, no_leaks
from tests.support.threads import together

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPT = re.findall(r"<!-- run: launched -->\n```python\n(.*?)```", README, re.DOTALL)
WAIT = 60.0

Start = Callable[..., RealServer]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture
def environ(
    opencode_program: Path, spawn_environment: dict[str, str], stub: StubModel, tmp_path: Path
) -> dict[str, str]:
    """An environment in which OpenCode is installed, and has the stub for a model."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "opencode").symlink_to(opencode_program)
    path = os.pathsep.join([str(folder), spawn_environment["PATH"]])
    return spawn_environment | {"PATH": path, "OPENCODE_CONFIG_CONTENT": stub.config()}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """``only(pid)``: of all OpenCodes that run here, launch sees this one; None for none."""

    def narrow(pid: int | None) -> None:
        real = opencode_discovery._candidates
        monkeypatch.setattr(
            opencode_discovery,
            "_candidates",
            lambda psutil: [each for each in real(psutil) if each.pid == pid],
        )

    return narrow


# The README's first script


def test_the_readmes_script_runs_as_it_stands_there(
    environ: dict[str, str],
    project: Path,
    only: Callable[[int | None], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    only(None)
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(project)
    (script,) = SCRIPT
    assert len(script.strip().splitlines()) <= 10
    with no_leaks():
        exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})
    assert "Hello from the stub model." in capsys.readouterr().out


# Which server


def test_a_running_server_is_used_and_left_running(
    start_opencode: Start, only: Callable[[int | None], None], project: Path
) -> None:
    server = start_opencode()
    only(server.pid)
    with no_leaks():
        with launch(project, environ=offline_environment(server.home)) as client:
            session = client.create_session("launched")
            found = client.discover_server()
            assert found is not None
            assert (found.pid, found.owned) == (server.pid, False)
            assert server.sessions()[session.id]["directory"] == str(project)
            assert session.id in {each.id for each in client.list_sessions()}
        assert server.is_running


def test_a_server_with_a_password_is_used_by_its_url(start_opencode: Start, project: Path) -> None:
    server = start_opencode(password="a-password-of-the-tests")
    with launch(project, url=server.url, password="a-password-of-the-tests") as client:
        assert client.check_server_health()
    with (
        pytest.raises(IpcServerError, match="OPENCODE_SERVER_PASSWORD") as caught,
        launch(project, url=server.url, environ={}),
    ):
        pass
    assert caught.value.code_name == "AUTH_ERROR"
    assert server.is_running


def test_two_at_once_have_a_server_each(environ: dict[str, str], tmp_path: Path) -> None:
    def work(number: int) -> tuple[int, str]:
        folder = tmp_path / f"project-{number}"
        folder.mkdir()
        with launch(folder, discover=False, environ=environ) as client:
            server = client.discover_server()
            assert server is not None
            return server.pid, client.create_session().directory

    with no_leaks():
        answers = [each.result(WAIT) for each in together(2, work)]
    assert len({pid for pid, _ in answers}) == 2
    assert [folder for _, folder in answers] == [
        str((tmp_path / f"project-{number}").resolve()) for number in range(2)
    ]
    assert not any(psutil.pid_exists(pid) for pid, _ in answers)


def test_a_server_that_dies_is_started_again(environ: dict[str, str], project: Path) -> None:
    others = {each.pid for each in psutil.Process().children(recursive=True)}

    # Not asked of the client: to find one would be what it does again then.
    def servers() -> list[psutil.Process]:
        children = psutil.Process().children(recursive=True)
        own = [each for each in children if each.pid not in others]
        return [each for each in own if "serve" in each.cmdline()[1:2]]

    with launch(project, discover=False, environ=environ) as client:
        (first,) = servers()
        first.kill()
        assert eventually(lambda: not psutil.pid_exists(first.pid), 10)
        assert client.create_session("on the second").title == "on the second"
        (second,) = servers()
    assert second.pid != first.pid
    assert not psutil.pid_exists(second.pid)


def test_without_opencode_it_says_how_to_install_it(
    only: Callable[[int | None], None], project: Path, tmp_path: Path
) -> None:
    only(None)
    with (
        no_leaks(),
        pytest.raises(IpcServerError, match="npm install -g opencode-ai") as caught,
        launch(project, environ={"PATH": str(tmp_path)}),
    ):
        pass
    assert caught.value.code_name == "NO_SERVER"


def test_a_server_that_does_not_start_says_why(project: Path, tmp_path: Path) -> None:
    broken = tmp_path / "opencode"
    broken.write_text("#!/bin/sh\necho the disk is full >&2\nexit 3\n")
    broken.chmod(0o755)
    with (
        no_leaks(),
        pytest.raises(IpcServerError, match="the disk is full"),
        launch(project, discover=False, executable=broken),
    ):
        pass


# How the program ends


OPEN = """
import sys
import opencode_sync
context = opencode_sync.launch({project!r}, discover=False)
print("starting", flush=True)
"""
LEFT_OPEN = OPEN + "client = context.__enter__()\nprint(client.discover_server().pid, flush=True)\n"
WAITING = (
    OPEN
    + """
with context as client:
    print(client.discover_server().pid, flush=True)
    session = client.create_session()
    try:
        client.prompt(session.id, "[[slow]]")
    except KeyboardInterrupt:
        sys.exit(7)
"""
)


@contextmanager
def script(source: str, project: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    environ = environ | {"PYTHONPATH": str(Path(opencode_sync.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", source.format(project=str(project))],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "starting\n"
            yield process
        finally:
            process.kill()


def server_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert psutil.pid_exists(pid)
    return pid


def gone(pid: int) -> bool:
    return eventually(lambda: not psutil.pid_exists(pid), 30)


def test_a_block_that_is_never_left_ends_with_the_interpreter(
    environ: dict[str, str], project: Path
) -> None:
    with script(LEFT_OPEN, project, environ) as process:
        pid = server_of(process)
        _, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, errors) == (0, "")
    assert not psutil.pid_exists(pid)


def test_ctrl_c_in_the_middle_of_an_answer(
    environ: dict[str, str], project: Path, stub: StubModel
) -> None:
    stub.hold()
    with script(WAITING, project, environ) as process:
        pid = server_of(process)
        assert stub.slow_started.acquire(timeout=WAIT)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT)
        stub.release()
    assert (process.returncode, errors) == (7, "")
    assert not psutil.pid_exists(pid)


def test_ctrl_c_while_the_server_starts(environ: dict[str, str], project: Path) -> None:
    with script(WAITING, project, environ) as process:
        me = psutil.Process(process.pid)
        # The guard is there; the server is about to be.
        assert eventually(lambda: bool(me.children()), WAIT)
        (guard,) = me.children()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert gone(guard.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "terminate"])
def test_a_killed_program_takes_its_server_along(
    environ: dict[str, str], project: Path, stub: StubModel, number: signal.Signals
) -> None:
    stub.hold()
    with script(WAITING, project, environ) as process:
        pid = server_of(process)
        assert stub.slow_started.acquire(timeout=WAIT)
        process.send_signal(number)
        process.communicate(timeout=WAIT)
        stub.release()
    assert process.returncode == -number
    assert gone(pid)

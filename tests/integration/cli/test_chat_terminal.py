"""``chat`` and ``events`` as people use them: real processes, in a terminal, over a real socket."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import opencode_sync
from opencode_sync.gateway import Gateway
from opencode_sync.wire.ext_event_pb2 import IpcEvent

from .talking import TalkingBackend
from .terminal import CTRL_C, WAIT, Terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")

PROGRAM = [sys.executable, "-m", "opencode_sync"]
PROMPT = "> "


@pytest.fixture
def backend(tmp_path: Path) -> TalkingBackend:
    return TalkingBackend(tmp_path / "sessions.db")


@pytest.fixture
def talking(backend: TalkingBackend, runtime_file: Path) -> Iterator[Gateway]:
    with Gateway(backend, runtime_file=runtime_file) as gateway:
        yield gateway


def chat(*options: str, kind: str = "dumb") -> Terminal:
    return Terminal([*PROGRAM, "chat", *options], kind=kind)


@pytest.mark.usefixtures("talking")
def test_ctrl_c_aborts_the_answer_and_not_the_program(backend: TalkingBackend) -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.type("hold\n")
        terminal.expect("Half")
        assert backend.holding.acquire(timeout=WAIT)
        terminal.type(CTRL_C)
        assert backend.aborted.acquire(timeout=WAIT)
        terminal.expect("(aborted)")
        terminal.expect(PROMPT)
        terminal.type("again\n")
        terminal.expect("You said: again")
        terminal.expect("$0.2500)")
        terminal.expect(PROMPT)
        assert terminal.end_typing() == 0
        assert "Traceback" not in terminal.shown


@pytest.mark.usefixtures("talking")
def test_a_second_ctrl_c_ends_the_program(backend: TalkingBackend) -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.type("hold\n")
        assert backend.holding.acquire(timeout=WAIT)
        terminal.type(CTRL_C)
        terminal.expect("(aborted)")
        terminal.expect(PROMPT)
        terminal.interrupt_typing()
        assert terminal.code() == 130
        assert "Traceback" not in terminal.shown


@pytest.mark.usefixtures("talking")
def test_at_the_prompt_one_ctrl_c_is_a_warning() -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.interrupt_typing()
        terminal.expect("Ctrl-C once more")
        terminal.expect(PROMPT)
        terminal.type("still here\n")
        terminal.expect("You said: still here")
        terminal.expect(PROMPT)
        terminal.interrupt_typing()
        terminal.expect("Ctrl-C once more")
        terminal.expect(PROMPT)
        terminal.interrupt_typing()
        assert terminal.code() == 130


@pytest.mark.usefixtures("talking")
def test_permission_is_asked_for_inline() -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.type("allow\n")
        terminal.expect("bash: rm -rf build")
        terminal.expect("Allow?")
        terminal.type("y\n")
        terminal.expect("Reply ALLOW ")
        terminal.expect(PROMPT)
        terminal.type("allow\n")
        terminal.expect("Allow?")
        terminal.type("n\n")
        terminal.expect("Reply DENY ")


@pytest.mark.usefixtures("talking")
def test_ctrl_c_at_a_question_aborts_the_answer(backend: TalkingBackend) -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.type("allow\n")
        terminal.expect("Allow?")
        terminal.interrupt_typing()
        assert backend.aborted.acquire(timeout=WAIT)
        terminal.expect("(aborted)")
        terminal.expect(PROMPT)
        assert terminal.end_typing() == 0


@pytest.mark.usefixtures("talking")
def test_a_session_is_picked_by_its_number() -> None:
    made = json.loads(run("sessions", "create", "The one", "--json").stdout)
    with chat() as terminal:
        terminal.expect('"The one"')
        terminal.expect("Enter for a new one: ")
        terminal.type("1\n")
        terminal.expect(f"({made['id']})")
        terminal.expect(PROMPT)
        assert terminal.end_typing() == 0
    assert len(json.loads(run("sessions", "list", "--json").stdout)) == 1


@pytest.mark.usefixtures("talking")
def test_what_is_waited_for_is_shown_meanwhile(backend: TalkingBackend) -> None:
    with chat("--new", kind="xterm") as terminal:
        terminal.expect(PROMPT)
        terminal.type("allow\n")
        terminal.expect("Waiting for the model")
        terminal.expect("Allow?")
        terminal.type("y\n")
        terminal.expect("Reply")


def test_a_lost_gateway_ends_it_and_says_so(talking: Gateway, backend: TalkingBackend) -> None:
    with chat("--new") as terminal:
        terminal.expect(PROMPT)
        terminal.type("hold\n")
        assert backend.holding.acquire(timeout=WAIT)
        talking.stop(0.1)
        terminal.expect("error: ")
        # The gateway may have said how the run ended, and the conversation goes on; not for long.
        with contextlib.suppress(OSError):
            terminal.type("again\n")
        assert terminal.code() == 4
        assert "Traceback" not in terminal.shown


def test_a_terminal_is_told_what_answers(talking: Gateway, backend: TalkingBackend) -> None:
    with chat("--new") as terminal:
        terminal.expect(f"This is {backend.description}.")
        terminal.expect(PROMPT)
        terminal.interrupt_typing()
        terminal.expect("Ctrl-C once more")
        terminal.expect(PROMPT)
        assert terminal.end_typing() == 0
        assert "\\n" not in terminal.shown


# Without a terminal


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


@pytest.mark.usefixtures("talking")
def test_in_a_pipe_the_answer_is_all_there_is() -> None:
    done = run("chat", stdin="the pipe")
    assert (done.returncode, done.stdout) == (0, "You said: the pipe \n")
    failed = run("chat", "fail")
    assert (failed.returncode, failed.stdout) == (7, "Half\n")
    assert "provider_auth" in failed.stderr


@pytest.mark.usefixtures("talking")
def test_in_a_pipe_permission_is_rejected_by_the_backend_and_told() -> None:
    record = json.loads(run("chat", "the pipe", "--json").stdout)
    assert (record["text"], record["cost"]) == ("You said: the pipe", 0.25)


def test_without_a_gateway_and_without_opencode_it_says_what_to_install(tmp_path: Path) -> None:
    # No process is seen, for one of them may be an OpenCode of whoever runs the tests.
    (tmp_path / "sitecustomize.py").write_text(
        "import psutil; psutil.process_iter = lambda *details: iter(())"
    )
    paths = [str(tmp_path), str(Path(opencode_sync.__file__).parents[1])]
    done = subprocess.run(
        [*PROGRAM, "chat", "Hi", "--directory", str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 7
    assert "npm install -g opencode-ai" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("gateway")
def test_a_gateway_without_a_model_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import psutil; psutil.process_iter = lambda *details: iter(())"
    )
    paths = [str(tmp_path), str(Path(opencode_sync.__file__).parents[1])]
    done = subprocess.run(
        [*PROGRAM, "chat", "Hi", "--directory", str(tmp_path)],
        env={**os.environ, "PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 7
    first, second = done.stderr.splitlines()
    assert "has no model" in first
    assert "npm install -g opencode-ai" in second


@pytest.mark.usefixtures("talking")
def test_events_end_with_ctrl_c(backend: TalkingBackend) -> None:
    with Terminal([*PROGRAM, "events"]) as terminal:
        terminal.expect("Listening")
        assert backend.subscribed.acquire(timeout=WAIT)
        backend.sinks[0].event(IpcEvent(type="session.idle", session_id="ses_1"))
        terminal.expect("session.idle")
        terminal.type(CTRL_C)
        assert terminal.code() == 0
        assert "Traceback" not in terminal.shown


def test_events_say_that_the_connection_was_lost(talking: Gateway, backend: TalkingBackend) -> None:
    with subprocess.Popen(
        [*PROGRAM, "events", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert backend.subscribed.acquire(timeout=WAIT)
            backend.sinks[0].event(IpcEvent(type="session.idle", session_id="ses_1"))
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["type"] == "session.idle"
            talking.stop(1)
            _, said = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert process.returncode in (4, 7)
    assert json.loads(said)["error"]["exit_code"] == process.returncode

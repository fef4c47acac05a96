"""The demo notices every wrong answer."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.cli import demo
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.cli.gateway_process import GatewayProcess
from opencode_sync.errors import IpcTimeoutError

from .conftest import Run
from .doubles import FakeClient, FakeLinks, session
from .test_gateway_process import READY, STUBBORN

Spoil = Callable[[FakeClient], None]


@pytest.fixture
def connected(client: FakeClient) -> FakeClient:
    client.connected = True
    return client


def check(client: FakeClient, rounds: int = 3) -> None:
    demo.check_client(client, rounds=rounds)  # type: ignore[arg-type]


def test_right_answers_pass_and_are_shown(
    connected: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    check(connected)
    said = capsys.readouterr().out
    assert "created 3 sessions" in said
    assert "Explain this module" in said
    assert "ses_" in said
    assert "latency of 3 list requests" in said


def unreachable(client: FakeClient) -> None:
    client.health_check = lambda: False  # type: ignore[method-assign]


def unhealthy(client: FakeClient) -> None:
    client.healthy = False


def not_empty(client: FakeClient) -> None:
    client.sessions["ses_x"] = session(99)


def wrong_title(client: FakeClient) -> None:
    create = client.create_session
    client.create_session = lambda title=None: create("another")  # type: ignore[method-assign]


def same_id(client: FakeClient) -> None:
    client.create_session = lambda title=None: session(1, title)  # type: ignore[method-assign, arg-type]


def forgotten(client: FakeClient) -> None:
    create = client.create_session

    def creating(title: str | None = None) -> Any:
        made = create(title)
        del client.sessions[made.id]
        return made

    client.create_session = creating  # type: ignore[method-assign]


def renamed_later(client: FakeClient) -> None:
    listing = client.list_sessions
    client.list_sessions = (
        lambda: [  # type: ignore[method-assign]
            session(int(s.id[4:]), "another") for s in listing()
        ]
    )


def not_deleted(client: FakeClient) -> None:
    client.delete_session = lambda session_id: True  # type: ignore[method-assign]


def denied(client: FakeClient) -> None:
    client.delete_session = lambda session_id: False  # type: ignore[method-assign]


def always_deleted(client: FakeClient) -> None:
    delete = client.delete_session

    def deleting(session_id: str) -> bool:
        delete(session_id)
        return True

    client.delete_session = deleting  # type: ignore[method-assign]


def unknown_deleted(client: FakeClient) -> None:
    delete = client.delete_session
    client.delete_session = lambda session_id: (  # type: ignore[method-assign]
        delete(session_id) or session_id.endswith("0" * 26)
    )


def wrong_later(client: FakeClient) -> None:
    listing = client.list_sessions
    client.list_sessions = lambda: (  # type: ignore[method-assign]
        [] if len(client.asked) > 9 else listing()
    )


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (unreachable, "health_check"),
        (unhealthy, "check_server_health"),
        (not_empty, "empty store"),
        (wrong_title, "titles of the new sessions"),
        (same_id, "different ids"),
        (forgotten, "the list"),
        (renamed_later, "titles in the list"),
        (not_deleted, "after deleting one"),
        (denied, "deleting a session that is there"),
        (always_deleted, "deleting that session again"),
        (unknown_deleted, "that never was"),
        (wrong_later, "during the measurement"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_answer_fails_the_demo_and_is_named(
    connected: FakeClient, spoil: Spoil, problem: str
) -> None:
    spoil(connected)
    with pytest.raises(CommandError) as failed:
        check(connected)
    assert failed.value.exit_code is ExitCode.FAILED
    assert problem in failed.value.message


def test_no_answer_passes_through_as_what_it_is(connected: FakeClient) -> None:
    connected.failure = IpcTimeoutError("silence", timeout=1, operation="check_server_health")
    connected.health_check = lambda: True  # type: ignore[method-assign]
    with pytest.raises(IpcTimeoutError):
        check(connected)


class TestCommand:
    """``opencode-sync demo``, with a stand-in for the gateway's process."""

    pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins use POSIX signals")

    @pytest.fixture(autouse=True)
    def stand_in(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.folders: list[Path] = []
        self.script = READY
        self.options: dict[str, float] = {}

        def command(folder: Path) -> tuple[list[str], Path]:
            self.folders.append(folder)
            runtime_file = folder / "gateway.json"
            return [sys.executable, "-c", self.script, str(runtime_file)], runtime_file

        def process(words: list[str], runtime_file: Path) -> GatewayProcess:
            return GatewayProcess(words, runtime_file, **self.options)

        monkeypatch.setattr(demo, "gateway_command", command)
        monkeypatch.setattr(demo, "GatewayProcess", process)

    def test_right_answers_exit_0(self, run: Run, links: FakeLinks) -> None:
        result = run("demo")
        assert result.exit_code == 0
        assert "Demo passed" in result.stdout
        (folder,) = self.folders
        assert links.opened == [(folder / "gateway.json", 10.0)]
        assert not folder.exists()

    def test_a_wrong_answer_exits_1_and_leaves_nothing(self, run: Run, client: FakeClient) -> None:
        client.healthy = False
        result = run("demo")
        assert result.exit_code == 1
        assert "the demo failed: check_server_health()" in result.stderr
        assert not self.folders[0].exists()

    def test_no_answer_exits_1_too(self, run: Run, client: FakeClient) -> None:
        client.connect_failure = IpcTimeoutError("silence", timeout=1, operation="connect")
        result = run("demo")
        assert result.exit_code == 1
        assert result.stderr == "error: the demo failed: silence\n"
        assert not self.folders[0].exists()

    def test_a_gateway_that_dies_exits_1_with_its_words(self, run: Run) -> None:
        self.script = "import sys; sys.exit('no disk')"
        result = run("demo")
        assert result.exit_code == 1
        assert "no disk" in result.stderr
        assert not self.folders[0].exists()

    def test_a_gateway_that_will_not_end_fails_the_demo(self, run: Run) -> None:
        self.script = STUBBORN
        self.options = {"stop_timeout": 0.2}
        result = run("demo")
        assert result.exit_code == 1
        assert "was killed" in result.stderr
        assert not self.folders[0].exists()

    def test_ctrl_c_exits_130_and_leaves_nothing(self, run: Run, client: FakeClient) -> None:
        client.connect_failure = KeyboardInterrupt()
        result = run("demo")
        assert result.exit_code == 130
        assert not self.folders[0].exists()


def test_the_latency_line_names_its_figures() -> None:
    line = demo.latency_summary([0.001 * number for number in range(1, 101)])
    assert line.startswith("latency of 100 list requests, one after another: ")
    assert "p50 50.50 ms" in line
    assert "p90 90.10 ms" in line
    assert "p99 99.01 ms" in line
    assert line.endswith("20 requests/s")


def test_a_signal_ends_the_block_in_order_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned: list[bool] = []

    def block() -> None:
        with demo._ended_by_signals():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                cleaned.append(True)

    with pytest.raises(SystemExit) as ended:
        block()
    assert ended.value.code == 128 + signal.SIGTERM
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def block() -> None:
        with demo._ended_by_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join(10)
    assert seen == [before]

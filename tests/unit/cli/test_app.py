"""The root command: help, version, wrong use, and where every error ends."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from loguru import logger
from typer.testing import CliRunner

from opencode_sync import __version__
from opencode_sync.cli import app as root
from opencode_sync.cli import main
from opencode_sync.cli.errors import EXIT_CODES
from opencode_sync.errors import IpcCancelledError, IpcConfigError, IpcConnectionError

from .conftest import Run
from .doubles import FakeClient


@pytest.fixture
def default_log() -> Iterator[None]:
    """Gives the process its default log back after a test of ``--verbose``, which replaces it."""
    yield
    logger.remove()
    logger.add(sys.__stderr__ or sys.stderr)


def words(text: str) -> str:
    """The text without the frame and line breaks that a help page puts around it."""
    return " ".join(text.replace("│", " ").split())


def test_help_explains_every_exit_code_and_command(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    text = words(result.stdout)
    for code, meaning in EXIT_CODES.items():
        assert f"{int(code)} {meaning}" in text
    for command in (
        "demo",
        "gateway",
        "health",
        "doctor",
        "chat",
        "events",
        "agents",
        "models",
        "providers",
        "sessions",
        "config",
        "auth",
        "gui",
    ):
        assert command in text


def test_help_of_a_command_that_connects_says_why_there_is_no_token_option(run: Run) -> None:
    for command in (["health"], ["sessions", "get"], ["config", "set"], ["chat"], ["doctor"]):
        text = words(run(*command, "--help").stdout)
        assert "no option for the token" in text
        assert "list of processes" in text


@pytest.mark.parametrize("arguments", [(), ("sessions",), ("config",), ("auth",)])
def test_no_command_shows_the_help_and_is_wrong_use(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: opencode-sync" in result.stdout


def test_version_is_that_of_the_package(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"opencode-sync {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("rubbish",), "No such command 'rubbish'"),
        (("health", "--rubbish"), "--rubbish"),
        (("sessions", "rubbish"), "No such command 'rubbish'"),
        (("sessions", "delete"), "Missing argument"),
        (("health", "--token", "secret"), "--token"),
    ],
)
def test_wrong_use_is_one_line_with_the_help_to_see(
    run: Run, arguments: tuple[str, ...], hint: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert hint in result.stderr
    assert "--help)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_wrong_use_with_json_is_json_too(run: Run) -> None:
    result = run("health", "--json", "--rubbish")
    assert json.loads(result.stderr)["error"]["kind"] == "usage"


def test_wrong_use_found_by_a_command_points_to_its_help(run: Run, client: FakeClient) -> None:
    client.failure = typer.BadParameter("not like this")
    result = run("sessions", "list")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: Invalid value: not like this (see: opencode-sync sessions list --help)\n"
    )


def test_wrong_use_that_names_no_command_points_to_the_root() -> None:
    error = root._usage(typer.BadParameter("not like this"))
    assert error.message == "Invalid value: not like this (see: opencode-sync --help)"


def test_ctrl_c_is_130_and_no_traceback(run: Run, client: FakeClient) -> None:
    client.failure = KeyboardInterrupt()
    result = run("sessions", "list")
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted\n"


def test_an_end_of_input_is_an_interruption(run: Run, client: FakeClient) -> None:
    client.failure = typer.Abort()
    assert run("sessions", "list").exit_code == 130


def test_a_cancelled_request_is_10(run: Run, client: FakeClient) -> None:
    client.failure = IpcCancelledError("cancelled", operation="list_sessions")
    assert run("sessions", "list").exit_code == 10


def test_an_unforeseen_error_is_one_line(run: Run, client: FakeClient) -> None:
    client.failure = RuntimeError("what?")
    result = run("sessions", "list")
    assert result.exit_code == 1
    assert "unexpected RuntimeError: what?" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("default_log")
def test_verbose_adds_the_traceback_without_values(run: Run, client: FakeClient) -> None:
    client.failure = RuntimeError("what?")
    result = run("--verbose", "sessions", "list")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: unexpected RuntimeError")


@pytest.mark.usefixtures("default_log")
@pytest.mark.parametrize(
    "failure",
    [IpcConnectionError("nobody listens"), IpcConfigError("no gateway"), KeyboardInterrupt()],
    ids=["connection", "configuration", "interrupt"],
)
def test_verbose_adds_no_traceback_to_what_is_foreseen(
    run: Run, client: FakeClient, failure: BaseException
) -> None:
    client.failure = failure
    result = run("--verbose", "sessions", "list")
    assert result.exit_code > 1
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.usefixtures("default_log")
def test_verbose_shows_the_librarys_log_while_the_command_runs(
    run: Run, client: FakeClient
) -> None:
    def log(secret: str = "the-token") -> list[Any]:
        library = logger.patch(lambda record: record.update(name="opencode_sync.connection"))
        logger.enable("opencode_sync")
        try:
            raise RuntimeError("inside")
        except RuntimeError:
            library.exception("from the library")
        return []

    client.list_sessions = log  # type: ignore[method-assign]
    result = run("-v", "sessions", "list")
    assert result.exit_code == 0
    assert "from the library" in result.stderr
    assert "the-token" not in result.stderr


@pytest.mark.usefixtures("default_log")
@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions", "list", "--verbose"),
        ("sessions", "-v", "list"),
        ("-v", "sessions", "-v", "list", "-v"),
        ("sessions", "create", "-v"),
        ("sessions", "delete", "ses_1", "-v"),
        ("health", "-v"),
    ],
)
def test_verbose_may_stand_after_the_command_too(
    run: Run, client: FakeClient, arguments: tuple[str, ...]
) -> None:
    def log(*call: Any) -> None:
        library = logger.patch(lambda record: record.update(name="opencode_sync.connection"))
        library.info("from the library")
        raise RuntimeError("what?")

    client._note = log  # type: ignore[method-assign]
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.count("from the library") == 1
    assert result.stderr.count("Traceback") == 1


@pytest.mark.parametrize("command", ["demo", "gateway"])
def test_every_command_knows_verbose(run: Run, command: str) -> None:
    assert "--verbose" in run(command, "--help").stdout


def test_a_reader_who_went_away_is_no_error(run: Run, client: FakeClient) -> None:
    client.failure = BrokenPipeError(errno.EPIPE, "Broken pipe")
    result = run("sessions", "list")
    assert result.exit_code == 0
    assert result.stderr == ""


def test_standalone_use_of_the_app_exits_with_the_same_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["opencode-sync", "rubbish"])
    with pytest.raises(SystemExit) as ended:
        root.app()
    assert ended.value.code == 2
    assert "No such command" in capsys.readouterr().err


class TestMain:
    """The console script."""

    def test_returns_the_exit_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert main(["rubbish"]) == 2
        assert "opencode-sync" in capsys.readouterr().out

    def test_takes_the_arguments_of_the_process(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["opencode-sync", "--version"])
        assert main() == 0
        assert capsys.readouterr().out.startswith("opencode-sync ")

    def test_a_terminal_without_unicode_gets_escapes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        raw = io.BytesIO()
        narrow = io.TextIOWrapper(raw, encoding="ascii")
        monkeypatch.setattr("sys.stdout", narrow)
        monkeypatch.setattr(root, "get_command", lambda app: _Printing("ż"))
        assert root.run([]) == 0
        assert raw.getvalue() == b"\\u017c"

    def test_standard_output_may_be_anything_that_takes_text(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = io.StringIO()
        monkeypatch.setattr("sys.stdout", plain)
        monkeypatch.setattr(root, "get_command", lambda app: _Printing("text"))
        assert root.run([]) == 0
        assert plain.getvalue() == "text"

    @pytest.mark.parametrize("closed", [("stdout",), ("stderr",), ("stdout", "stderr")])
    def test_streams_that_were_closed_before_the_start_are_no_error(
        self, monkeypatch: pytest.MonkeyPatch, closed: tuple[str, ...]
    ) -> None:
        for name in closed:
            monkeypatch.setattr(sys, name, None)
        monkeypatch.setattr(root, "get_command", lambda app: _Printing("text", "more"))
        assert root.run([]) == 0
        assert [getattr(sys, name) for name in closed] == [None] * len(closed)

    def test_a_closed_standard_error_keeps_the_exit_code(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stderr", None)
        assert main(["rubbish"]) == 2

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    @pytest.mark.parametrize("option", ["--help", "--version"])
    def test_a_text_that_cannot_be_written_is_one_line(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        option: str,
    ) -> None:
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert main([option]) == 1
            # What is left of the text goes nowhere, so that closing does not fail again.
            assert os.fstat(full.fileno()).st_rdev == os.stat(os.devnull).st_rdev
        said = capsys.readouterr().err
        assert said.startswith("error: standard output cannot be written: No space left")
        assert said.count("\n") == 1

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    @pytest.mark.usefixtures("default_log")
    def test_a_standard_error_that_takes_nothing_keeps_the_exit_code(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENCODE_IPC_PORT", "rubbish")
        with open("/dev/full", "w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stderr", full)
            assert main(["-v", "health"]) == 3

    def test_the_end_by_a_signal_keeps_its_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(root, "get_command", lambda app: _Ending(143))
        assert root.run([]) == 143

    @pytest.mark.parametrize("code", [1, None, "text"])
    def test_typers_own_end_at_a_broken_pipe_is_no_error(
        self, monkeypatch: pytest.MonkeyPatch, code: object
    ) -> None:
        monkeypatch.setattr(root, "get_command", lambda app: _Ending(code))
        assert root.run([]) == 0

    @pytest.mark.skipif(os.name == "nt", reason="Windows reports a closed pipe differently")
    def test_output_that_cannot_be_flushed_is_dropped_quietly(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", encoding="utf-8") as broken:
            monkeypatch.setattr("sys.stdout", broken)
            monkeypatch.setattr(root, "get_command", lambda app: _Printing("something"))
            assert root.run([]) == 0
            assert os.fstat(broken.fileno()).st_rdev == os.stat(os.devnull).st_rdev


class _Ending:
    def __init__(self, code: object) -> None:
        self.code = code

    def main(self, *arguments: Any, **options: Any) -> int:
        raise SystemExit(self.code)


class _Printing:
    def __init__(self, text: str, errors: str = "") -> None:
        self.text = text
        self.errors = errors

    def main(self, *arguments: Any, **options: Any) -> int:
        sys.stdout.write(self.text)
        sys.stderr.write(self.errors)
        return 0


def test_the_app_runs_under_typers_own_runner() -> None:
    assert CliRunner().invoke(root.app, ["--version"]).exit_code == 0

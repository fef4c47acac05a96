"""Each kind of error has its exit code and its one line."""

from __future__ import annotations

import io
import json

import pytest

from opencode_sync import errors
from opencode_sync.cli.errors import EXIT_CODES, CommandError, ExitCode, exit_code_for, report

EVERY_KIND = [
    (errors.IpcConfigError("port is missing", field="port", source="environment"), 3),
    (errors.IpcConnectionError("refused", endpoint="ws://127.0.0.1:4096/"), 4),
    (errors.IpcAuthenticationError("token refused"), 5),
    (errors.IpcTimeoutError("no answer", timeout=1.0, operation="list_sessions"), 6),
    (errors.IpcServerError("no server", request_id=2, code=1, operation="list_sessions"), 7),
    (errors.IpcUnsupportedOperationError("no", request_id=2, code=1, operation="x"), 7),
    (errors.IpcPromptError("the model failed", kind="api"), 7),
    (errors.IpcSlowConsumerError("too slow", missed=3), 1),
    (errors.IpcProtocolError("rubbish"), 8),
    (errors.IpcCancelledError("cancelled", operation="list_sessions"), 10),
    (errors.IpcArgumentError("session_id is empty", field="session_id"), 2),
    (errors.IpcUsageError("not on this thread"), 1),
    (CommandError("no such session", ExitCode.NOT_FOUND), 9),
    (KeyboardInterrupt(), 130),
    (ZeroDivisionError("a bug"), 1),
]


@pytest.mark.parametrize(("error", "code"), EVERY_KIND, ids=lambda value: type(value).__name__)
def test_each_kind_of_error_has_its_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_for(error) == code
    assert report(error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_every_exit_code_is_explained() -> None:
    assert set(EXIT_CODES) == set(ExitCode)
    assert all(EXIT_CODES.values())


def test_every_class_of_error_has_an_exit_code_of_its_own_choosing() -> None:
    covered = {type(error) for error, _ in EVERY_KIND}
    concrete = {getattr(errors, name) for name in errors.__all__ if name.startswith("Ipc")}
    assert concrete - covered == {errors.IpcError}


def test_an_error_line_is_one_line_that_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(errors.IpcProtocolError("first\nsecond \x1b[2J"))
    assert capsys.readouterr().err == "error: first\\nsecond \\x1b[2J\n"


def test_the_line_names_what_to_do_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.IpcConnectionError("refused"))
    report(errors.IpcTimeoutError("silence", timeout=1, operation="connect"))
    refused, silence = capsys.readouterr().err.splitlines()
    assert refused.endswith("(is a gateway running? Start one with: opencode-sync gateway)")
    assert silence.endswith("(allow more with --timeout)")


def test_a_remedy_that_the_text_names_already_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "nobody listens; start a gateway with: opencode-sync gateway"
    report(errors.IpcConnectionError(text))
    assert capsys.readouterr().err == f"error: {text}\n"


def test_an_unforeseen_error_names_its_type_and_how_to_see_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(ZeroDivisionError("division by zero"))
    line = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: division by zero" in line
    assert "--verbose" in line


def test_json_errors_carry_the_kind_the_code_and_the_context(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(
        errors.IpcServerError(
            "no server connected", request_id=7, code=2, operation="list_sessions"
        ),
        as_json=True,
    )
    said = json.loads(capsys.readouterr().err)
    assert said == {
        "error": {
            "kind": "server",
            "exit_code": 7,
            "message": "no server connected",
            "operation": "list_sessions",
            "request_id": 7,
            "code": errors.error_code_name(2),
        }
    }


def test_json_errors_of_a_lost_connection_say_whether_a_retry_is_safe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(errors.IpcConnectionError("lost", request_sent=True, close_code=1001), as_json=True)
    said = json.loads(capsys.readouterr().err)["error"]
    assert said["request_sent"] is True
    assert said["close_code"] == 1001


def test_a_standard_error_that_is_gone_does_not_hide_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr("sys.stderr", gone)
    assert report(errors.IpcProtocolError("rubbish")) is ExitCode.PROTOCOL


def test_a_command_error_reads_as_its_message() -> None:
    assert str(CommandError("gone", ExitCode.NOT_FOUND)) == "gone"


def test_a_failed_run_tells_programs_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = errors.IpcPromptError("busy", kind="rate_limited", status=429, retryable=True)
    assert report(failed, as_json=True) == ExitCode.SERVER
    said = json.loads(capsys.readouterr().err)["error"]
    assert (said["kind"], said["failure"]) == ("server", "rate_limited")
    assert (said["status"], said["retryable"]) == (429, True)

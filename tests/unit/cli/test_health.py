"""``opencode-sync health``: the verdict, for people and for programs."""

from __future__ import annotations

import json

import pytest

from opencode_sync import errors

from .conftest import Run
from .doubles import FakeClient, FakeLinks


def test_a_healthy_backend_exits_0_and_tells_both_times(run: Run) -> None:
    result = run("health")
    assert result.exit_code == 0
    assert "reachable at ws://127.0.0.1:4096/ (connected in " in result.stdout
    assert "server   healthy (answered in " in result.stdout


def test_the_json_verdict_holds_the_same(run: Run) -> None:
    said = json.loads(run("health", "--json").stdout)
    assert said["backend"]["reachable"] is True
    assert said["backend"]["endpoint"] == "ws://127.0.0.1:4096/"
    assert said["backend"]["connect_ms"] >= 0
    assert said["server"]["healthy"] is True
    assert said["server"]["answer_ms"] >= 0


def test_an_unhealthy_server_behind_a_backend_that_works(run: Run, client: FakeClient) -> None:
    client.healthy = False
    result = run("health")
    assert result.exit_code == 7
    assert "NOT healthy" in result.stdout
    assert "OpenCode's own log" in result.stderr


def test_an_unhealthy_server_as_json(run: Run, client: FakeClient) -> None:
    client.healthy = False
    result = run("health", "--json")
    assert result.exit_code == 7
    assert json.loads(result.stdout)["server"]["healthy"] is False
    assert json.loads(result.stderr)["error"]["kind"] == "server"


def test_a_backend_that_answers_with_an_error_is_reachable_all_the_same(
    run: Run, client: FakeClient
) -> None:
    client.failure = errors.IpcServerError(
        "no server connected", request_id=2, code=4, operation="check_health"
    )
    result = run("health", "--json")
    assert result.exit_code == 7
    said = json.loads(result.stdout)
    assert said["backend"]["reachable"] is True
    assert said["server"]["healthy"] is False
    assert json.loads(result.stderr)["error"]["message"] == "no server connected"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.IpcConnectionError("refused"), 4),
        (errors.IpcAuthenticationError("wrong token"), 5),
        (errors.IpcTimeoutError("silence", timeout=1, operation="connect"), 6),
        (errors.IpcProtocolError("rubbish"), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_backend_that_cannot_be_used_exits_by_kind(
    run: Run, client: FakeClient, failure: Exception, code: int
) -> None:
    client.connect_failure = failure
    result = run("health")
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {failure}")
    assert result.stderr.count("\n") == 1


def test_a_missing_configuration_exits_3(run: Run, links: FakeLinks) -> None:
    links.failure = errors.IpcConfigError("nothing found; start a gateway", field="port")
    result = run("health", "--json")
    assert result.exit_code == 3
    said = json.loads(result.stderr)["error"]
    assert said["field"] == "port"
    assert said["message"] == "nothing found; start a gateway"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "1e300", "soon", ""])
def test_a_timeout_that_makes_no_sense_is_wrong_use(run: Run, links: FakeLinks, value: str) -> None:
    result = run("health", "--timeout", value)
    assert result.exit_code == 2
    assert "--timeout" in result.stderr
    assert "opencode-sync health --help" in result.stderr
    assert result.stderr.count("\n") == 1
    assert links.opened == []

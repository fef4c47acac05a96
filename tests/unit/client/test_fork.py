"""After a fork the client belongs to the parent: the child is told so, the parent goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What the script saw on both sides. A process of its own, because forking one with pytest's
    threads in it warns, and a child that failed would run on as a second pytest."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.unit.client.fork_script"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    "name",
    [
        "connect",
        "enter",
        "health_check",
        "check_server_health",
        "discover_server",
        "spawn_server",
        "stop_server",
        "list_sessions",
        "create_session",
        "delete_session",
        "wait_for_state",
        "futures.list_sessions",
        "futures.create_session",
    ],
)
def test_every_call_in_the_child_is_refused(report: dict[str, Any], name: str) -> None:
    assert report[name] == "refused"


def test_refusing_takes_no_time(report: dict[str, Any]) -> None:
    assert report["seconds"] < 2


def test_the_child_may_close_what_it_inherited_and_exit(report: dict[str, Any]) -> None:
    assert report["close"] == report["close again"] == "allowed"
    assert report["child's exit code"] == 0


def test_a_client_that_was_never_connected_may_be_used_in_the_child(
    report: dict[str, Any],
) -> None:
    assert report["a client not used before"] == "allowed"


def test_the_parent_goes_on_undisturbed(report: dict[str, Any]) -> None:
    assert report["parent's request in flight"] == "answered"
    assert report["parent's health"] is True
    assert report["parent's state"] == "connected"


@pytest.mark.parametrize("name", ["stream.cancel", "stream.close", "future.cancel", "token.cancel"])
def test_the_child_may_let_go_of_what_its_parent_asked_for(
    report: dict[str, Any], name: str
) -> None:
    assert report[name] == "allowed"


def test_what_the_child_lets_go_of_goes_on_in_the_parent(report: dict[str, Any]) -> None:
    assert report["parent's runs ended"] is False
    assert report["parent's operations"] == [
        "list_sessions",
        "prompt",
        "prompt",
        "check_health",
    ]

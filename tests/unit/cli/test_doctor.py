"""``opencode-sync doctor``: each finding with its remedy, an exit code, and no hanging."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opencode_sync import __version__
from opencode_sync.cli import checks, doctor
from opencode_sync.cli.checks import Check, Finding, Level
from opencode_sync.cli.gateway_checks import check_gateway
from opencode_sync.errors import (
    IpcAuthenticationError,
    IpcConfigError,
    IpcConnectionError,
    IpcServerError,
    IpcUnsupportedOperationError,
)
from opencode_sync.gateway import BackendError
from opencode_sync.gateway.backends.opencode.server import discovery as opencode_discovery
from opencode_sync.wire import ipc_pb2

from .conftest import Run
from .doubles import FakeClient, FakeLinks

NO_SERVER = ipc_pb2.IPC_ERROR_CODE_NO_SERVER


def fixed(*findings: Finding) -> Check:
    return Check("thing", "the thing", 30, lambda: list(findings))


def finding(name: str = "thing", level: Level = Level.OK, **fields: Any) -> Finding:
    return Finding(name, level, "what was found", **fields)


# The command


def test_nothing_wrong_is_0(run: Run, links: FakeLinks) -> None:
    links.checks = [fixed(finding(), finding("other", Level.NOTE, remedy="do \x1b this"))]
    done = run("doctor")
    assert done.exit_code == 0
    assert done.stderr == ""
    ok, note, remedy, verdict = done.stdout.splitlines()
    assert ok.split() == ["ok", "thing", "what", "was", "found"]
    assert note.split()[:2] == ["note", "other"]
    assert remedy.strip() == "-> do \\x1b this"
    assert verdict == "Nothing is wrong."


def test_problems_are_1(run: Run, links: FakeLinks) -> None:
    links.checks = [fixed(finding(level=Level.PROBLEM))]
    done = run("doctor")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "1 problem.")
    links.checks *= 2
    assert run("doctor").stdout.endswith("2 problems.\n")


def test_json_has_every_finding(run: Run, links: FakeLinks) -> None:
    links.checks = [fixed(finding(details={"version": "1"}, remedy="do", level=Level.PROBLEM))]
    done = run("doctor", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "findings": [
            {
                "name": "thing",
                "level": "problem",
                "text": "what was found",
                "remedy": "do",
                "version": "1",
            }
        ],
    }


def test_a_check_that_hangs_is_a_problem_and_no_hanging(run: Run, links: FakeLinks) -> None:
    release, ended = threading.Event(), threading.Event()

    def hang() -> list[Finding]:
        release.wait(60)
        ended.set()
        return []

    links.checks = [Check("stuck", "what is stuck", 0.05, hang), fixed(finding())]
    done = run("doctor")
    release.set()
    assert ended.wait(10)
    assert done.exit_code == 1
    assert "took longer than 0.05 s" in done.stdout
    assert "ok      thing" in done.stdout


@pytest.mark.parametrize(
    ("error", "text"), [(IpcConfigError("no good"), "no good"), (KeyError("x"), "KeyError('x')")]
)
def test_a_check_that_fails_does_not_hide_the_others(
    run: Run, links: FakeLinks, error: Exception, text: str
) -> None:
    def fail() -> list[Finding]:
        raise error

    links.checks = [Check("odd", "the odd", 30, fail), fixed(finding())]
    done = run("doctor")
    assert done.exit_code == 1
    assert text in done.stdout
    assert "ok      thing" in done.stdout


@pytest.mark.parametrize("details", [{"server": "http://x"}, {"healthy": True}])
def test_who_has_a_server_needs_no_program(
    run: Run, links: FakeLinks, details: dict[str, Any]
) -> None:
    missing = finding(checks.PROGRAM, Level.PROBLEM, details={"path": None})
    links.checks = [fixed(missing)]
    assert run("doctor").exit_code == 1
    links.checks = [fixed(missing, finding(details=details))]
    assert run("doctor").exit_code == 0
    links.checks = [fixed(finding(checks.PROGRAM, Level.PROBLEM), finding(details=details))]
    assert run("doctor").exit_code == 1


def test_without_an_opencode_nothing_promises_to_start_one(run: Run, links: FakeLinks) -> None:
    no_server = finding(checks.SERVERS, details={"server": None})
    no_gateway = finding(checks.GATEWAY, Level.NOTE, remedy="start one", details={"endpoint": None})
    missing = finding(checks.PROGRAM, Level.PROBLEM, details={"path": None})
    links.checks = [fixed(missing, no_server, no_gateway)]
    shown = [line.strip() for line in run("doctor").stdout.splitlines()]
    assert shown[1:4] == [
        "note    OpenCode servers  none runs, and there is none to start",
        "note    gateway           none runs",
        "-> install OpenCode first; without it opencode-sync gateway serves a store that has no "
        "model",
    ]
    there = finding(checks.PROGRAM, details={"path": "/bin/opencode"})
    links.checks = [fixed(there, no_server, no_gateway)]
    assert run("doctor").stdout.count("what was found") == 3


def test_everything_is_looked_at(links: FakeLinks) -> None:
    names = [check.name for check in doctor._checks(None, None, links.open)]
    assert names == [
        "this program",
        "packages",
        "variables",
        "OpenCode",
        "OpenCode servers",
        "gateway",
    ]
    assert all(check.seconds <= 10 for check in doctor._checks(None, None, links.open))


# This program


def test_versions_are_told() -> None:
    (found,) = checks.check_python()
    assert __version__ in found.text
    assert found.details["python"] == sys.version.split()[0]


def test_packages_are_told_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {each.name: each.level for each in checks.check_packages()} == {
        "packages": Level.OK,
        "extra gateway": Level.OK,
        "extra cli": Level.OK,
        "extra http": Level.OK,
        "extra desktop": Level.OK,
        "extra otel": Level.OK,
    }
    real = checks.importlib.metadata.version

    def some(name: str) -> str:
        if name in ("psutil", "requests", "protobuf"):
            raise checks.importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(checks.importlib.metadata, "version", some)
    found = {each.name: each for each in checks.check_packages()}
    assert found["packages"].remedy == 'pip install "opencode-sync-sdk"'
    assert found["extra gateway"].level is Level.PROBLEM
    assert found["extra gateway"].remedy == 'pip install "opencode-sync-sdk[gateway]"'
    assert "psutil" in found["extra gateway"].text
    assert found["extra http"].level is Level.NOTE


# OpenCode's program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def script(path: Path, content: str) -> None:
    program = path / "opencode"
    program.write_text(f"#!/bin/sh\n{content}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def program() -> Finding:
    (found,) = checks.check_program()
    return found


def test_a_missing_program_says_how_to_install_it(path: Path) -> None:
    assert program().level is Level.PROBLEM
    assert "npm install -g opencode-ai" in str(program().remedy)


@pytest.mark.skipif(os.name == "nt", reason="needs shell scripts")
def test_the_program_is_asked_for_its_version(path: Path) -> None:
    script(path, "echo 1.18.99")
    assert (program().level, program().details["version"]) == (Level.OK, "1.18.99")
    script(path, "echo 2.0.0")
    assert program().level is Level.NOTE
    assert "opencode-ai@1.18" in str(program().remedy)


@pytest.mark.skipif(os.name == "nt", reason="needs shell scripts")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("echo first >&2; echo it broke >&2; exit 3", "failed with code 3 and said: it broke"),
        ("exit 0", "said: nothing"),
    ],
)
def test_a_program_that_does_not_work_is_a_problem(
    path: Path, monkeypatch: pytest.MonkeyPatch, content: str, text: str
) -> None:
    monkeypatch.setattr(checks, "_PROGRAM_SECONDS", 30)
    script(path, content)
    assert program().level is Level.PROBLEM
    assert text in program().text
    assert "reinstall" in str(program().remedy)


@pytest.mark.skipif(os.name == "nt", reason="needs shell scripts")
def test_a_program_that_takes_its_time_is_no_reason_to_reinstall_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_PROGRAM_SECONDS", 0.2)
    script(path, "exec /bin/sleep 60")
    found = program()
    assert (found.level, found.remedy) == (Level.NOTE, None)
    assert found.text.startswith("slow: ")
    assert "did not answer within 0.2 s" in found.text
    assert found.details["path"] == str(path / "opencode")


@pytest.mark.skipif(os.name == "nt", reason="needs shell scripts")
def test_a_program_that_cannot_be_started_is_a_problem(path: Path) -> None:
    script(path, "")
    (path / "opencode").write_text("#!/nowhere/at/all\n")
    assert "cannot be started" in program().text


# Running servers


class Http:
    base_url = "http://127.0.0.1:4096"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.closed = False

    def call(self, method: str, path: str, *, deadline: object) -> Any:
        return self.answer

    def close(self) -> None:
        self.closed = True


def servers(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> Finding:
    def discover(**arguments: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(opencode_discovery, "discover", discover)
    (found,) = checks.check_servers()
    return found


def test_no_server_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = servers(monkeypatch, None)
    assert (found.level, found.details["server"]) == (Level.OK, None)


@pytest.mark.parametrize(
    ("answer", "level", "version"),
    [
        ({"healthy": True, "version": "1.18.33"}, Level.OK, "1.18.33"),
        ({"version": "9.0.0"}, Level.NOTE, "9.0.0"),
        ("rubbish", Level.NOTE, ""),
    ],
)
def test_a_server_is_told_with_its_version(
    monkeypatch: pytest.MonkeyPatch, answer: Any, level: Level, version: str
) -> None:
    http = Http(answer)
    found = servers(monkeypatch, SimpleNamespace(pid=7, http=http))
    assert (found.level, found.details["version"]) == (level, version)
    assert found.details["server"] == http.base_url
    assert http.closed


def test_a_server_that_is_closed_to_us_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    found = servers(monkeypatch, BackendError(1, "set OPENCODE_SERVER_PASSWORD"))
    assert (found.level, found.text) == (Level.NOTE, "set OPENCODE_SERVER_PASSWORD")


# The gateway


@pytest.fixture
def alive(client: FakeClient) -> FakeClient:
    client.info.version, client.info.backend = __version__, "opencode"
    client.info.description = "OpenCode at http://127.0.0.1:1"
    client.connected_providers = ["openai", "anthropic"]
    return client


def gateway(links: FakeLinks, path: Path | None = Path("given")) -> dict[str, Finding]:
    return {each.name: each for each in check_gateway(path, links.open)}


def test_no_gateway_is_a_note(
    links: FakeLinks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(tmp_path / "none.json"))
    for name in ("OPENCODE_IPC_PORT", "OPENCODE_IPC_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    found = gateway(links, None)["gateway"]
    assert (found.level, links.opened) == (Level.NOTE, [])
    assert "opencode-sync gateway" in str(found.remedy)


def test_a_gateway_is_told_with_versions_and_latency(links: FakeLinks, alive: FakeClient) -> None:
    found = gateway(links)
    assert [each.level for each in found.values()] == [Level.OK] * 3
    assert found["gateway"].details["gateway_version"] == __version__
    assert found["gateway"].details["answer_ms"] >= 0
    assert found["gateway"].details["state"] == "connected"
    assert found["model providers"].text == "anthropic, openai"
    assert links.opened == [(Path("given"), 3.0)]
    assert not alive.connected


def test_another_version_is_a_note(links: FakeLinks, alive: FakeClient) -> None:
    alive.info.version = "0.0.1"
    assert gateway(links)["gateway"].level is Level.NOTE


def test_a_backend_that_cannot_say_what_it_is_is_fine(links: FakeLinks, alive: FakeClient) -> None:
    alive.info_failure = IpcUnsupportedOperationError("no", request_id=2, code=2, operation="x")
    found = gateway(links)["gateway"]
    assert (found.level, "gateway_version" in found.details) == (Level.OK, False)


def test_an_unhealthy_server_is_a_problem(links: FakeLinks, alive: FakeClient) -> None:
    alive.healthy = False
    assert gateway(links)["gateway's server"].level is Level.PROBLEM


@pytest.mark.parametrize(("code", "remedy"), [(NO_SERVER, True), (1, False)])
def test_a_missing_server_is_a_problem(
    links: FakeLinks, alive: FakeClient, monkeypatch: pytest.MonkeyPatch, code: int, remedy: bool
) -> None:
    def refuse() -> Any:
        raise IpcServerError("none", request_id=2, code=code, operation="x")

    monkeypatch.setattr(alive, "check_server_health", refuse)
    monkeypatch.setattr(alive, "get_provider_status", refuse)
    found = gateway(links)
    assert "model providers" not in found
    assert found["gateway's server"].level is Level.PROBLEM
    assert (found["gateway's server"].remedy is not None) is remedy


def test_no_providers_is_a_problem(links: FakeLinks, alive: FakeClient) -> None:
    alive.connected_providers = []
    found = gateway(links)["model providers"]
    assert found.level is Level.PROBLEM
    assert "auth sync" in str(found.remedy)


def test_the_gateways_own_store_has_no_models(links: FakeLinks, alive: FakeClient) -> None:
    alive.info.backend = "embedded"
    found = gateway(links)["model providers"]
    assert found.level is Level.NOTE
    assert found.text == "no model can be used through this gateway"
    assert found.remedy == "start it with --backend opencode once OpenCode is installed"


def test_no_model_and_no_opencode_is_a_problem(
    run: Run, links: FakeLinks, alive: FakeClient
) -> None:
    alive.info.backend = "embedded"
    own = Check("gateway", "the gateway", 30, lambda: check_gateway(Path("given"), links.open))
    missing = finding(checks.PROGRAM, Level.PROBLEM, details={"path": None})
    installed = finding(checks.PROGRAM, details={"path": "/bin/opencode"})
    running = finding(details={"server": "http://127.0.0.1:1"})
    links.checks = [fixed(missing), own]
    done = run("doctor")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "1 problem.")
    assert "PROBLEM model providers" in done.stdout
    for others in ([installed], [missing, running]):
        links.checks = [fixed(*others), own]
        assert run("doctor").exit_code == 0


def test_another_backend_without_models_is_a_note(
    links: FakeLinks, alive: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise IpcUnsupportedOperationError("no models", request_id=2, code=2, operation="x")

    monkeypatch.setattr(alive, "get_provider_status", refuse)
    assert gateway(links)["model providers"].level is Level.NOTE


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (IpcConnectionError("refused"), "start it anew"),
        (IpcAuthenticationError("wrong token"), "token"),
    ],
)
def test_a_gateway_that_cannot_be_used_is_a_problem(
    links: FakeLinks, client: FakeClient, error: Exception, remedy: str
) -> None:
    client.connect_failure = error
    found = gateway(links)["gateway"]
    assert found.level is Level.PROBLEM
    assert remedy in str(found.remedy)
    assert found.details["state"] == "failed"


def test_of_a_gateway_that_is_down_it_says_what_clients_do_meanwhile(
    links: FakeLinks, client: FakeClient
) -> None:
    client.connect_failure = IpcConnectionError("refused")
    text = gateway(links)["gateway"].text
    assert "one attempt every 1.6 s or sooner" in text
    assert "fail at once" in text
    client.connect_failure = IpcAuthenticationError("wrong token")
    assert gateway(links)["gateway"].text == "wrong token"


def test_a_wrong_setting_is_a_problem(links: FakeLinks) -> None:
    links.failure = IpcConfigError("the port is no number")
    assert gateway(links)["gateway"].text == "the port is no number"

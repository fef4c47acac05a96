"""``opencode-sync gateway``: its options, and how errors of the gateway end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import gateway as gateway_package
from opencode_sync.cli import gateway as command
from opencode_sync.cli import main
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.errors import IpcConfigError
from opencode_sync.gateway import BackendError, GatewayError, serve
from opencode_sync.wire import ipc_pb2

from .conftest import Run


class StandIn:
    """A backend that only notes that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Served:
    """What the command made, in place of a gateway that listens."""

    def __init__(self) -> None:
        self.chosen: dict[str, Any] = {}
        self.gateway: dict[str, Any] = {}
        self.backend = StandIn()
        self.code = 0
        self.failure: Exception | None = None
        self.waits = False
        self.reason = ""

    def choose_backend(self, kind: str, **options: Any) -> StandIn:
        self.chosen = {"kind": kind, **options}
        if self.failure is not None:
            raise self.failure
        return self.backend

    def make_gateway(self, backend: StandIn, **options: Any) -> str:
        self.gateway = {"backend": backend, **options}
        return "the gateway"

    def run(self, gateway: str, *, announce: Callable[[str], None], stop: serve.StopRequest) -> int:
        announce(f"{gateway} serves")
        if self.waits:
            self.reason = stop.wait()
        return self.code


@pytest.fixture
def runtime_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "gateway.json"
    monkeypatch.setenv("OPENCODE_SYNC_RUNTIME_FILE", str(path))
    return path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, runtime_file: Path) -> Served:
    made = Served()
    monkeypatch.setattr(serve, "choose_backend", made.choose_backend)
    monkeypatch.setattr(serve, "run", made.run)
    monkeypatch.setattr(gateway_package, "Gateway", made.make_gateway)
    return made


def test_without_options_it_chooses_by_itself(run: Run, served: Served, runtime_file: Path) -> None:
    result = run("gateway")
    assert result.exit_code == 0
    assert result.stdout == "the gateway serves\n"
    assert served.chosen.pop("announce")
    assert served.chosen == {
        "kind": "auto",
        "url": None,
        "discover": False,
        "spawn": False,
        "directory": None,
        "database": None,
    }
    assert served.gateway == {
        "backend": served.backend,
        "port": 0,
        "runtime_file": runtime_file,
        "tracer_provider": None,
    }


def test_every_option_reaches_the_gateway(run: Run, served: Served, tmp_path: Path) -> None:
    result = run(
        *("gateway", "--backend", "embedded", "--directory", str(tmp_path), "--port", "4096"),
        *("--database", str(tmp_path / "s.db"), "--runtime-file", str(tmp_path / "r.json")),
    )
    assert result.exit_code == 0
    assert served.chosen["kind"] == "embedded"
    assert served.chosen["directory"] == tmp_path
    assert served.chosen["database"] == tmp_path / "s.db"
    assert served.gateway["port"] == 4096
    assert served.gateway["runtime_file"] == tmp_path / "r.json"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--opencode-url", "http://127.0.0.1:1"), {"url": "http://127.0.0.1:1"}),
        (("--discover",), {"discover": True}),
        (("--spawn",), {"spawn": True}),
        (("--discover", "--spawn"), {"discover": True, "spawn": True}),
    ],
)
def test_the_ways_to_an_opencode_server(
    run: Run, served: Served, options: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert run("gateway", "--backend", "opencode", *options).exit_code == 0
    assert expected.items() <= served.chosen.items()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--backend", "embedded", "--spawn"), "--spawn"),
        (("--backend", "embedded", "--discover"), "--discover"),
        (("--backend", "embedded", "--opencode-url", "http://127.0.0.1:1"), "--opencode-url"),
        (("--opencode-url", "http://127.0.0.1:1", "--spawn"), "--spawn"),
        (("--backend", "opencode", "--database", "x.db"), "--database"),
        (("--backend", "rubbish"), "--backend"),
        (("--port", "80"), "--port"),
        (("--port", "70000"), "--port"),
        (("--port", "-1"), "--port"),
        (("--port", "abc"), "--port"),
        (("--directory", "/nowhere/at/all"), "--directory"),
        (("--token", "secret"), "--token"),
    ],
)
def test_options_that_make_no_sense_are_wrong_use(
    run: Run, served: Served, options: tuple[str, ...], named: str
) -> None:
    result = run("gateway", *options)
    assert result.exit_code == 2
    assert named in result.stderr
    assert result.stderr.count("\n") == 1
    assert served.chosen == {}


def test_a_backend_that_cannot_work_is_one_line(run: Run, served: Served) -> None:
    served.failure = BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no OpenCode found; install it")
    result = run("gateway")
    assert result.exit_code == 7
    assert result.stderr == "error: no OpenCode found; install it\n"


def test_a_setting_that_is_wrong_is_one_line(run: Run, served: Served) -> None:
    served.failure = IpcConfigError("the folder is open to others", field="path")
    result = run("gateway")
    assert result.exit_code == 3
    assert result.stderr == "error: the folder is open to others\n"


def test_a_port_that_cannot_be_had_is_a_setting_that_is_wrong(run: Run, served: Served) -> None:
    served.failure = GatewayError("port 4096 is taken; name another one")
    result = run("gateway")
    assert result.exit_code == 3
    assert result.stderr == "error: port 4096 is taken; name another one\n"


def test_the_backend_is_closed_even_if_no_gateway_comes_of_it(
    run: Run, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise IpcConfigError("no")

    monkeypatch.setattr(gateway_package, "Gateway", fail)
    assert run("gateway").exit_code == 3
    assert served.backend.closed


def test_the_gateways_own_exit_code_is_the_commands(run: Run, served: Served) -> None:
    served.code = 1
    assert run("gateway").exit_code == 1


@pytest.mark.parametrize(
    "problem", [BrokenPipeError(), CommandError("the disk is full", ExitCode.FAILED)]
)
def test_a_line_that_cannot_be_written_does_not_end_the_gateway(
    run: Run, served: Served, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    lines: list[str] = []

    def gone(text: str) -> None:
        lines.append(text)
        raise problem

    monkeypatch.setattr(command, "print_line", gone)
    served.code = 5
    assert run("gateway").exit_code == 5
    assert lines == ["the gateway serves"]


def test_told_so_it_ends_with_standard_input(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"what is written there does not matter")
    os.close(writer)
    served.waits = True
    with open(reader, encoding="utf-8") as ended:
        monkeypatch.setattr(sys, "stdin", ended)
        assert main(["gateway", "--until-stdin-ends"]) == 0
        for thread in threading.enumerate():
            if thread.name == "opencode-sync-stdin":
                thread.join(10)
    assert served.reason == "standard input ended"


def test_that_option_is_for_programs_and_not_in_the_help(run: Run) -> None:
    assert "stdin" not in run("gateway", "--help").stdout


@pytest.mark.usefixtures("runtime_file")
@pytest.mark.parametrize("url", ["foo", "http://u:the-secret@127.0.0.1:9999"])
def test_a_url_that_cannot_be_one_is_wrong_use(run: Run, url: str) -> None:
    result = run("gateway", "--opencode-url", url)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: the OpenCode URL ")
    assert result.stderr.count("\n") == 1
    assert "the-secret" not in result.stderr

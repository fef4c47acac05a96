"""``opencode-sync doctor``: what is found, what is missing, and what to do about each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import typer

from opencode_sync.cli.checks import (
    GATEWAY,
    PROGRAM,
    PROVIDERS,
    SERVERS,
    START,
    Check,
    Finding,
    Level,
    check_packages,
    check_program,
    check_python,
    check_servers,
)
from opencode_sync.cli.connection import AsJson, ConfigFile, Verbose, state_of
from opencode_sync.cli.errors import ExitCode
from opencode_sync.cli.gateway_checks import check_gateway
from opencode_sync.cli.output import print_json, print_line
from opencode_sync.cli.variables import VARIABLES, check_variables
from opencode_sync.cli.waiting import Status, waiting_for
from opencode_sync.errors import IpcError
from opencode_sync.printable import printable

__all__ = ["bounded", "doctor"]

_WORDS: Final = {Level.OK: "ok", Level.NOTE: "note", Level.PROBLEM: "PROBLEM"}
_WIDTH: Final = 18


def doctor(
    context: typer.Context,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Look at all that is needed to drive OpenCode, and say what to do about what is missing.

    The exit code is 0 if nothing is wrong, else 1. It takes half a minute at the very most.
    """
    state = state_of(context, as_json=as_json, verbose=verbose)
    findings: list[Finding] = []
    with waiting_for("Looking around") as status:
        for check in _checks(state.checks, config_file, state.open_link):
            findings += _run(check, status)
    if any(each.details.get("server") or each.details.get("healthy") for each in findings):
        # Who has a server needs no program to start one.
        findings = [_lenient(each) for each in findings]
    if not any(_is_opencode(each) for each in findings):
        # Then nothing can start one, nor can another gateway than the running one have a model.
        findings = [_without_opencode(each) for each in findings]
    problems = [each for each in findings if each.level is Level.PROBLEM]
    if as_json:
        print_json({"ok": not problems, "findings": [each.record() for each in findings]})
    else:
        for each in findings:
            _print(each)
        print_line(_verdict(len(problems)))
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _checks(
    given: Iterable[Check] | None, config_file: Path | None, open_link: Callable[..., Any]
) -> list[Check]:
    if given is not None:
        return list(given)
    return [
        Check("this program", "this Python", 2, check_python),
        Check("packages", "installed packages", 3, check_packages),
        Check(VARIABLES, "environment variables", 1, check_variables),
        Check(PROGRAM, "OpenCode's program", 8, check_program),
        Check(SERVERS, "running OpenCode servers", 6, check_servers),
        Check(GATEWAY, "the gateway", 10, lambda: check_gateway(config_file, open_link)),
    ]


def _run(check: Check, status: Status) -> list[Finding]:
    status.show(f"Looking at {check.what} (at most {check.seconds:g} s)")
    outcome = bounded(check.look, check.seconds)
    if outcome is None:
        return [
            Finding(
                check.name,
                Level.PROBLEM,
                f"looking at {check.what} took longer than {check.seconds:g} s",
                "end what hangs there, and run this again",
            )
        ]
    if isinstance(outcome, Exception):
        # Whatever it is, the other findings may explain it.
        text = outcome.message if isinstance(outcome, IpcError) else repr(outcome)
        return [Finding(check.name, Level.PROBLEM, text, None)]
    return outcome


def bounded(look: Callable[[], list[Finding]], seconds: float) -> list[Finding] | Exception | None:
    """Return what ``look`` returns or raises; None if that takes longer.

    It runs on a thread of its own, which in the last case is left to itself: there is no way to
    end it, and this program ends soon.
    """
    outcome: queue.SimpleQueue[list[Finding] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(look())
        except Exception as error:  # noqa: BLE001 - the caller's to show
            outcome.put(error)

    threading.Thread(target=run, name="opencode-sync-doctor", daemon=True).start()
    try:
        return outcome.get(timeout=seconds)
    except queue.Empty:
        return None


def _lenient(finding: Finding) -> Finding:
    is_missing = finding.name == PROGRAM and finding.details.get("path", "") is None
    return replace(finding, level=Level.NOTE) if is_missing else finding


def _is_opencode(finding: Finding) -> bool:
    """Return whether this found an OpenCode: its program, or a server of it."""
    found = finding.details.get("path") if finding.name == PROGRAM else None
    return bool(found or finding.details.get("server"))


def _without_opencode(finding: Finding) -> Finding:
    details = finding.details
    if finding.name == PROVIDERS and details.get("models") is False:
        return replace(finding, level=Level.PROBLEM)
    if finding.name == SERVERS and finding.level is Level.OK:
        return replace(finding, level=Level.NOTE, text="none runs, and there is none to start")
    is_absent = finding.level is Level.NOTE and details.get("endpoint", "") is None
    if finding.name == GATEWAY and is_absent:
        remedy = f"install OpenCode first; without it {START} serves a store that has no model"
        return replace(finding, text="none runs", remedy=remedy)
    return finding


def _print(finding: Finding) -> None:
    word = _WORDS[finding.level]
    print_line(f"{word:8}{printable(finding.name):{_WIDTH}}{printable(finding.text, 400)}")
    if finding.remedy is not None:
        print_line(f"{'':8}{'':{_WIDTH}}-> {printable(finding.remedy, 400)}")


def _verdict(problems: int) -> str:
    if not problems:
        return "Nothing is wrong."
    return "1 problem." if problems == 1 else f"{problems} problems."

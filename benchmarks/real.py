"""``python -m benchmarks.real``: the same calls on a real OpenCode, by whatever one would use.

``IpcClient`` behind a gateway in another process and from ``launch``; the official SDK and plain
``requests`` straight to OpenCode. They take turns in one process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks import first_delta
from benchmarks.bounds import REAL_BOUNDS, judge
from benchmarks.machine import describe_machine
from benchmarks.opencode import Real, real
from benchmarks.report import as_document, as_table, draw_chart, verdict_table, write_json
from benchmarks.samples import Figure
from opencode_sync import IpcClient

SESSIONS: Final = 20
_CALLS: Final = 10
_PATIENCE: Final = 60.0
_RESULTS: Final = Path(__file__).with_name("results")

Calls = dict[str, Callable[[], object]]


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__)
    parser.add_argument("--opencode", metavar="PROGRAM", help="OpenCode; by default that on PATH")
    parser.add_argument("--rounds", type=int, default=60, help=f"of {_CALLS} calls each")
    parser.add_argument("--answers", type=int, default=15, help="streamed to each caller")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="folder of JSON and chart")
    options = parser.parse_args(argv)
    program = shutil.which(options.opencode or "opencode")
    if program is None:
        parser.error("there is no such program, or none on PATH; name it with --opencode")
    program = os.path.abspath(program)  # it is started in another folder
    missing: list[str] = []
    machine = describe_machine()
    taken: dict[str, Figure] = {}
    with real(program) as what, requests.Session() as session:
        session.trust_env = False  # no proxies
        sdk = _official_sdk(what.url, missing)
        for client in list(what.clients.values())[:1]:
            for _ in range(SESSIONS):
                client.create_session()
        figures = [
            _timed(
                "real-list", f"list_sessions of {SESSIONS}", _lists(what, session, sdk), options
            ),
            _timed("real-create", "create_session", _creations(what, session, sdk), options),
            *first_delta.measure(what, max(2, options.answers), sdk),
        ]
    for figure in figures:
        taken[figure.key] = figure
        print(as_table(figure), end="\n\n")
    verdicts = judge(taken, REAL_BOUNDS)
    print(verdict_table(verdicts))
    for why in missing:
        print(f"left out: {why}")
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(as_document(machine, taken, verdicts, missing), options.output / "real.json")
    draw_chart(taken, f"{machine['python']}, {machine['date']}", options.output / "real.png")
    print(f"load {machine['load_average']}; written to {options.output}")
    return 0


def _official_sdk(url: str, missing: list[str]) -> Any | None:
    try:
        from opencode_ai import Opencode  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        missing.append("the official SDK: pip install -e '.[bench]'")
        return None
    return Opencode(base_url=url, timeout=_PATIENCE, max_retries=0)


def _lists(what: Real, session: requests.Session, sdk: Any | None) -> Calls:
    def plain() -> None:
        assert len(session.get(f"{what.url}/session", timeout=_PATIENCE).json()) == SESSIONS

    def ours(client: IpcClient) -> None:
        assert len(client.list_sessions()) == SESSIONS

    def theirs() -> None:
        assert sdk is not None
        assert len(sdk.session.list()) == SESSIONS

    calls: Calls = {name: partial(ours, client) for name, client in what.clients.items()}
    calls["requests"] = plain
    if sdk is not None:
        calls["official SDK"] = theirs
    return calls


def _creations(what: Real, session: requests.Session, sdk: Any | None) -> Calls:
    def plain() -> None:
        made = session.post(f"{what.url}/session", json={}, timeout=_PATIENCE).json()
        assert made["id"]

    calls: Calls = {name: client.create_session for name, client in what.clients.items()}
    calls["requests"] = plain
    if sdk is not None:
        calls["official SDK"] = partial(sdk.session.create, extra_body={})
    return calls


def _timed(key: str, title: str, calls: Calls, options: argparse.Namespace) -> Figure:
    figure = Figure(key, title, "ms")
    names = list(calls)
    for number in range(max(2, options.rounds)):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            samples = []
            for _ in range(_CALLS):
                started = time.perf_counter()
                calls[name]()
                samples.append((time.perf_counter() - started) * 1e3)
            figure.add(name, samples)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

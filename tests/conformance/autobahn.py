"""Autobahn's test suite against the client's and the gateway's side of our WebSocket.

    python -m tests.conformance.autobahn --wstest-python .venv27/bin/python
    python -m tests.conformance.autobahn --wstest-python .venv27/bin/python --side client \\
        --cases "1.*,2.*" --reports reports

Exits with 1 when a case deviates that ``expected`` does not name. The README beside this file says
how to install the suite, and what was seen.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.conformance.expected import EXPECTED

_WSTEST = Path(__file__).with_name("wstest_local.py")
_COMPRESSION = ["12.*", "13.*"]  # which neither side offers nor takes
_PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")
_PASSED_CLOSE = ("OK", "INFORMATIONAL")
_MISSING = {"behavior": "MISSING", "behaviorClose": "MISSING", "remoteCloseCode": None}
_END_SECONDS = 60.0
"""Seconds the fuzzing peer may take to start, and to write its reports."""


class FuzzingPeer:
    """Autobahn's process. Use it with ``with``; it does not outlive that.

    Args:
        python: A Python 2.7 with ``autobahntestsuite``.
        mode: "server" or "client", seen from Autobahn.
        spec: What it is to do.
        fd: The descriptor of the socket to serve, if any.
    """

    def __init__(self, python: str, mode: str, spec: dict[str, Any], fd: int | None = None) -> None:
        self.process = subprocess.Popen(
            [python, str(_WSTEST), mode, json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=() if fd is None else (fd,),
            env=_environment(),
        )

    def __enter__(self) -> FuzzingPeer:
        return self

    def __exit__(self, *ignored: object) -> None:
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.terminate()  # upon which it reports what there is
            try:
                self.process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None  # asked for
        self.process.stdout.close()


def _environment() -> dict[str, str]:
    """Return the environment without what would lead Python 2.7 to Python 3's packages."""
    return {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}


def list_cases(python: str, spec: dict[str, Any]) -> list[str]:
    """Return the names of the cases that a specification comes to."""
    done = subprocess.run(
        [python, str(_WSTEST), "list", json.dumps(spec)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_END_SECONDS,
        check=True,
        env=_environment(),
    )
    cases: list[str] = json.loads(done.stdout)
    return cases


def run_client(python: str, spec: dict[str, Any], cases: list[str]) -> None:
    """Have Autobahn's server try our client, one connection for each case."""
    from tests.conformance.echo_client import echo

    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        spec = {**spec, "url": f"ws://127.0.0.1:{port}", "fd": listener.fileno()}
        peer = FuzzingPeer(python, "server", spec, listener.fileno())
    with peer:
        for _ in cases:
            echo(port)


def run_gateway(python: str, spec: dict[str, Any], cases: list[str]) -> None:
    """Have Autobahn's client try our gateway's link."""
    from tests.conformance.echo_server import serve

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        spec = {**spec, "servers": [{"agent": "gateway", "url": url}]}
        with FuzzingPeer(python, "client", spec) as peer:
            serve(listener, peer.process)


def judge(side: str, cases: list[str], reports: Path) -> bool:
    """Print what came out; returns whether nothing deviates but as it is expected to."""
    index = reports / "index.json"
    results = json.loads(index.read_bytes()).get(side, {}) if index.exists() else {}
    counts: collections.Counter[str] = collections.Counter()
    allowed: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
    wrong = []
    for case in cases:
        result = results.get(case, _MISSING)
        behavior, close, code = (
            result[name] for name in ("behavior", "behaviorClose", "remoteCloseCode")
        )
        expected = EXPECTED[side].get(case)
        counts[behavior] += 1
        if behavior in _PASSED and close in _PASSED_CLOSE:
            if expected is not None:
                print(f"  {case}: {behavior}, though it may fail, because {expected.reason}")
            elif behavior != "OK":
                print(f"  {case}: {behavior}")
        elif (
            expected and (behavior, close) == ("FAILED", expected.close) and code in expected.codes
        ):
            allowed[expected.reason].append(case)
        else:
            wrong.append(f"{case}: {behavior}, close {close} with code {code}")
    for reason, those in allowed.items():
        print(f"  {len(those)} failed as expected, because {reason}: {' '.join(those)}")
    for line in wrong:
        print(f"  NOT EXPECTED {line}")
    figures = ", ".join(f"{count} {name.lower()}" for name, count in counts.most_common())
    print(f"{side}: {len(cases)} cases: {figures}; {len(wrong)} not expected")
    return not wrong


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.autobahn",
        description="Autobahn's WebSocket test suite against our client's and gateway's frames.",
    )
    parser.add_argument(
        "--wstest-python",
        required=True,
        metavar="PROGRAM",
        help="a Python 2.7 in which autobahntestsuite is installed",
    )
    parser.add_argument("--side", choices=["client", "gateway", "both"], default="both")
    parser.add_argument("--cases", default="*", help='as "1.*,2.*"; all if left out')
    parser.add_argument(
        "--reports", type=Path, metavar="FOLDER", help="keep Autobahn's reports, one page per case"
    )
    options = parser.parse_args()
    spec = {"cases": options.cases.split(","), "exclude-cases": _COMPRESSION}
    try:
        cases = list_cases(options.wstest_python, spec)
    except (OSError, subprocess.SubprocessError):
        parser.error(
            f"--wstest-python: {options.wstest_python} cannot run Autobahn; give a Python 2.7 in "
            "which autobahntestsuite is installed"
        )
    if not cases:
        parser.error(f"--cases: no case is called {options.cases}; give patterns such as 1.*,2.*")
    good = True
    for side, run in (("client", run_client), ("gateway", run_gateway)):
        if options.side not in (side, "both"):
            continue
        with tempfile.TemporaryDirectory() as temporary:
            reports = (options.reports or Path(temporary)).resolve() / side
            reports.mkdir(parents=True, exist_ok=True)
            (reports / "index.json").unlink(missing_ok=True)  # of an earlier run
            began = time.monotonic()
            run(options.wstest_python, {**spec, "outdir": str(reports)}, cases)
            good = judge(side, cases, reports) and good
            print(f"{side}: {time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

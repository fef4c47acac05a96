"""``python -m benchmarks``: all figures in one run, as tables, JSON and a chart."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import figures, processes
from benchmarks.bounds import judge
from benchmarks.contenders.bare_loop import BareLoop
from benchmarks.contenders.base import Contender, ContenderMissing
from benchmarks.contenders.grpc_stub import GrpcStub
from benchmarks.contenders.http_requests import HttpRequests
from benchmarks.contenders.ipc_client import Client, ClientInMemory
from benchmarks.contenders.queue_pair import QueuePair
from benchmarks.contenders.raw_reader import RawReader
from benchmarks.contenders.raw_socket import RawSocket
from benchmarks.contenders.websockets_sync import WebsocketsSync
from benchmarks.machine import describe_machine
from benchmarks.report import as_document, as_table, draw_chart, verdict_table, write_json
from benchmarks.samples import Figure
from benchmarks.wire import Answers

SESSIONS: Final = 10_000
FEW_SESSIONS: Final = 10
_RESULTS: Final = Path(__file__).with_name("results")


def responder(sessions: int) -> AbstractContextManager[Any]:
    """Run a responder; yields its ports, by protocol."""
    return serving("benchmarks.responder", "--sessions", str(sessions))


@contextmanager
def serving(*command: str) -> Iterator[Any]:
    """Run a server as a process; yields what it prints, decoded from JSON."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


@dataclass
class Run:
    """One run: who takes part, and what for.

    Attributes:
        scale: What the number of rounds is multiplied with.
        official_sdk: Where the official SDK's environment is, or is to be made.
        missing: Who was left out, and why.
    """

    scale: float
    official_sdk: Path | None
    missing: list[str] = field(default_factory=list)

    def measure(self, wanted: Sequence[str]) -> Iterator[Figure]:
        """Take the figures, one after the other."""
        with ExitStack() as stack:
            if set(wanted) & set(SHARED):
                ports = stack.enter_context(responder(SESSIONS))
                contenders = self._enter(stack, ports)
                for key in wanted:
                    if key in SHARED:
                        names, take, rounds = SHARED[key]
                        chosen = [each for each in contenders if each.name in names]
                        yield from take(chosen, self._rounds(rounds))
            if "gateway" in wanted:
                servers = [
                    Client(stack.enter_context(serving("benchmarks.servers", name)), as_name)
                    for name, as_name in SERVERS.items()
                ]
                for server in servers:
                    stack.callback(server.close)
                yield from figures.serving(servers, self._rounds(30))
            if "memory" in wanted:
                ports = stack.enter_context(responder(FEW_SESSIONS))
                port = ports["websocket"]
                makers = [partial(make, port) for make in (Client, BareLoop, WebsocketsSync)]
                yield from figures.memory(makers)
        if set(wanted) & {"start", "idle"}:
            with responder(FEW_SESSIONS) as ports:
                if "start" in wanted:
                    python = self._official_python()
                    rounds = self._rounds(15)
                    yield from processes.start(python, ports["websocket"], ports["http"], rounds)
                if "idle" in wanted:
                    yield from processes.idle(ports["websocket"], max(1.0, 10.0 * self.scale))

    def _rounds(self, rounds: int) -> int:
        return max(3, round(rounds * self.scale))

    def _enter(self, stack: ExitStack, ports: dict[str, int]) -> list[Contender]:
        port, answers = ports["websocket"], Answers(FEW_SESSIONS)
        makers: list[Callable[[], Contender]] = [
            lambda: Client(port),
            lambda: ClientInMemory(answers),
            lambda: BareLoop(port),
            lambda: RawSocket(port),
            lambda: RawReader(port),
            lambda: WebsocketsSync(port),
            lambda: QueuePair(answers),
            lambda: GrpcStub(ports.get("grpc")),
            lambda: HttpRequests(ports["http"]),
        ]
        contenders = []
        for make in makers:
            try:
                contender = make()
            except ContenderMissing as error:
                self.missing.append(str(error))
                continue
            stack.callback(contender.close)
            contenders.append(contender)
        return contenders

    def _official_python(self) -> Path | None:
        if self.official_sdk is None:
            self.missing.append("the official SDK: give --official-sdk FOLDER to install it there")
            return None
        try:
            return processes.python_with_official_sdk(self.official_sdk)
        except ContenderMissing as error:
            self.missing.append(str(error))
            return None


_WEBSOCKETS: Final = ("IpcClient", "bare loop", "websockets.sync")
_PIPELINERS: Final = (*_WEBSOCKETS, "IpcClient in memory", "gRPC")

# By figure: who takes part, how it is taken, and how many rounds make a run.
SHARED: Final[
    dict[str, tuple[tuple[str, ...], Callable[[Sequence[Contender], int], Iterator[Figure]], int]]
] = {
    "round-trip": (
        (*_PIPELINERS, RawSocket.name, RawReader.name, "bare queues", "requests"),
        figures.round_trip,
        100,
    ),
    "pipelined": ((*_PIPELINERS, "raw socket"), figures.pipelined, 30),
    "queued": (_PIPELINERS, figures.queued, 30),
    "threads": (_PIPELINERS, figures.threads, 15),
    "list": (
        (*_WEBSOCKETS, "raw socket", "gRPC", "requests"),
        partial(figures.listing, sessions=SESSIONS),
        30,
    ),
}
SERVERS: Final = {"gateway": "gateway", "websockets": "bare websockets.sync"}
ALONE: Final = ("gateway", "memory", "start", "idle")


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    known = (*SHARED, *ALONE)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("figure", nargs="*", help=f"of {', '.join(known)}; all if none is named")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer rounds, as 0.2")
    parser.add_argument(
        "--official-sdk",
        type=Path,
        metavar="FOLDER",
        help="compare with the official SDK, installed into an environment of its own there",
    )
    parser.add_argument("--output", type=Path, default=_RESULTS, help="folder of JSON and chart")
    options = parser.parse_args(argv)
    if unknown := set(options.figure) - set(known):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    run = Run(options.scale, options.official_sdk)
    machine = describe_machine()
    taken = {}
    for figure in run.measure(options.figure or known):
        taken[figure.key] = figure
        print(as_table(figure), end="\n\n", flush=True)
    verdicts = judge(taken)
    print(verdict_table(verdicts))
    for why in run.missing:
        print(f"left out: {why}")
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(as_document(machine, taken, verdicts, run.missing), options.output / "run.json")
    note = (
        f"{machine['python']}, {machine['processor']} x {machine['processors']}, {machine['date']}"
    )
    if not draw_chart(taken, note, options.output / "run.png"):
        print("left out: the chart, as matplotlib is not installed")
    print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

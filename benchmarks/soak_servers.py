"""The processes of a soak: ``python -m benchmarks.soak_servers gateway`` and ``... proxy``.

Each prints one line of JSON once it serves, and serves until its standard input ends; the proxy
then prints which faults it has injected.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.wire import TOKEN
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.testing import Direction, Fault, FaultKind, FaultPlan, FaultProxy
from opencode_sync.testing.plan import Stroke

__all__ = ["EveryNth", "Server", "main", "started"]

HALF_OPEN_SECONDS: Final = 10.0
"""How long the gateway's end of a half-open link is kept; nothing of the link itself ends it."""

_PATIENCE: Final = 30.0
_MANY_SECONDS: Final = 1.5

# What strikes, and how often beside the others. No byte is changed: the protocol has no checksum,
# so nothing could be verified of what such a request does.
_WEIGHTS: Final = {
    FaultKind.RESET: 4,
    FaultKind.CUT: 4,
    FaultKind.CLOSE: 4,
    FaultKind.DROP: 3,
    FaultKind.REORDER: 3,
    FaultKind.DUPLICATE: 3,
    FaultKind.DELAY: 3,
    FaultKind.SLICE: 3,
    FaultKind.FRAGMENT: 3,
    FaultKind.FREEZE: 2,
    FaultKind.HALF_OPEN: 1,
}
_CODES: Final = (None, 1000, 1001, 1008, 1011, 1012, 1013, 4000)


class EveryNth(FaultPlan):
    """A fault at every n-th request of a connection; which one is decided by the seed.

    Every connection counts anew, so that with one fault for every n requests of each client there
    is one for every n requests in all.
    """

    def __init__(self, every: int, *, seed: int) -> None:
        """Make the plan; ``every`` is n."""
        super().__init__(seed=seed)
        self._every = every

    def strikes(
        self,
        connection: int,
        direction: Direction,
        message: int,
        *,
        start: int = 0,
        length: int = 0,
        is_message: bool = True,
    ) -> list[Stroke]:
        """See ``FaultPlan``."""
        if not is_message or message == 0 or message % self._every:
            return []
        chance = random.Random(f"soak/{self.seed}/{connection}/{message}")
        fault = self._chosen(chance, message)
        return [Stroke(fault, chance)] if fault.direction is direction else []

    def refuses(self, connection: int) -> Fault | None:
        """Refuse one connection in ten, so that at times one attempt is not enough."""
        chance = random.Random(f"soak/{self.seed}/{connection}")
        return Fault.refuse() if connection > 8 and chance.random() < 0.1 else None

    def _chosen(self, chance: random.Random, message: int) -> Fault:
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        way = chance.choice(list(Direction))
        match kind:
            case FaultKind.RESET:
                return Fault.reset(direction=way, message=message, offset=chance.randint(0, 12))
            case FaultKind.CUT:
                return Fault.cut(direction=way, message=message, offset=chance.randint(0, 12))
            case FaultKind.CLOSE:
                return Fault.close(chance.choice(_CODES), "of the soak", message=message)
            case FaultKind.DROP:
                return Fault.drop(direction=way, message=message)
            case FaultKind.REORDER:
                return Fault.reorder(direction=way, message=message)
            case FaultKind.DUPLICATE:
                # A request twice would be done twice: the network's doing, not the client's.
                return Fault.duplicate(direction=Direction.TO_CLIENT, message=message)
            case FaultKind.DELAY:
                return Fault.delay(chance.uniform(0.01, 0.5), direction=way, message=message)
            case FaultKind.SLICE:
                return Fault.slice(1, direction=way, message=message)
            case FaultKind.FRAGMENT:
                return Fault.fragment(1, direction=way, message=message)
            case FaultKind.FREEZE:
                # At times shorter than what the client waits for a sign of life, at times longer.
                seconds = chance.uniform(0.1, 2 * _MANY_SECONDS)
                return Fault.freeze(seconds, direction=way, message=message)
            case _:
                return Fault.half_open(direction=way, message=message)


def serve_gateway(folder: Path) -> None:
    """Serve by the gateway on its embedded store."""
    backend = EmbeddedBackend(folder / "sessions.db", directory=folder)
    with Gateway(backend, auth_token=TOKEN) as gateway:
        print(json.dumps({"port": gateway.port}), flush=True)
        sys.stdin.read()


def serve_proxy(port: int, every: int, seed: int) -> None:
    """Pass connections on to the gateway, with faults; 0 for none."""
    plan = EveryNth(every, seed=seed) if every else None
    with FaultProxy(("127.0.0.1", port), plan) as proxy:
        print(json.dumps({"port": proxy.port}), flush=True)
        ended = threading.Event()
        keeper = threading.Thread(target=_end_half_open_links, args=(proxy, ended), daemon=True)
        keeper.start()
        sys.stdin.read()
        ended.set()
        keeper.join()
        faults = Counter(str(injection.fault.kind) for injection in proxy.injected)
        print(json.dumps({"connections": proxy.connections, "faults": faults}), flush=True)


def _end_half_open_links(proxy: FaultProxy, ended: threading.Event) -> None:
    """Reset links that are half open for long, as the system of a lost peer does at last."""
    first_seen: dict[int, float] = {}
    while not ended.wait(1.0):
        now = time.monotonic()
        for injection in proxy.injected:
            if injection.fault.kind is FaultKind.HALF_OPEN:
                since = first_seen.setdefault(injection.connection, now)
                if now - since > HALF_OPEN_SECONDS:
                    proxy.inject(Fault.reset(), connection=injection.connection)
                    first_seen[injection.connection] = float("inf")


class Server:
    """A process of this module that serves."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait for its first line."""
        self.process = process
        self.pid = process.pid
        self.port = int(self._line()["port"])
        self._ended = False

    def end(self) -> dict[str, Any]:
        """Have it end, and return what it says last; for the proxy only. A second call is idle."""
        if self._ended:
            return {}
        self._ended = True
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        said: dict[str, Any] = json.loads(line or "{}")
        return said


@contextmanager
def started(*command: str) -> Iterator[Server]:
    """Run one of them; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.soak_servers", *command],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(process)
    finally:
        process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE)
            raise
        finally:
            process.stdout.close()


def main(argv: Sequence[str]) -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    servers = parser.add_subparsers(dest="server", required=True)
    gateway = servers.add_parser("gateway")
    gateway.add_argument("folder", type=Path)
    proxy = servers.add_parser("proxy")
    proxy.add_argument("port", type=int)
    proxy.add_argument("--every", type=int, required=True)
    proxy.add_argument("--seed", type=int, required=True)
    options = parser.parse_args(argv)
    if options.server == "gateway":
        serve_gateway(options.folder)
    else:
        serve_proxy(options.port, options.every, options.seed)


if __name__ == "__main__":
    main(sys.argv[1:])

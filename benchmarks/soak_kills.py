"""``python -m benchmarks.soak_kills``: what ``kill -9`` of the gateway does to calls and sessions.

``store`` kills a gateway again and again under write load, then compares its embedded store with
what was answered. ``callers`` kills one with many calls in flight, and takes the time until each
caller has its error, and until the client is connected to the gateway's successor, which has
another port and token. Ends with exit code 1 when something promised was not kept.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.soak_victim import gateway_to_kill
from opencode_sync import (
    ConnectionState,
    FileConfigProvider,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcError,
    ReconnectPolicy,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import EmbeddedBackend

__all__ = ["CallersReport", "StoreReport", "kill_under_callers", "kill_under_load", "main"]

_PATIENCE: Final = 30.0
_WRITERS: Final = 4
_SMALL_STACK: Final = 256 * 1024
_OPTIONS: Final = IpcClientOptions(default_request_timeout=_PATIENCE)


@dataclass(frozen=True)
class StoreReport:
    """What became of the sessions.

    Attributes:
        kills: How often the gateway was killed.
        answered: Sessions whose creation was answered.
        unsure: Creations that failed with an error that says they may have been done.
        lost: Answered, but not there, or with another title.
        twice: There more than once.
        untruthful: There although the error said that the request was never sent.
        damaged: What SQLite's own check of the file says, if not "ok".
    """

    kills: int
    answered: int
    unsure: int
    lost: int
    twice: int
    untruthful: int
    damaged: str

    @property
    def kept(self) -> bool:
        """Whether all is as promised."""
        return not (self.lost or self.twice or self.untruthful or self.damaged)


@dataclass(frozen=True)
class CallersReport:
    """How long it took, in seconds.

    Attributes:
        callers: How many calls were in flight.
        told: Those that got an ``IpcConnectionError`` with ``request_sent`` True.
        others: What the rest got.
        last_error: From the kill until the last caller had its error.
        back: From the moment the successor serves until the client was connected to it.
        outage: From the kill until the successor served.
    """

    callers: int
    told: int
    others: dict[str, int]
    last_error: float
    back: float
    outage: float

    @property
    def kept(self) -> bool:
        """Whether all is as promised."""
        return self.told == self.callers and self.last_error < 1.0 and self.back < 2.0


class _Writers:
    """Threads that create sessions until the connection is lost; one per client."""

    def __init__(self, runtime_file: Path, name: str) -> None:
        self.answered: dict[str, str] = {}
        """Titles by id. Each entry is set by one thread; CPython's dict can take that."""
        self.unsure: set[str] = set()
        self.untouched: set[str] = set()
        self._runtime_file = runtime_file
        self._name = name
        self._connected = threading.Barrier(_WRITERS)
        self._arrived = threading.Semaphore(0)

    def write(self, number: int) -> None:
        """Create sessions until it fails."""
        config = FileConfigProvider(self._runtime_file)
        with IpcClient(config, options=_OPTIONS, reconnect=None) as client:
            self._connected.wait(_PATIENCE)  # nobody is killed before all are there
            for turn in range(1_000_000):
                title = f"{self._name}/{number}/{turn}"
                try:
                    session = client.create_session(title)
                except IpcError as error:
                    sent = getattr(error, "request_sent", True)
                    (self.unsure if sent else self.untouched).add(title)
                    return
                self.answered[session.id] = title
                self._arrived.release()

    def wait_answered(self, count: int) -> None:
        """Wait until so many more creations were answered."""
        for _ in range(count):
            assert self._arrived.acquire(timeout=_PATIENCE), "the gateway does not answer"


def kill_under_load(
    folder: Path, kills: int, seed: int, say: Callable[[str], None] = lambda text: None
) -> StoreReport:
    """Kill a gateway again and again while sessions are created.

    Args:
        folder: For the store and the runtime file; empty, and closed to others.
        kills: How often.
        seed: Decides after how many answers.
        say: Gets a line now and then.
    """
    chance = random.Random(f"kills/{seed}")
    database, runtime_file = folder / "sessions.db", folder / "gateway.json"
    answered: dict[str, str] = {}
    unsure: set[str] = set()
    untouched: set[str] = set()
    for number in range(kills):
        with (
            gateway_to_kill(database, runtime_file) as gateway,
            ThreadPoolExecutor(_WRITERS) as pool,
        ):
            writers = _Writers(runtime_file, str(number))
            jobs = [pool.submit(writers.write, each) for each in range(_WRITERS)]
            writers.wait_answered(chance.randint(_WRITERS, 100))
            gateway.kill()
            for job in jobs:
                job.result(_PATIENCE)
        answered |= writers.answered
        unsure |= writers.unsure
        untouched |= writers.untouched
        if (number + 1) % 10 == 0:
            say(f"{number + 1} kills, {len(answered)} sessions answered")
    store = EmbeddedBackend(database)
    store.start()
    try:
        sessions = store.list_sessions(deadline=Deadline.after(_PATIENCE))
        with store._file.readers.reading() as reader:
            (state,) = reader.execute("PRAGMA integrity_check").fetchone()
    finally:
        store.close()
    kept = {session.id: session.title for session in sessions}
    titles = Counter(session.title for session in sessions)
    return StoreReport(
        kills=kills,
        answered=len(answered),
        unsure=len(unsure),
        lost=sum(kept.get(session_id) != title for session_id, title in answered.items()),
        twice=sum(count > 1 for count in titles.values()) + len(sessions) - len(kept),
        untruthful=len(untouched & titles.keys()),
        damaged="" if state == "ok" else str(state),
    )


def kill_under_callers(
    folder: Path, callers: int, outage: float = 0.0, policy: ReconnectPolicy | None = None
) -> CallersReport:
    """Kill a gateway with calls in flight, each on a thread of its own, and start another one.

    Args:
        folder: For the store and the runtime files; empty, and closed to others.
        callers: How many.
        outage: Seconds at least from the kill to the successor.
        policy: How the client comes back; None takes the default.
    """
    database, runtime_file = folder / "sessions.db", folder / "gateway.json"
    ends: list[tuple[float, Exception | None]] = []
    back = threading.Event()
    connected: list[float] = []
    killed = False

    with (
        gateway_to_kill(database, runtime_file, callers) as gateway,
        IpcClient(
            FileConfigProvider(runtime_file),
            options=_OPTIONS,
            reconnect=policy or ReconnectPolicy(),
        ) as client,
    ):

        def listen(change: object) -> None:
            if killed and getattr(change, "new", None) is ConnectionState.CONNECTED:
                connected.append(time.monotonic())
                back.set()

        def call(number: int) -> None:
            error: Exception | None = None
            try:
                client.delete_session(f"ses_{number}", timeout=_PATIENCE * 2)
            except Exception as caught:  # noqa: BLE001 - whatever it is goes to the report
                error = caught
            ends.append((time.monotonic(), error))

        client.on_state_change(listen)
        threads = [
            threading.Thread(target=call, args=(number,), name="caller")
            for number in range(callers)
        ]
        size = threading.stack_size(_SMALL_STACK)
        try:
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(size)
        gateway.wait_full()
        killed = True
        killed_at = time.monotonic()
        gateway.kill()
        for thread in threads:
            thread.join(_PATIENCE)
        time.sleep(max(0.0, killed_at + outage - time.monotonic()))
        with gateway_to_kill(database, runtime_file) as successor:
            served_at = time.monotonic()
            assert successor.port != gateway.port
            assert back.wait(_PATIENCE), "the client does not come back"
            client.check_server_health()
    told = [
        error
        for _, error in ends
        if isinstance(error, IpcConnectionError) and error.request_sent is True
    ]
    others = Counter(repr(error) for _, error in ends if error not in told)
    return CallersReport(
        callers=callers,
        told=len({id(error) for error in told}),
        others=dict(others),
        last_error=max(at for at, _ in ends) - killed_at,
        back=max(0.0, connected[0] - served_at),
        outage=served_at - killed_at,
    )


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_kills", description=__doc__)
    parser.add_argument("what", choices=["store", "callers"])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callers", type=int, default=1000)
    parser.add_argument("--outage", type=float, default=0.0, help="seconds without a gateway")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="soak-kills-") as name:
        report: StoreReport | CallersReport
        if options.what == "store":
            report = kill_under_load(
                Path(name), options.kills, options.seed, lambda text: print(text, flush=True)
            )
        else:
            report = kill_under_callers(Path(name), options.callers, options.outage)
    print(json.dumps(asdict(report), indent=2))
    print("as promised" if report.kept else "VIOLATED")
    return 0 if report.kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

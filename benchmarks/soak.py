"""``python -m benchmarks.soak``: many requests through seeded faults, each answer verified.

A gateway on its embedded store and a proxy with faults run as processes of their own; clients and
threads in this one. Ends with exit code 1 when anything was lost, duplicated, wrong, late or hung,
when memory has grown, or when threads or descriptors are left.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.machine import describe_machine
from benchmarks.soak_report import Growth, as_document, as_table, problems
from benchmarks.soak_servers import Server, started
from benchmarks.soak_worker import SLACK, TIMEOUT, Tally, Worker
from benchmarks.wire import TOKEN
from opencode_sync import IpcClient, IpcClientOptions, IpcConfig, ReconnectPolicy

__all__ = ["Settings", "main", "soak"]

OPTIONS: Final = IpcClientOptions(
    default_request_timeout=TIMEOUT,
    connection_timeout=2.0,
    authentication_timeout=2.0,
    ping_interval=1.0,
    ping_timeout=1.0,
)
_POLICY: Final = ReconnectPolicy(initial_delay=0.02, maximum_delay=0.5)
_SETTLE: Final = 60.0
_STEADY: Final = 5.0
_BACK: Final = 60.0
_DIRECT: Final = IpcClientOptions(default_request_timeout=_SETTLE)


@dataclass(frozen=True)
class Settings:
    """What a soak does.

    Attributes:
        requests: How many in all.
        threads: How many make them, shared out over the clients.
        clients: How many.
        every: A fault for so many requests; 0 for none.
        seed: Decides the faults, and what the threads do.
        seconds: After which it ends, however many requests were made.
        warm_up: The part of the requests after which memory must not grow.
        crowd: Requests at once before anything is counted.
    """

    requests: int
    threads: int
    clients: int
    every: int
    seed: int
    seconds: float
    warm_up: float = 0.1
    crowd: int = 400


class Watch:
    """Looks at memory and at hanging threads once a second, on a thread of its own."""

    def __init__(
        self, workers: Sequence[Worker], pids: dict[str, int], say: Callable[..., None]
    ) -> None:
        """Prepare it; ``pids`` are those of the processes whose memory it looks at, by name."""
        self.samples: dict[str, list[tuple[int, int]]] = {name: [] for name in pids}
        """Requests made and bytes used, second by second."""
        self.hung = 0
        self._workers = workers
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._say = say
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        told = 0.0
        while not self._ended.wait(1.0):
            now = time.monotonic()
            done = sum(worker.tally.requests for worker in self._workers)
            for name, process in self._processes.items():
                self.samples[name].append((done, process.memory_info().rss))
            hung = sum(
                1
                for worker in self._workers
                if worker.busy_since and now - worker.busy_since > TIMEOUT + 2 * SLACK
            )
            if hung > self.hung:
                self.hung = hung
                faulthandler.dump_traceback()
            if now - told > 15.0:
                told = now
                took = now - begun
                self._say(f"{took:6.0f} s  {done:>9} requests  {done / took:6.0f} a second")


def soak(settings: Settings, say: Callable[..., None] = lambda text: None) -> dict[str, Any]:
    """Do one; returns its report, as JSON can hold it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        gateway = stack.enter_context(started("gateway", str(folder)))
        every, seed = str(settings.every), str(settings.seed)
        proxy = stack.enter_context(
            started("proxy", str(gateway.port), "--every", every, "--seed", seed)
        )
        say(f"warming up, until threads and descriptors have been the same for {_STEADY:g} s")
        _warm_up(gateway, proxy, settings.crowd)
        before = {"client": _steady(os.getpid()), "gateway": _steady(gateway.pid)}
        say(f"making {settings.requests} requests")
        begun = time.monotonic()
        workers, watch = _work(settings, gateway, proxy, say)
        seconds = time.monotonic() - begun
        tally = Tally()
        for worker in workers:
            tally.add(worker.tally)
        if watch.hung:
            tally.violate("hung", f"{watch.hung} threads did not get an answer")
        say(
            f"{seconds:6.0f} s  done; comparing with the store, and waiting for what is left to end"
        )
        said = proxy.end()
        _compare_with_store(gateway, workers, tally)
        growth = {
            name: Growth.of(samples, settings.warm_up * settings.requests)
            for name, samples in watch.samples.items()
        }
        after = {
            "client": _settled(os.getpid(), before["client"]),
            "gateway": _settled(gateway.pid, before["gateway"]),
        }
    return as_document(
        settings=vars(settings),
        machine=describe_machine(),
        seconds=seconds,
        tally=tally,
        proxy=said,
        growth=growth,
        before=before,
        after=after,
    )


def _client(port: int) -> IpcClient:
    return IpcClient(IpcConfig(port=port, auth_token=TOKEN), options=OPTIONS, reconnect=_POLICY)


def _warm_up(gateway: Server, proxy: Server, crowd: int) -> None:
    """Have everything imported and opened that stays, before it is counted."""
    for port in (gateway.port, proxy.port):
        with _client(port) as client:
            client.check_server_health()
            session = client.create_session("warm-up")
            client.get_session(session.id)
            client.list_sessions()
            client.delete_session(session.id)
            _POLICY.delay(1)
    with _client(gateway.port) as client:
        # So much at once that the store opens all the connections that it ever has.
        made = [client.futures.create_session("warm-up") for _ in range(crowd)]
        wait([client.futures.list_sessions() for _ in range(crowd)], _SETTLE)
        wait([client.futures.delete_session(future.result().id) for future in made], _SETTLE)


def _work(
    settings: Settings, gateway: Server, proxy: Server, say: Callable[..., None]
) -> tuple[list[Worker], Watch]:
    quota = -(-settings.requests // settings.threads)
    stop = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(_client(proxy.port)) for _ in range(settings.clients)]
        workers = [
            Worker(
                f"{settings.seed}-{number}", settings.seed, clients[number % len(clients)], quota
            )
            for number in range(settings.threads)
        ]
        threads = [
            threading.Thread(target=worker.run, args=(stop,), name="soak-worker", daemon=True)
            for worker in workers
        ]
        pids = {"client": os.getpid(), "gateway": gateway.pid}
        with Watch(workers, pids, say) as watch:
            for thread in threads:
                thread.start()
            give_up = time.monotonic() + settings.seconds
            for thread in threads:
                thread.join(max(0.0, give_up - time.monotonic()))
            stop.set()
            last = time.monotonic() + _SETTLE
            for thread in threads:
                thread.join(max(0.0, last - time.monotonic()))
            watch.hung = max(watch.hung, sum(thread.is_alive() for thread in threads))
    return workers, watch


def _compare_with_store(gateway: Server, workers: Sequence[Worker], tally: Tally) -> None:
    """Compare what the threads know with what the gateway has, past the proxy."""
    config = IpcConfig(port=gateway.port, auth_token=TOKEN)
    with IpcClient(config, options=_DIRECT) as client:
        listed = client.list_sessions()
    ids = Counter(session.id for session in listed)
    titles = Counter(session.title for session in listed)
    by_id = {session.id: session.title for session in listed}
    explained: set[str] = set()
    for worker in workers:
        for session_id, title in worker.live.items():
            if by_id.get(session_id) != title:
                tally.violate("lost", f"{title} was answered, but {session_id} is not there")
        for title in worker.untouched & titles.keys():
            tally.violate("untruthful", f"{title} is there, although request_sent was False")
        explained |= worker.unsure | worker.untouched | set(worker.live.values())
    for title, count in titles.items():
        if count > 1:
            tally.violate("duplicated", f"{title} is there {count} times")
        if title not in explained:
            tally.violate("duplicated", f"{title} is there, but was deleted")
    for session_id, count in ids.items():
        if count > 1:
            tally.violate("duplicated", f"{session_id} is there {count} times")


def _held(pid: int) -> dict[str, int]:
    """Return how many threads and descriptors a process has."""
    process = psutil.Process(pid)
    count = getattr(process, "num_fds" if hasattr(process, "num_fds") else "num_handles")
    return {"threads": process.num_threads(), "descriptors": count()}


def _steady(pid: int) -> dict[str, int]:
    """Return what a process holds once that has not changed for a while."""
    give_up = time.monotonic() + _SETTLE
    held, since = _held(pid), time.monotonic()
    while time.monotonic() < min(give_up, since + _STEADY):
        time.sleep(0.1)
        now = _held(pid)
        if now != held:
            held, since = now, time.monotonic()
    return held


def _settled(pid: int, before: dict[str, int]) -> dict[str, int]:
    """Return what a process holds once it is back to what it held, or patience has ended."""
    give_up = time.monotonic() + _BACK
    gc.collect()
    while True:
        held = _held(pid)
        if all(held[name] <= before[name] for name in held) or time.monotonic() > give_up:
            return held
        time.sleep(0.1)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--every", type=int, default=2000, help="requests for one fault; 0: none")
    parser.add_argument("--seed", type=int, default=None, help="a fresh one if left out")
    parser.add_argument("--seconds", type=float, default=7200.0, help="ends it earlier")
    parser.add_argument("--output", type=Path, help="a file for the report as JSON")
    options = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    settings = Settings(
        options.requests, options.threads, options.clients, options.every, seed, options.seconds
    )
    print(f"seed {seed}", flush=True)
    report = soak(settings, lambda text: print(text, flush=True))
    print(as_table(report))
    if options.output is not None:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    found = problems(report)
    for problem in found:
        print(f"VIOLATED: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One run of chaos: threads, faults, cancels, time-outs, closes and reconnects, all by a seed.

``python -m tests.chaos.run --runs 500 --seed 0`` does many, and says which seeds fail. What each
thread and each fault does is decided by the seed; how the threads interleave is up to the machine,
and the contract must hold in any case.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from opencode_sync import (
    CancelToken,
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcError,
    ReconnectPolicy,
)
from opencode_sync import connection as connection_module
from opencode_sync.gateway import Gateway
from opencode_sync.metrics import InMemoryMetrics
from opencode_sync.pending import PendingRequests
from opencode_sync.run_events import TextDelta
from opencode_sync.testing import Fault, FaultKind, FaultPlan, FaultProxy, FaultyTransports
from tests.chaos.backends import CONFIG, TOKEN, GatewayBackend, MemoryBackend, Seen
from tests.chaos.model import Ledger, violations
from tests.support.leaks import eventually, no_leaks

THREADS = 4
ACTIONS = 20
PATIENCE = 30.0
"""Seconds after which a thread that has not ended hangs."""

OPTIONS = IpcClientOptions(
    default_request_timeout=1.0,
    connection_timeout=0.5,
    authentication_timeout=0.3,
    shutdown_timeout=1.0,
    ping_interval=0.1,
    ping_timeout=0.1,
)

_BOTH = (
    FaultKind.DELAY,
    FaultKind.DUPLICATE,
    FaultKind.REORDER,
    FaultKind.DROP,
    FaultKind.HALF_OPEN,
    FaultKind.RESET,
    FaultKind.CUT,
    FaultKind.CLOSE,
    FaultKind.REFUSE,
    FaultKind.THROTTLE,
)
_OF_A_WIRE = (*_BOTH, FaultKind.SLICE, FaultKind.FRAGMENT, FaultKind.FREEZE)


@dataclass
class Place:
    """Where a run's client connects to, and what its faults can do beyond the plan."""

    make_client: Callable[..., IpcClient]
    plan: FaultPlan
    seen: Seen
    injected: Callable[[], Any]
    disturb: Callable[[random.Random], None]
    calm: Callable[[], None]


def plan_of(seed: int, kinds: tuple[FaultKind, ...]) -> FaultPlan:
    """The faults of a seed; one run in five has bytes changed, too."""
    chosen = (*kinds, FaultKind.CORRUPT) if seed % 5 == 0 else kinds
    return FaultPlan.from_seed(
        seed, count=12, kinds=chosen, messages=25, connections=5, seconds=0.03
    )


@contextmanager
def in_memory(seed: int) -> Iterator[Place]:
    """A scripted backend behind faulty transports."""
    backend = MemoryBackend()
    with FaultyTransports(backend.factory, plan_of(seed, _BOTH)) as faults:

        def disturb(chance: random.Random) -> None:
            backend.refusing = chance.random() < 0.3
            backend.end_links(chance.choice([None, None, 1000, 1001, 1011, 4000]))

        def calm() -> None:
            backend.refusing = False

        def make_client(**arguments: Any) -> IpcClient:
            return IpcClient(CONFIG, transport_factory=faults, **arguments)

        yield Place(make_client, faults.plan, backend.seen, lambda: faults.injected, disturb, calm)
        backend.close()


@contextmanager
def over_sockets(seed: int) -> Iterator[Place]:
    """A gateway behind a faulty proxy."""
    backend = GatewayBackend()
    with (
        Gateway(backend, auth_token=TOKEN) as gateway,
        FaultProxy(("127.0.0.1", gateway.port), plan_of(seed, _OF_A_WIRE)) as proxy,
    ):

        def disturb(chance: random.Random) -> None:
            if chance.random() < 0.3:
                proxy.go_down()
            proxy.inject(
                chance.choice([Fault.reset(), Fault.cut(), Fault.close(1001), Fault.close(4000)])
            )

        def make_client(**arguments: Any) -> IpcClient:
            return IpcClient(IpcConfig(port=proxy.port, auth_token=TOKEN), **arguments)

        yield Place(
            make_client,
            proxy.plan,
            backend.seen,
            lambda: proxy.injected,
            disturb,
            proxy.come_back,
        )


PLACES: dict[str, Callable[[int], contextlib.AbstractContextManager[Place]]] = {
    "memory": in_memory,
    "sockets": over_sockets,
}


class Worker:
    """What one thread does."""

    def __init__(self, number: int, seed: int, client: IpcClient, ledger: Ledger) -> None:
        self._name = f"{seed}-{number}"
        self._chance = random.Random(f"worker/{seed}/{number}")
        self._client = client
        self._ledger = ledger
        self._count = 0
        self.failure: BaseException | None = None
        """What an action raised that is none of the client's errors."""

    def work(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.failure = error

    def _work(self) -> None:
        pace = threading.Event()  # never set
        for _ in range(ACTIONS):
            pace.wait(self._chance.uniform(0, 0.008))
            self._chance.choice(
                [self._call, self._call, self._burst, self._cancel, self._prompt, self._listen]
            )()

    def _next(self) -> tuple[str, bool, float]:
        self._count += 1
        chance = self._chance
        return f"{self._name}-{self._count}", chance.random() < 0.5, chance.uniform(0.005, 0.4)

    def _call(self, cancel: CancelToken | None = None) -> None:
        nonce, idempotent, timeout = self._next()
        record = self._ledger.open(nonce, idempotent=idempotent, timeout=timeout)
        try:
            if idempotent:
                result = self._client.get_session(f"ses_{nonce}", timeout=timeout, cancel=cancel)
            else:
                result = self._client.create_session(nonce, timeout=timeout, cancel=cancel)
        except BaseException as error:
            self._ledger.close(record, None, error)
        else:
            self._ledger.close(record, result.title)

    def _prompt(self) -> None:
        nonce, _, timeout = self._next()
        record = self._ledger.open(nonce, idempotent=False, timeout=timeout)
        abort_after = self._chance.choice([0, 1, 99, 99, 99])
        try:
            stream = self._client.stream_prompt("ses_1", nonce, timeout=timeout)
            with stream:
                for count, event in enumerate(stream):
                    if isinstance(event, TextDelta):
                        record.pieces.append(event.text)
                    if count == abort_after:
                        stream.cancel()
                result = stream.result()
        except BaseException as error:
            self._ledger.close(record, None, error)
        else:
            self._ledger.close(record, result.text)

    def _listen(self) -> None:
        timeout = self._chance.uniform(0.005, 0.2)
        try:
            with self._client.events(timeout=timeout) as events:
                for _ in range(self._chance.randint(0, 3)):
                    events.next_event(timeout)
        except IpcError:
            return  # lost, or nothing came in time

    def _cancel(self) -> None:
        token = CancelToken()
        timer = threading.Timer(self._chance.uniform(0, 0.02), token.cancel)
        timer.start()
        self._call(token)
        timer.join(PATIENCE)

    def _burst(self) -> None:
        futures = []
        for _ in range(self._chance.randint(1, 8)):
            nonce, idempotent, timeout = self._next()
            record = self._ledger.open(nonce, idempotent=idempotent, timeout=timeout)
            if idempotent:
                future = self._client.futures.get_session(f"ses_{nonce}", timeout=timeout)
            else:
                future = self._client.futures.create_session(nonce, timeout=timeout)
            future.add_done_callback(
                lambda done, record=record: self._ledger.close_with(record, done)
            )
            futures.append(future)
        for future in futures:
            if self._chance.random() < 0.2:
                future.cancel()


def disturb(place: Place, client: IpcClient, seed: int, done: threading.Event) -> None:
    """Break links, close the client and connect it again, until the workers are done."""
    chance = random.Random(f"disturber/{seed}")
    while not done.wait(chance.uniform(0.002, 0.03)):
        match chance.randrange(8):
            case 0 | 1 | 2:
                place.disturb(chance)
            case 3:
                client.close()
            case _:
                place.calm()
                with contextlib.suppress(IpcError):
                    client.connect()


def run(seed: int, place_name: str) -> Counter[str]:
    """Do one run; returns how often what happened.

    Raises:
        AssertionError: the contract was broken, or something was left behind.
    """
    with no_leaks(), PLACES[place_name](seed) as place:
        tables: list[PendingRequests] = []

        class Recorded(PendingRequests):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                tables.append(self)

        with mock.patch.object(connection_module, "PendingRequests", Recorded):
            return _run(seed, place, tables)


def _run(seed: int, place: Place, tables: list[PendingRequests]) -> Counter[str]:
    chance = random.Random(f"run/{seed}")
    policy = ReconnectPolicy(
        initial_delay=0.002,
        maximum_delay=0.02,
        jitter=0.002,
        attempts=chance.choice([None, None, 3]),
        wait_while_down=chance.random() < 0.7,
    )
    metrics, ledger = InMemoryMetrics(), Ledger()
    reconnect = policy if chance.random() < 0.85 else None
    client = place.make_client(options=OPTIONS, metrics=metrics, reconnect=reconnect)
    client.on_state_change(ledger.step)
    with contextlib.suppress(IpcError):
        client.connect()
    done = threading.Event()
    workers = [Worker(number, seed, client, ledger) for number in range(THREADS)]
    threads = [threading.Thread(target=worker.work, name="chaos-worker") for worker in workers]
    disturber = threading.Thread(
        target=disturb, args=(place, client, seed, done), name="chaos-disturber"
    )
    for thread in (*threads, disturber):
        thread.daemon = True
        thread.start()
    give_up = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
        assert not thread.is_alive(), f"seed {seed}: a caller hangs"
    done.set()
    disturber.join(PATIENCE)
    assert not disturber.is_alive(), f"seed {seed}: connect or close hangs"
    place.calm()
    client.close()
    eventually(lambda: all(record.endings for record in ledger.records), PATIENCE)
    injected = place.injected()
    kinds = {injection.fault.kind for injection in injected}
    records = ledger.records
    wrong = list(
        violations(
            records,
            ledger.changes,
            place.seen.counts(),
            repeats_injected=FaultKind.DUPLICATE in kinds,
            bytes_changed=FaultKind.CORRUPT in kinds,
        )
    )
    wrong += [f"a caller got {worker.failure!r}" for worker in workers if worker.failure]
    left = sum(len(table) for table in tables)
    if left:
        wrong.append(f"{left} entries are left in the tables of pending requests")
    operations = metrics.snapshot().operations
    counted = sum(
        operations[name].succeeded + operations[name].failed
        for name in ("create_session", "get_session", "prompt")
        if name in operations
    )
    if counted != len(records):
        wrong.append(f"the metrics count {counted} ends of {len(records)} calls")
    assert not wrong, f"seed {seed}:\n" + "\n".join(wrong)
    outcomes = Counter("ok" if r.error is None else type(r.error).__name__ for r in records)
    outcomes.update(f"fault {injection.fault.kind}" for injection in injected)
    outcomes["connections"] = sum(change.new.name == "CONNECTED" for change in ledger.changes)
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """Do many runs and report."""
    parser = argparse.ArgumentParser(description="Chaos runs, each by its seed.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--place", choices=[*PLACES, "both"], default="both")
    options = parser.parse_args(arguments)
    places = list(PLACES) if options.place == "both" else [options.place]
    total: Counter[str] = Counter()
    failed = 0
    begun = time.monotonic()
    for seed in range(options.seed, options.seed + options.runs):
        place = places[seed % len(places)]
        try:
            total += run(seed, place)
        except AssertionError as error:
            failed += 1
            notes = "\n".join(getattr(error, "__notes__", []))
            print(f"FAILED --place {place} --seed {seed} --runs 1\n{error}\n{notes}", flush=True)
    took = time.monotonic() - begun
    print(f"{options.runs} runs in {took:.1f} s, {failed} with a violation")
    for name, count in sorted(total.items()):
        print(f"  {name}: {count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

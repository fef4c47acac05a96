"""``python -m benchmarks.growth``: how what a call costs grows with what there is of everything.

Each series changes one thing and divides the time by the work that is done. As long as nothing
grows faster than its work, the quotient stays level or falls; what is judged is how far it rises
above its lowest point until the end of the series.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.__main__ import responder
from benchmarks.contenders.ipc_client import Client, ClientInMemory
from benchmarks.machine import describe_machine
from benchmarks.report import write_json
from benchmarks.wire import Answers
from opencode_sync import ConnectionState, IpcClient, StateChange
from opencode_sync.transport.memory import MemoryPeer
from opencode_sync.wire import ipc_pb2

LIMIT: Final = 2.0
"""How far the cost per piece of work may rise above its lowest."""

_IN_FLIGHT: Final = (1, 10, 100, 1_000, 10_000)
_THREADS: Final = (1, 2, 4, 8, 16, 32, 64)
_LISTS: Final = (0, 10, 100, 1_000, 10_000, 100_000)
_SIZES: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000, 16_000_000)
_FEW: Final = (0, 1, 10, 100)
_IDS: Final = (2, 1_000, 1_000_000, 86_400_000, 10_000_000_000)  # 1,000 a second are 86.4 million
_CALLS: Final = 200
_EVENTS: Final = 2_000
_PATIENCE: Final = 60.0
_RESULTS: Final = Path(__file__).with_name("results")


@dataclass
class Series:
    """One thing that grows.

    Attributes:
        title: What the time is of, and its unit.
        grows: What grows.
        points: How much there is, and microseconds per piece of work.
    """

    title: str
    grows: str
    points: list[tuple[int, float]] = field(default_factory=list)

    @property
    def rise(self) -> float:
        """How far the last point lies above the lowest."""
        return self.points[-1][1] / min(cost for _, cost in self.points)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="times each; the quickest counts")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="folder of JSON and chart")
    options = parser.parse_args(argv)
    machine = describe_machine()
    taken = []
    for series in _measure(max(1, options.repeat)):
        taken.append(series)
        points = "  ".join(f"{amount:,}: {cost:,.3g}" for amount, cost in series.points)
        mark = "" if series.rise <= LIMIT else "  RISES"
        print(f"{series.title}, by {series.grows}\n  {points}\n  rise {series.rise:.2f}{mark}\n")
    options.output.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine,
        "limit": LIMIT,
        "series": [asdict(series) | {"rise": series.rise} for series in taken],
    }
    write_json(document, options.output / "growth.json")
    _draw(taken, options.output / "growth.png")
    print(f"load {machine['load_average']}; written to {options.output}")
    return 0


def _measure(repeat: int) -> Iterator[Series]:
    with responder(10) as ports, closing(Client(ports["websocket"])) as client:
        yield from _in_flight(client, repeat)
        yield _by_threads(client, repeat)
        yield _by_size(client, repeat)
    yield _by_length(repeat)
    yield _by_ids(repeat)
    yield from _by_streams(repeat)
    yield _by_listeners(repeat)


def _quickest(repeat: int, work: int, take: Callable[[], object]) -> float:
    """Return the microseconds per piece of work, of the quickest of some times."""
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        take()
        best = min(best, time.perf_counter() - started)
    return best / work * 1e6


def _call(client: Client) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(_CALLS):
            assert client.check_health()

    return calls


def _in_flight(client: Client, repeat: int) -> Iterator[Series]:
    piped = Series("Pipelined, µs per request", "requests in flight")
    for window in _IN_FLIGHT:
        count = max(2_000, 2 * window)
        cost = _quickest(repeat, count, partial(client.pipeline, count, window))
        piped.points.append((window, cost))
    yield piped
    beside = Series("Round trip, µs", "requests of others in flight")
    held: list[Any] = []
    for amount in (0, *_IN_FLIGHT):
        held.extend(client.hold() for _ in range(amount - len(held)))
        beside.points.append((amount, _quickest(repeat, _CALLS, _call(client))))
    for future in held:
        future.cancel()
    yield beside


def _by_threads(client: Client, repeat: int) -> Series:
    series = Series("Blocking calls, µs per request", "calling threads")
    for count in _THREADS:
        with ThreadPoolExecutor(count) as threads:
            all_there = threading.Barrier(count)
            list(threads.map(lambda _, wait=all_there.wait: wait(_PATIENCE), range(count)))
            run = partial(_run_together, threads, count, _call(client))
            series.points.append((count, _quickest(repeat, count * _CALLS, run)))
    return series


def _run_together(threads: ThreadPoolExecutor, count: int, work: Callable[[], None]) -> None:
    for done in [threads.submit(work) for _ in range(count)]:
        done.result(_PATIENCE)


def _by_size(client: Client, repeat: int) -> Series:
    series = Series("A message there and back, ns per byte", "its bytes")
    for size in _SIZES:
        title = "x" * size
        cost = _quickest(repeat, size, partial(client.create_session, title))
        series.points.append((size, cost * 1e3))
    return series


def _by_length(repeat: int) -> Series:
    series = Series("A list, µs per session", "its sessions")
    for count in _LISTS:
        with responder(count) as ports, closing(Client(ports["websocket"])) as client:
            client.list_sessions()
            cost = _quickest(repeat, max(1, count), client.list_sessions)
            series.points.append((count, cost))
    return series


def _by_ids(repeat: int) -> Series:
    """Go on from ids that it takes a day, or years, to come to."""
    series = Series("Round trip, µs", "request ids given out before")
    with responder(10) as ports, closing(Client(ports["websocket"])) as client:
        _call(client)()
        live = client.client._supervisor._live  # what only time would bring is set by hand
        assert live is not None
        pending = live._pending
        for first in _IDS:
            pending._next_id = max(first, pending._next_id)
            series.points.append((first, _quickest(repeat, _CALLS, _call(client))))
    return series


class _Publisher(ClientInMemory):
    """A client in memory, and a backend that has events for its streams."""

    def __init__(self) -> None:
        self.subscriptions: list[int] = []
        super().__init__(Answers(10))

    def _answer(self, request: bytes) -> bytes | None:
        asked = ipc_pb2.IpcClientMessage.FromString(request)
        if asked.WhichOneof("payload") != "subscribe":
            return super()._answer(request)
        self.subscriptions.append(asked.request_id)
        answer = ipc_pb2.IpcServerMessage(request_id=asked.request_id)
        answer.subscribed.SetInParent()
        return answer.SerializeToString()

    def publish(self, events: int) -> None:
        """Push so many events to each subscription."""
        for request_id in self.subscriptions:
            push = ipc_pb2.IpcServerMessage(request_id=request_id)
            push.event.event.type = "session.updated"
            encoded = push.SerializeToString()
            for _ in range(events):
                self.peer.send(encoded)

    @property
    def peer(self) -> MemoryPeer:
        """The backend's end."""
        return self._peer


def _by_streams(repeat: int) -> Iterator[Series]:
    idle = Series("Round trip in memory, µs", "open streams that are silent")
    busy = Series("Events to streams, µs per event", "open streams")
    with ExitStack() as stack:
        publisher = stack.enter_context(closing(_Publisher()))
        streams: list[Any] = []
        for amount in _FEW:
            while len(streams) < amount:
                streams.append(stack.enter_context(publisher.client.events()))
            idle.points.append((amount, _quickest(repeat, _CALLS, _call(publisher))))
            if amount:
                each = _EVENTS // amount
                deliver = partial(_deliver, publisher, streams, each)
                busy.points.append((amount, _quickest(repeat, each * amount, deliver)))
    yield idle
    yield busy


def _deliver(publisher: _Publisher, streams: list[Any], each: int) -> None:
    publisher.publish(each)
    for stream in streams:
        for _ in range(each):
            next(stream)


def _by_listeners(repeat: int) -> Series:
    """Connect and close, with a listener that is told of each of the five changes."""
    series = Series("Connect and close, µs per listener", "listeners")
    with responder(10) as ports:
        for count in _FEW[1:]:
            with closing(Client(ports["websocket"])) as client:
                told = threading.Semaphore(0)
                for _ in range(count):
                    client.client.on_state_change(partial(_note_closed, told))
                cycle = partial(_close_and_connect, client.client, told, count)
                series.points.append((count, _quickest(repeat, count, cycle)))
    return series


def _note_closed(told: threading.Semaphore, change: StateChange) -> None:
    if change.new is ConnectionState.DISCONNECTED:
        told.release()


def _close_and_connect(client: IpcClient, told: threading.Semaphore, count: int) -> None:
    client.close()
    for _ in range(count):
        assert told.acquire(timeout=_PATIENCE)
    client.connect()


def _draw(taken: Sequence[Series], path: Path) -> None:
    """Draw the series, if matplotlib is there."""
    try:
        import matplotlib
    except ImportError:
        print("left out: the chart, as matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 3
    rows = -(-len(taken) // columns)
    canvas, grid = pyplot.subplots(rows, columns, figsize=(14, 3 * rows), squeeze=False)
    places = list(grid.flat)
    for place, series in zip(places, taken, strict=False):
        amounts, costs = zip(*series.points, strict=True)
        place.plot(range(len(amounts)), costs, marker="o")
        place.set_xticks(range(len(amounts)), [f"{amount:,}" for amount in amounts], fontsize=7)
        place.set_yscale("log")
        place.set_title(f"{series.title} (rise {series.rise:.2f})", fontsize=9)
        place.set_xlabel(series.grows, fontsize=8)
    for place in places[len(taken) :]:
        place.set_visible(False)
    canvas.tight_layout()
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

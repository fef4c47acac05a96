"""What is measured between the contenders of one run, in turn."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.samples import Figure

__all__ = ["listing", "memory", "pipelined", "queued", "round_trip", "serving", "threads"]

_CALLS: Final = 50
_PIPELINED: Final = 1_000
_WINDOW: Final = 200
_QUEUERS: Final = 8
_CALLERS: Final = 64
_CALLS_EACH: Final = 25
_HELD: Final = 2_000
_MICRO: Final = 1e6


def round_trip(contenders: Sequence[Contender], rounds: int) -> Iterator[Figure]:
    """Time single calls of one caller."""
    figure = Figure("round-trip", "Round trip, one caller", "µs")
    for contender in _in_turn(contenders, rounds):
        call, samples = contender.check_health, []
        for _ in range(_CALLS):
            started = time.perf_counter()
            healthy = call()
            samples.append((time.perf_counter() - started) * _MICRO)
            assert healthy
        figure.add(contender.name, samples)
    yield figure


def pipelined(contenders: Sequence[Contender], rounds: int) -> Iterator[Figure]:
    """Time many calls at once from one thread, and count what they cost the processor."""
    figure = Figure("pipelined", f"Per request, {_WINDOW} in flight from one thread", "µs")
    cost = Figure("cpu", "The same, CPU time of the client's process", "µs")
    for contender in _in_turn(contenders, rounds):
        with _clock(figure, contender, _PIPELINED, cost):
            contender.pipeline(_PIPELINED, _WINDOW)
    yield figure
    yield cost


def serving(contenders: Sequence[Contender], rounds: int) -> Iterator[Figure]:
    """Time the same client's pipelined calls of different servers."""
    figure = Figure("gateway", f"Per request, served; {_WINDOW} in flight from one IpcClient", "µs")
    for contender in _in_turn(contenders, rounds):
        with _clock(figure, contender, _PIPELINED):
            contender.pipeline(_PIPELINED, _WINDOW)
    yield figure


def queued(contenders: Sequence[Contender], rounds: int) -> Iterator[Figure]:
    """Time as many calls at once, from several threads, so that requests queue up together."""
    each, window = _PIPELINED // _QUEUERS, _WINDOW // _QUEUERS
    title = f"Per request, {_QUEUERS} threads with {window} in flight each"
    figure = Figure("queued", title, "µs")
    for contender in _in_turn(contenders, rounds):
        together = _together(_QUEUERS, contender, lambda one: one.pipeline(each, window))
        with together as start, _clock(figure, contender, each * _QUEUERS):
            start()
    yield figure


def threads(contenders: Sequence[Contender], rounds: int) -> Iterator[Figure]:
    """Time blocking calls from many threads."""
    figure = Figure("threads", f"Per request, {_CALLERS} threads that each wait", "µs")

    def call(contender: Contender) -> None:
        for _ in range(_CALLS_EACH):
            assert contender.check_health()

    for contender in _in_turn(contenders, rounds):
        together = _together(_CALLERS, contender, call)
        with together as start, _clock(figure, contender, _CALLERS * _CALLS_EACH):
            start()
    yield figure


def listing(contenders: Sequence[Contender], rounds: int, sessions: int) -> Iterator[Figure]:
    """Time a long list of sessions."""
    figure = Figure("list", f"A list of {sessions} sessions", "ms")
    for contender in _in_turn(contenders, rounds):
        started = time.perf_counter()
        count = contender.list_sessions()
        figure.add(contender.name, [(time.perf_counter() - started) * 1e3])
        assert count == sessions
    yield figure


def memory(makers: Iterable[Callable[[], Contender]]) -> Iterator[Figure]:
    """Count the bytes that Python holds for each request without an answer."""
    figure = Figure("memory", f"Memory per request, {_HELD} in flight", "KiB")
    for make in makers:
        contender = make()
        tracemalloc.start()
        try:
            contender.check_health()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            held = [contender.hold() for _ in range(_HELD)]
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        contender.close()
        figure.add(contender.name, [(after - before) / len(held) / 1024])
    yield figure


def _in_turn(contenders: Sequence[Contender], rounds: int) -> Iterator[Contender]:
    """Yield all contenders once a round, each round beginning with another one."""
    for number in range(rounds):
        gc.collect()  # the garbage of one round is not another contender's to clean up
        for place in range(len(contenders)):
            yield contenders[(number + place) % len(contenders)]


@contextmanager
def _clock(
    figure: Figure, contender: Contender, count: int, cost: Figure | None = None
) -> Iterator[None]:
    busy, started = time.process_time(), time.perf_counter()
    yield
    took, used = time.perf_counter() - started, time.process_time() - busy
    figure.add(contender.name, [took / count * _MICRO])
    if cost is not None:
        cost.add(contender.name, [used / count * _MICRO])


@contextmanager
def _together(
    count: int, contender: Contender, work: Callable[[Contender], None]
) -> Iterator[Callable[[], None]]:
    """Have threads ready; what is yielded lets them go and waits for the last to be done."""
    go, done = threading.Barrier(count + 1), threading.Barrier(count + 1)
    failures: list[BaseException] = []

    def run() -> None:
        go.wait()
        try:
            work(contender)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)
        done.wait()

    def start() -> None:
        go.wait()
        done.wait()

    workers = [threading.Thread(target=run, name="benchmark-caller") for _ in range(count)]
    for worker in workers:
        worker.start()
    yield start
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]

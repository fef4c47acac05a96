"""``python -m benchmarks.floors``: what threads cost by themselves, with nothing of ours.

Callers hand a lock to one worker and wait until it is released: the least that any blocking call
through another thread can be, without a socket, a message or a table.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Final

_CALLERS: Final = (1, 8, 64)
_CALLS: Final = 8_000
_ROUNDS: Final = 9


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    del argv
    jobs: SimpleQueue[threading.Lock | None] = SimpleQueue()
    worker = threading.Thread(target=_release_all, args=(jobs,), name="benchmark-worker")
    worker.start()
    for callers in _CALLERS:
        rounds = [_hand_over(jobs, callers) for _ in range(_ROUNDS)]
        wall, cpu = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(f"{callers:3} callers: {wall:5.1f} µs there and back, {cpu:5.1f} µs of CPU")
    jobs.put(None)
    worker.join()
    return 0


def _release_all(jobs: SimpleQueue[threading.Lock | None]) -> None:
    while (lock := jobs.get()) is not None:
        lock.release()


def _hand_over(jobs: SimpleQueue[threading.Lock | None], callers: int) -> tuple[float, float]:
    """Return microseconds per call: of the clock, and of the process's CPU time."""
    each = _CALLS // callers

    def call() -> None:
        lock = threading.Lock()
        lock.acquire()
        for _ in range(each):
            jobs.put(lock)
            lock.acquire()

    threads = [threading.Thread(target=call, name="benchmark-caller") for _ in range(callers)]
    started, busy = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scale = 1e6 / callers / each
    return (time.perf_counter() - started) * scale, (time.process_time() - busy) * scale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The soak does what it says: it finds what is wrong, and finds nothing where all is well."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("websockets")

from benchmarks import soak as soak_module
from benchmarks.soak import Settings, soak
from benchmarks.soak_report import Growth, as_document, as_table, problems
from benchmarks.soak_servers import EveryNth
from benchmarks.soak_worker import Tally
from opencode_sync.testing import Direction
from tests.support.leaks import no_leaks


def test_a_small_soak_is_without_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_module, "_STEADY", 0.2)
    monkeypatch.setattr(soak_module, "_BACK", 1.0)
    settings = Settings(1000, threads=4, clients=2, every=80, seed=5, seconds=60, crowd=20)
    said: list[str] = []
    with no_leaks():
        report = soak(settings, said.append)
    assert [each.split()[0] for each in said][:2] == ["warming", "making"]  # what takes so long
    assert "waiting" in said[-1]
    # Too short to know of how much at once the gateway's threads and descriptors are.
    assert [problem for problem in problems(report) if "the gateway has" not in problem] == []
    assert report["requests"] >= 1000
    assert report["answered"] + sum(report["failures"].values()) == report["requests"]
    assert sum(report["faults"].values()) >= 5
    assert report["connections"] > 2
    assert "lost" in as_table(report)


def _report(tally: Tally, **changes: Any) -> dict[str, Any]:
    held = {"threads": 2, "descriptors": 9}
    given: dict[str, Any] = {
        "settings": {"seed": 1, "clients": 1, "threads": 1},
        "machine": {},
        "seconds": 1.0,
        "tally": tally,
        "proxy": {},
        "growth": {},
        "before": {"client": held},
        "after": {"client": held},
    }
    return as_document(**(given | changes))


def test_everything_that_went_wrong_is_named() -> None:
    assert problems(_report(Tally(requests=3, answered=2, failures=Counter(IpcError=1)))) == []
    tally = Tally(requests=5, answered=4)
    tally.violate("lost", "title 7")
    assert problems(_report(tally)) == ["1 lost", "lost: title 7", "1 requests have no end"]


def test_memory_threads_and_descriptors_are_looked_at() -> None:
    grown = _report(
        Tally(),
        growth={"client": Growth(40.0, 50.1, 60.0), "gateway": Growth(40.0, 50.0, 60.0)},
        after={"client": {"threads": 3, "descriptors": 10}},
    )
    assert problems(grown) == [
        "memory of the client grew by 10.1 MiB",
        "the client has 3 threads, and had 2",
        "the client has 10 descriptors, and had 9",
    ]


def test_growth_is_that_after_the_warm_up() -> None:
    mib = 2**20
    samples = [(n, (100 if n < 50 else 40 + n // 50) * mib) for n in range(1000)]
    growth = Growth.of(samples, 50)
    assert growth is not None
    assert (growth.before, growth.after, growth.peak) == (41.0, 59.0, 59.0)
    assert growth.grown == 18.0
    assert Growth.of(samples[:55], 50) is None


def test_a_fault_for_every_so_many_requests_each_by_the_seed() -> None:
    def struck(seed: int) -> list[tuple[int, str]]:
        plan = EveryNth(100, seed=seed)
        return [
            (number, repr(stroke.fault))
            for number in range(1, 1001)
            for direction in Direction
            for stroke in plan.strikes(1, direction, number)
        ]

    assert [number for number, _ in struck(1)] == list(range(100, 1001, 100))
    assert struck(1) == struck(1) != struck(2)
    assert EveryNth(100, seed=1).strikes(1, Direction.TO_CLIENT, 100, is_message=False) == []

"""Many threads under seeded chaos. More runs: ``OPENCODE_SYNC_CHAOS_RUNS=500``, or ``run.py``."""

from __future__ import annotations

import os
from collections import Counter
from unittest import mock

import pytest

from opencode_sync import supervisor
from opencode_sync.call import Call
from tests.chaos.run import PLACES, run

RUNS = int(os.environ.get("OPENCODE_SYNC_CHAOS_RUNS", "50"))
SEED = int(os.environ.get("OPENCODE_SYNC_CHAOS_SEED", "0"))


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_the_contract_holds(seed: int) -> None:
    outcomes = run(seed, list(PLACES)[seed % len(PLACES)])
    assert sum(outcomes.values())


def _breaks_the_contract(seeds: range) -> str:
    """Run until a violation is found and return what it says."""
    for seed in seeds:
        try:
            run(seed, "memory")
        except AssertionError as error:
            return str(error)
    return ""


def test_the_model_sees_a_request_done_twice() -> None:
    """The model is worth nothing if it lets a broken client pass."""

    def always(self: supervisor.Supervisor, call: Call[object]) -> bool:
        return True

    with mock.patch.object(supervisor.Supervisor, "_may_repeat", always):
        assert "was done" in _breaks_the_contract(range(1, 60))


def test_the_model_sees_an_untruth_about_what_was_sent() -> None:
    real = supervisor.fail_lost

    def lie(call: Call[object], cause: Exception, text: str) -> None:
        call.sent = False
        real(call, cause, text)

    with mock.patch.object(supervisor, "fail_lost", lie):
        assert "although request_sent is False" in _breaks_the_contract(range(1, 60))


def test_the_faults_strike() -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(6):
        outcomes += run(SEED + seed, "memory")
    kinds = [name for name in outcomes if name.startswith("fault ")]
    assert len(kinds) >= 5
    assert outcomes["ok"] > 50
    assert outcomes["connections"] > 6

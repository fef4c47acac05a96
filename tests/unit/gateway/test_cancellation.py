"""Cancellation: set once, everybody told once, and a bug of one keeps it from no other."""

from __future__ import annotations

import threading

from opencode_sync.gateway.cancellation import Cancellation
from tests.unit.gateway.doubles import PATIENCE


def test_set_once_for_good() -> None:
    cancellation = Cancellation()
    assert (cancellation.cancelled, cancellation.reason) == (False, "")
    assert cancellation.cancel("first")
    assert not cancellation.cancel("second")
    assert (cancellation.cancelled, cancellation.reason) == (True, "first")


def test_who_waits_is_told_once() -> None:
    cancellation = Cancellation()
    told: list[str] = []
    cancellation.on_cancel(lambda: told.append(cancellation.reason))
    take_back = cancellation.on_cancel(lambda: told.append("taken back"))
    take_back()
    cancellation.cancel("why")
    cancellation.cancel("again")
    assert told == ["why"]
    forget = cancellation.on_cancel(lambda: told.append("late"))
    assert told == ["why", "late"]
    forget()
    take_back()


def test_a_bug_of_one_keeps_no_other_from_knowing() -> None:
    cancellation = Cancellation()
    told: list[str] = []
    cancellation.on_cancel(lambda: 1 / 0)
    cancellation.on_cancel(lambda: told.append("told"))
    assert cancellation.cancel("why")
    assert told == ["told"]


def test_of_many_that_cancel_at_once_one_does() -> None:
    cancellation = Cancellation()
    together = threading.Barrier(8)
    results: list[bool] = []

    def cancel() -> None:
        together.wait(PATIENCE)
        results.append(cancellation.cancel("why"))

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(results) == [False] * 7 + [True]

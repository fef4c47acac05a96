"""The bounds, and the verdict on each that can be given."""

from __future__ import annotations

import pytest

from benchmarks.bounds import BOUNDS, REAL_BOUNDS, judge
from benchmarks.growth import Series
from benchmarks.samples import Figure


def _figure(key: str, **medians: float) -> Figure:
    figure = Figure(key, key, "µs")
    for name, median in medians.items():
        figure.add(name.replace("_", " "), [median])
    return figure


def test_what_was_not_measured_is_not_judged() -> None:
    assert judge({}) == []


def test_less_is_better_where_a_bound_is_at_most() -> None:
    figures = {"cpu": _figure("cpu", IpcClient=6.0, bare_loop=10.0)}
    (verdict,) = judge(figures)
    assert verdict.value == pytest.approx(0.6)
    assert verdict.reached
    (verdict,) = judge({"cpu": _figure("cpu", IpcClient=6.1, bare_loop=10.0)})
    assert not verdict.reached


def test_throughput_is_the_inverse_of_the_time_each_takes() -> None:
    (verdict,) = judge({"pipelined": _figure("pipelined", IpcClient=10.0, bare_loop=25.0)})
    assert verdict.value == pytest.approx(2.5)
    assert verdict.reached
    (verdict,) = judge({"pipelined": _figure("pipelined", IpcClient=10.0, bare_loop=19.0)})
    assert not verdict.reached


def test_the_tail_is_told_beside_the_middle() -> None:
    figure = Figure("round-trip", "Round trip", "µs")
    figure.add("IpcClient", [1.0] * 98 + [4.0] * 3)
    (verdict,) = judge({"round-trip": figure})
    assert verdict.value == pytest.approx(4.0)
    assert not verdict.reached


def test_64_threads_are_compared_with_one() -> None:
    figures = {
        "pipelined": _figure("pipelined", IpcClient=7.0),
        "threads": _figure("threads", IpcClient=10.0),
    }
    (verdict,) = judge(figures)
    assert verdict.value == pytest.approx(0.7)
    assert verdict.reached


def test_figures_of_one_contender_stand_for_themselves() -> None:
    (verdict,) = judge({"memory": _figure("memory", IpcClient=4.5)})
    assert verdict.value == 4.5
    assert not verdict.reached


def test_every_bound_has_a_text_of_its_own() -> None:
    assert len({bound.text for bound in BOUNDS}) == len(BOUNDS)


def test_a_real_opencode_has_bounds_of_its_own() -> None:
    medians = {"IpcClient, launch": 7.0, "IpcClient, gateway": 9.6, "official SDK": 10.0}
    figures = {"real-list": _figure("real-list", **medians)}
    assert judge(figures) == []
    launched, served = judge(figures, REAL_BOUNDS)
    assert (launched.value, launched.reached) == (pytest.approx(0.7), True)
    assert (served.value, served.reached) == (pytest.approx(0.96), False)


def test_what_grows_is_judged_by_its_end_beside_its_lowest() -> None:
    assert Series("", "", [(1, 90.0), (10, 10.0), (100, 15.0)]).rise == pytest.approx(1.5)
    assert Series("", "", [(1, 90.0), (10, 10.0), (100, 5.0)]).rise == 1.0

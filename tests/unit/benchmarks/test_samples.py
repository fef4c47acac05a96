"""What is made of samples: percentiles, and ratios of what was measured in turn."""

from __future__ import annotations

import pytest

from benchmarks.samples import Figure, Summary


def _figure(**contenders: list[list[float]]) -> Figure:
    figure = Figure("round-trip", "Round trip", "µs")
    for name, rounds in contenders.items():
        for samples in rounds:
            figure.add(name, samples)
    return figure


def test_a_summary_names_the_percentiles() -> None:
    assert Summary.of([float(number) for number in range(101)]) == Summary(101, 50.0, 90.0, 99.0)


def test_one_sample_is_all_its_percentiles() -> None:
    assert Summary.of([7.0]) == Summary(1, 7.0, 7.0, 7.0)


def test_the_first_round_is_warm_up() -> None:
    figure = _figure(ours=[[900.0, 900.0], [2.0, 4.0], [6.0]])
    assert figure.samples("ours") == [2.0, 4.0, 6.0]


def test_the_only_round_counts() -> None:
    assert _figure(ours=[[5.0]]).samples("ours") == [5.0]


def test_a_ratio_is_that_of_the_medians() -> None:
    figure = _figure(ours=[[9.0], [1.0, 2.0, 60.0]], theirs=[[9.0], [4.0]])
    assert figure.ratio("ours", "theirs") == 0.5


def test_there_is_no_ratio_to_who_did_not_take_part() -> None:
    figure = _figure(ours=[[1.0]])
    assert figure.ratio("ours", "theirs") is None
    assert figure.ratio("theirs", "ours") is None
    assert figure.spread("ours", "theirs") is None


def test_the_spread_compares_round_with_round() -> None:
    """The machine got slower for both, so the ratio did not change."""
    figure = _figure(ours=[[1.0], [1.0], [10.0], [5.0]], theirs=[[1.0], [2.0], [20.0], [10.0]])
    assert figure.spread("ours", "theirs") == pytest.approx((0.5, 0.5))


def test_one_round_has_no_spread() -> None:
    figure = _figure(ours=[[1.0], [1.0]], theirs=[[1.0], [1.0]])
    assert figure.spread("ours", "theirs") is None

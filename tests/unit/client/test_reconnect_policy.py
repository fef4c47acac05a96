"""``ReconnectPolicy``: its values and the pauses it makes."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from opencode_sync import IpcConfigError, ReconnectPolicy


def test_pauses_grow_and_are_capped() -> None:
    policy = ReconnectPolicy(initial_delay=0.1, multiplier=2.0, maximum_delay=5.0, jitter=0.0)
    pauses = [policy.delay(attempt) for attempt in range(1, 12)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0, 5.0])


def test_jitter_adds_at_most_itself_and_differs() -> None:
    policy = ReconnectPolicy(initial_delay=1.0, maximum_delay=1.0, jitter=0.5)
    pauses = [policy.delay(1) for _ in range(200)]
    assert all(1.0 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 100
    assert min(pauses) < 1.2
    assert max(pauses) > 1.3


@pytest.mark.parametrize("attempt", [1, 100, 5000, 10**9])
def test_no_attempt_overflows(attempt: int) -> None:
    policy = ReconnectPolicy(initial_delay=0.1, multiplier=10.0, maximum_delay=5.0, jitter=0.0)
    assert 0 <= policy.delay(attempt) <= 5.0


def test_without_delay_and_jitter_there_is_no_pause() -> None:
    assert ReconnectPolicy(initial_delay=0, jitter=0, multiplier=1).delay(7) == 0.0


@pytest.mark.parametrize("field", ["initial_delay", "maximum_delay", "multiplier", "jitter"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_bad_number_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(IpcConfigError, match=field) as caught:
        ReconnectPolicy(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_bad_number_of_attempts_is_refused(value: Any) -> None:
    with pytest.raises(IpcConfigError, match="attempts") as caught:
        ReconnectPolicy(attempts=value)
    assert caught.value.field == "attempts"


def test_a_multiplier_below_one_is_refused() -> None:
    with pytest.raises(IpcConfigError, match="at least 1"):
        ReconnectPolicy(multiplier=0.5)


def test_it_is_immutable_comparable_and_pickles() -> None:
    policy = ReconnectPolicy(attempts=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.attempts = 4  # type: ignore[misc]
    assert policy == ReconnectPolicy(attempts=3)
    assert pickle.loads(pickle.dumps(policy)) == policy

"""What a fault may be, where it strikes, and that a seed alone decides it."""

from __future__ import annotations

import math

import pytest

from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing import Direction, Fault, FaultKind, FaultPlan
from opencode_sync.testing.plan import Stroke

TO_CLIENT, TO_BACKEND = Direction.TO_CLIENT, Direction.TO_BACKEND
NAMES = {"Fault": Fault, "FaultPlan": FaultPlan}


def struck(plan: FaultPlan, direction: Direction = TO_CLIENT, connection: int = 1) -> list[int]:
    return [n for n in range(1, 201) if plan.strikes(connection, direction, n)]


def test_a_message_is_struck_by_its_number() -> None:
    plan = FaultPlan([Fault.drop(message=3)], seed=1)
    assert struck(plan) == [3]
    assert struck(plan, TO_BACKEND) == [3]


def test_a_fault_may_be_of_one_direction_and_one_connection() -> None:
    plan = FaultPlan([Fault.drop(direction="to_client", connection=2, message=3)], seed=1)
    assert struck(plan) == []
    assert struck(plan, connection=2) == [3]
    assert struck(plan, TO_BACKEND, connection=2) == []


def test_every_nth_message_is_struck() -> None:
    assert struck(FaultPlan([Fault.drop(every=50)], seed=1)) == [50, 100, 150, 200]


def test_without_a_place_every_message_is_struck() -> None:
    assert len(struck(FaultPlan([Fault.drop()], seed=1))) == 200


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0, 0), (0.3, 35, 85), (1, 200, 200)]
)
def test_a_probability_is_kept_more_or_less(probability: float, low: int, high: int) -> None:
    assert low <= len(struck(FaultPlan([Fault.drop(probability=probability)], seed=5))) <= high


def test_the_seed_decides() -> None:
    faults = [Fault.drop(probability=0.2), Fault.delay(1, probability=0.2)]
    first, again = FaultPlan(faults, seed=5), FaultPlan(faults, seed=5)
    other = FaultPlan(faults, seed=6)
    assert struck(first) == struck(again)
    assert struck(first) != struck(other)
    # Asked in another order it decides the same.
    assert [n for n in range(200, 0, -1) if again.strikes(1, TO_CLIENT, n)] == struck(first)[::-1]


def test_connections_and_directions_have_luck_of_their_own() -> None:
    plan = FaultPlan([Fault.drop(probability=0.2)], seed=5)
    lists = [struck(plan), struck(plan, TO_BACKEND), struck(plan, connection=2)]
    assert lists[0] != lists[1] != lists[2] != lists[0]


def test_a_place_in_bytes_is_struck_once() -> None:
    plan = FaultPlan([Fault.reset(offset=10)], seed=1)
    pieces = [(0, 10), (10, 1), (11, 50)]
    hit = [plan.strikes(1, TO_CLIENT, 1, start=s, length=n) for s, n in pieces]
    assert [len(strokes) for strokes in hit] == [0, 1, 0]


def test_message_zero_is_the_handshake_and_a_ping_is_no_message() -> None:
    plan = FaultPlan([Fault.freeze(message=0), Fault.drop(message=2)], seed=1)
    assert len(plan.strikes(1, TO_CLIENT, 0, is_message=False)) == 1
    assert plan.strikes(1, TO_CLIENT, 2, is_message=False) == []


@pytest.mark.parametrize(("kind", "strikes"), [(Fault.delay(1), True), (Fault.drop(), False)])
def test_what_is_no_message_is_struck_by_faults_of_the_stream_only(
    kind: Fault, strikes: bool
) -> None:
    assert bool(FaultPlan([kind], seed=1).strikes(1, TO_CLIENT, 0, is_message=False)) == strikes


def test_a_connection_is_refused_by_number_or_by_luck() -> None:
    plan = FaultPlan([Fault.refuse(connection=2)], seed=1)
    assert [n for n in range(1, 5) if plan.refuses(n)] == [2]
    assert plan.strikes(2, TO_CLIENT, 1) == []
    some = [
        n for n in range(1, 101) if FaultPlan([Fault.refuse(probability=0.5)], seed=1).refuses(n)
    ]
    assert 30 < len(some) < 70


def test_a_place_within_a_message_is_counted_from_its_beginning() -> None:
    (stroke,) = FaultPlan([Fault.reset(message=2, offset=3)], seed=1).strikes(1, TO_CLIENT, 2)
    assert stroke.position(1000, 10) == 3
    assert stroke.position(1000, 2) == 2
    (stroke,) = FaultPlan([Fault.reset(offset=1003)], seed=1).strikes(
        1, TO_CLIENT, 2, start=1000, length=10
    )
    assert stroke.position(1000, 10) == 3


def corrupted(fault: Fault, data: bytes, start: int = 0) -> bytes:
    plan = FaultPlan([fault], seed=3)
    (stroke,) = plan.strikes(1, TO_CLIENT, 1, start=start, length=len(data))
    return stroke.corrupted(data, start)


def test_exactly_one_byte_is_corrupted() -> None:
    data = bytes(100)
    for n in range(50):
        changed = Stroke(Fault.corrupt(), FaultPlan(seed=n)._chance(0, 1, "x", 1)).corrupted(
            data, 0
        )
        assert len(changed) == 100
        assert sum(a != b for a, b in zip(data, changed, strict=True)) == 1
    assert corrupted(Fault.corrupt(0xFF, message=1, offset=2), b"abcd") == b"ab\x9cd"
    assert corrupted(Fault.corrupt(1, offset=11), b"abcd", start=10) == b"accd"
    assert corrupted(Fault.corrupt(1, message=1, offset=99), b"abcd") == b"abce"
    assert corrupted(Fault.corrupt(), b"") == b""


MADE = [
    Fault.delay(0.5, probability=0.25),
    Fault.throttle(1000, direction="to_client"),
    Fault.slice(3, 0.1),
    Fault.fragment(2, every=3),
    Fault.duplicate(message=1),
    Fault.reorder(connection=2),
    Fault.drop(),
    Fault.corrupt(255, message=2, offset=7),
    Fault.freeze(),
    Fault.freeze(1.5, offset=9),
    Fault.half_open(direction=TO_BACKEND),
    Fault.stall_handshake(),
    Fault.stall_handshake(2.0, connection=3),
    Fault.reset(message=0, offset=3),
    Fault.cut(message=4),
    Fault.close(),
    Fault.close(None),
    Fault.close(4001, "why", message=2),
    Fault.refuse(),
    Fault.refuse(connection=2, probability=0.5),
]


@pytest.mark.parametrize("fault", MADE, ids=repr)
def test_a_fault_shows_the_expression_that_makes_it(fault: Fault) -> None:
    assert eval(repr(fault), NAMES) == fault


def test_a_plan_shows_the_expression_that_makes_it() -> None:
    plan = FaultPlan(MADE, seed=77)
    again = eval(repr(plan), NAMES)
    assert again.faults == plan.faults
    assert again.seed == 77


def test_a_plan_without_a_seed_gets_a_fresh_one() -> None:
    assert FaultPlan().seed != FaultPlan().seed
    assert FaultPlan.from_seed().seed != FaultPlan.from_seed().seed


def test_a_failure_says_how_to_replay_it() -> None:
    plan = FaultPlan([Fault.drop(message=3)], seed=42)
    with pytest.raises(AssertionError) as failure, plan.reported() as same:
        assert same is not plan
    assert failure.value.__notes__ == [f"these faults were injected: {plan!r}"]
    with plan.reported():
        assert True  # and nothing is said when all is well


def test_a_seed_makes_up_the_same_plan_again() -> None:
    for seed in range(200):
        plan = FaultPlan.from_seed(seed, kinds=list(FaultKind), count=10)
        assert plan.faults == FaultPlan.from_seed(seed, kinds=list(FaultKind), count=10).faults
        assert len(plan.faults) == 10
    assert FaultPlan.from_seed(1).faults != FaultPlan.from_seed(2).faults
    kinds = {f.kind for seed in range(100) for f in FaultPlan.from_seed(seed).faults}
    assert FaultKind.SLICE not in kinds  # by default what a transport can do, too
    assert {FaultKind.RESET, FaultKind.DROP, FaultKind.CLOSE, FaultKind.REFUSE} <= kinds


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Fault.delay(-1), "seconds"),
        (lambda: Fault.delay(math.nan), "seconds"),
        (lambda: Fault.delay(math.inf), "seconds"),
        (lambda: Fault.delay(True), "seconds"),
        (lambda: Fault.delay("1"), "seconds"),
        (lambda: Fault.throttle(0), "size"),
        (lambda: Fault.slice(1.5), "size"),
        (lambda: Fault.drop(probability=1.1), "probability"),
        (lambda: Fault.drop(message=-1), "message"),
        (lambda: Fault.drop(message=True), "message"),
        (lambda: Fault.drop(connection=0), "connection"),
        (lambda: Fault.drop(every=0), "every"),
        (lambda: Fault.drop(message=1, every=2), "every"),
        (lambda: Fault.reset(every=1, offset=2), "offset"),
        (lambda: Fault.reset(offset=-2), "offset"),
        (lambda: Fault.reset(direction="up"), "direction"),
        (lambda: Fault.corrupt(256), "mask"),
        (lambda: Fault.close(65536), "code"),
        (lambda: Fault.close(1000, "x" * 124), "reason"),
        (lambda: FaultPlan(seed="x"), "seed"),
        (lambda: FaultPlan(seed=True), "seed"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(make: object, field: str) -> None:
    with pytest.raises(IpcArgumentError) as refused:
        make()  # type: ignore[operator]
    assert refused.value.field == field
    assert field in str(refused.value)


def test_a_plan_holds_faults_and_nothing_else() -> None:
    plan = FaultPlan([Fault.drop()], seed=1)
    for other in (plan, "drop", FaultKind.DROP):
        with pytest.raises(IpcArgumentError, match="give faults, such as") as caught:
            FaultPlan([other], seed=1)  # type: ignore[list-item]
        assert caught.value.field == "faults"

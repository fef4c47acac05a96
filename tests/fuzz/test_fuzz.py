"""20,000 inputs over all targets; what hypothesis finds it makes small, and finds again.

``OPENCODE_SYNC_FUZZ_SCALE=5`` does five times as many, on other inputs. For millions, and for a
tool that is guided by coverage, see ``tests/fuzz/run.py``.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

from tests.fuzz import run
from tests.fuzz.chooser import Chooser, changed_bytes, changed_json
from tests.fuzz.targets import TARGETS, opened
from tests.support.leaks import no_leaks

SCALE = float(os.environ.get("OPENCODE_SYNC_FUZZ_SCALE", "1"))
BATCH = 20

INPUTS = {
    "frames": 4000,
    "handshake": 600,
    "client_bytes": 400,
    "client_messages": 1500,
    "gateway_before_token": 1000,
    "gateway_after_token": 2200,
    "gateway_bytes": 400,
    "opencode_json": 2000,
    "opencode_events": 1500,
    "opencode_chunks": 600,
    "opencode_stream": 800,
    "opencode_runs": 500,
    "opencode_refusals": 1200,
    "auth_file": 1000,
    "ipc_config": 1500,
    "app_config": 1200,
    "environment_options": 1500,
    "files": 300,
    "session_store": 100,
}


def _random_bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


# Half of them hypothesis's own, which are short and plain; half such as chance makes them.
INPUT = st.binary(max_size=120) | st.builds(
    _random_bytes, st.integers(0, 2**32), st.integers(0, 120)
)


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    logger.disable("opencode_sync")
    with no_leaks():
        yield


def test_there_are_enough_and_no_target_is_left_out() -> None:
    assert INPUTS.keys() == TARGETS.keys()
    assert sum(INPUTS.values()) >= 20_000


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks(name: str) -> None:
    done = 0
    with run.Failures() as failures, opened(name) as target:

        @settings(
            max_examples=max(1, int(INPUTS[name] * SCALE) // BATCH),
            deadline=None,
            database=None,
            derandomize=SCALE == 1,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(INPUT, min_size=BATCH, max_size=BATCH))
        def check(inputs: list[bytes]) -> None:
            nonlocal done
            for data in inputs:
                target(data)
                done += 1

        check()
    assert failures.seen == []
    assert done >= INPUTS[name] * SCALE * 0.9  # or hypothesis has had no more to try


# --- The tools themselves ---


def test_an_input_is_made_by_its_number() -> None:
    first = [run.made(1, "frames", number) for number in range(50)]
    assert first == [run.made(1, "frames", number) for number in range(50)]
    assert first != [run.made(2, "frames", number) for number in range(50)]
    assert len(set(first)) > 40


def test_a_broken_target_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        assert len(data) < 20, "too long"

    monkeypatch.setitem(TARGETS, "broken", lambda: broken)
    wrong = run.fuzz("broken", range(100), 3)
    assert len(wrong) == 5
    assert wrong[0].startswith("--seed 3 --target broken --only ")
    assert "too long" in wrong[0]
    assert run.main(["--target", "broken", "--inputs", "50"]) == 1


def test_the_driver_runs_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--inputs", "100", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in TARGETS)
    assert run.main(["--target", "frames", "--only", "3"]) == 0
    assert run.main(["--target", "frames", "--input", "00ff"]) == 0
    with pytest.raises(SystemExit):
        run.main(["--target", "unknown"])
    with pytest.raises(SystemExit):
        run.main(["--atheris"])


def test_changes_change_and_leave_the_seeds_alone() -> None:
    seeds = [{"a": [1, {"b": 2}]}]
    made = [changed_json(Chooser(_random_bytes(n, 40)), seeds) for n in range(300)]
    assert seeds == [{"a": [1, {"b": 2}]}]
    assert len({repr(each) for each in made}) > 100
    texts = {changed_bytes(Chooser(_random_bytes(n, 40)), [b"abcdef"]) for n in range(300)}
    assert len(texts) > 100
    assert changed_bytes(Chooser(b""), [b"abcdef"]) == b""


def test_without_atheris_it_says_in_a_line_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        run.main(["--atheris", "--target", "frames"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "pip install atheris" in said
    assert said.count("\n") == 1


def test_what_the_code_under_test_says_of_nonsense_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dotenv = logging.getLogger("dotenv")
    before = dotenv.level
    monkeypatch.setattr(logger, "remove", lambda: None)
    try:
        assert run.main(["--inputs", "1", "--target", "opencode_json"]) == 0
        assert not logging.getLogger("dotenv.main").isEnabledFor(logging.WARNING)
    finally:
        dotenv.setLevel(before)

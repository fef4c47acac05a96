"""``kill -9`` of a gateway: what it had answered is kept, and who waited is told the truth at once.

``python -m benchmarks.soak_kills`` does the same with more kills, and takes the times.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("websockets")

from benchmarks.soak_kills import kill_under_callers, kill_under_load
from opencode_sync import ReconnectPolicy

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir(mode=0o700)
    return made


def test_the_store_keeps_every_answered_session_once(folder: Path) -> None:
    report = kill_under_load(folder, kills=3, seed=1)
    assert report.answered >= 3 * 4
    assert (report.lost, report.twice, report.untruthful, report.damaged) == (0, 0, 0, "")


def test_1000_callers_get_a_truthful_error_and_the_client_finds_the_next_gateway(
    folder: Path,
) -> None:
    """On another port, with another token, which it reads from the runtime file."""
    report = kill_under_callers(folder, callers=1000)
    assert (report.told, report.others) == (1000, {})
    assert report.last_error < 10.0  # within 1 s on a machine with nothing else to do
    assert report.back < 10.0  # within 2 s


def test_no_pause_of_the_default_policy_is_longer_than_a_client_may_take_to_be_back() -> None:
    policy = ReconnectPolicy()
    assert max(policy.delay(attempt) for attempt in range(1, 100)) < 2.0

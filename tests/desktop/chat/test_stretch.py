"""Which of many messages are on the page."""

from __future__ import annotations

import pytest

from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.desktop.chat.stretch import Stretch


def entries(count: int) -> list[Entry]:
    return [Entry(f"msg_{number}", "user") for number in range(count)]


@pytest.fixture
def all_of_them() -> list[Entry]:
    return entries(200)


@pytest.fixture
def stretch(all_of_them: list[Entry]) -> Stretch:
    made = Stretch()
    made.update(all_of_them, trim=True)
    return made


def numbers(stretch: Stretch) -> tuple[int, int]:
    """The first and the last that are shown."""
    ids = [int(entry.id.removeprefix("msg_")) for entry in stretch.shown]
    assert ids == list(range(ids[0], ids[-1] + 1))
    return ids[0], ids[-1]


def test_it_begins_with_the_last_page(stretch: Stretch) -> None:
    assert numbers(stretch) == (180, 199)
    assert stretch.at_end
    assert not stretch.at_start


def test_of_nothing_it_is_all(stretch: Stretch) -> None:
    stretch.update([], trim=True)
    assert (list(stretch.shown), stretch.at_start, stretch.at_end) == ([], True, True)


def test_up_it_grows_and_then_moves(stretch: Stretch) -> None:
    seen = []
    for _ in range(4):
        stretch.move_up()
        seen.append((*numbers(stretch), stretch.at_end))
    assert seen == [(160, 199, True), (140, 199, True), (120, 179, False), (100, 159, False)]


def test_up_it_ends_at_the_first(stretch: Stretch) -> None:
    for _ in range(20):
        stretch.move_up()
    assert stretch.at_start
    assert numbers(stretch) == (0, 59)


def test_down_it_comes_back(stretch: Stretch) -> None:
    for _ in range(4):
        stretch.move_up()
    stretch.move_down()
    assert (*numbers(stretch), stretch.at_end) == (120, 179, False)
    stretch.move_down()
    assert (*numbers(stretch), stretch.at_end) == (140, 199, True)


def test_to_the_end_it_jumps(stretch: Stretch) -> None:
    for _ in range(6):
        stretch.move_up()
    stretch.move_to_end()
    assert (*numbers(stretch), stretch.at_end) == (180, 199, True)
    stretch.move_up()
    stretch.move_to_end()  # it is there, and keeps what it has
    assert numbers(stretch) == (160, 199)


def test_new_ones_join_at_the_end_and_push_out_the_first(
    stretch: Stretch, all_of_them: list[Entry]
) -> None:
    all_of_them.extend(entries(260)[200:])
    stretch.update(all_of_them, trim=False)
    assert numbers(stretch) == (180, 259)
    stretch.update(all_of_them, trim=True)
    assert numbers(stretch) == (200, 259)


def test_elsewhere_it_stays_where_it_is(stretch: Stretch, all_of_them: list[Entry]) -> None:
    for _ in range(3):
        stretch.move_up()
    stretch.update([*all_of_them, *entries(201)[200:]], trim=True)
    assert (*numbers(stretch), stretch.at_end) == (120, 179, False)


def test_earlier_ones_that_were_read_change_nothing_on_the_page(
    stretch: Stretch, all_of_them: list[Entry]
) -> None:
    stretch.update(entries(50) + all_of_them, trim=True)
    assert numbers(stretch) == (180, 199)


def test_others_altogether_begin_anew(stretch: Stretch) -> None:
    stretch.move_up()
    stretch.update(entries(30), trim=True)
    assert numbers(stretch) == (10, 29)

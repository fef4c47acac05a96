"""How a growing text is cut: nothing lost, nothing re-cut, Markdown left whole."""

from __future__ import annotations

import pytest

from opencode_sync.desktop.chat.segments import Segments

PARAGRAPH = "Some words that make a line of text.\n" * 10 + "\n"
SOFT, HARD = 1_500, 5_000


def cut(text: str) -> list[str]:
    return Segments().update(text)


def test_a_short_text_is_one_piece() -> None:
    assert cut("one\n\ntwo") == ["one\n\ntwo"]
    assert cut("") == cut(" \n") == []


def test_paragraphs_are_cut_apart_and_none_is_lost() -> None:
    text = PARAGRAPH * 30
    pieces = cut(text)
    assert "".join(pieces) == text
    assert len(pieces) > 4
    assert all(piece.endswith("\n\n") for piece in pieces)
    assert max(map(len, pieces)) < 2 * SOFT


@pytest.mark.parametrize("step", [1, 7, 500])
def test_growing_gives_the_same_pieces_as_the_whole(step: int) -> None:
    text = (PARAGRAPH * 8 + "```py\n" + "x = 1\n\n" * 300 + "```\n\n") * 2
    segments = Segments()
    for end in range(step, len(text) + step, step):
        pieces = segments.update(text[:end])
    assert pieces == cut(text)


def test_what_was_cut_stays_while_the_text_grows() -> None:
    segments = Segments()
    before = segments.update(PARAGRAPH * 20)
    after = segments.update(PARAGRAPH * 21)
    assert after[: len(before) - 1] == before[:-1]


def test_another_text_begins_anew() -> None:
    segments = Segments()
    segments.update(PARAGRAPH * 20)
    assert segments.update("short") == ["short"]


@pytest.mark.parametrize("line", ["- a point\n\n", "7. a point\n\n", "> said\n\n", "  within\n\n"])
def test_lists_and_quotations_stay_together(line: str) -> None:
    pieces = cut("Intro\n\n" + line * 400 + PARAGRAPH * 2)
    assert len(pieces[0]) >= SOFT * 1.5
    whole = "".join(pieces)
    assert whole.count(line) == 400


def test_code_is_cut_only_where_it_is_too_long_and_stays_code() -> None:
    code = "".join(f"line {number}\n\n" for number in range(2_000))
    pieces = cut(f"Intro\n\n~~~~python\n{code}~~~~\nAfter")
    assert all(len(piece) <= HARD + 100 for piece in pieces)
    for piece in pieces[:-1]:
        assert piece.rstrip().endswith("~~~~")
    for piece in pieces[1:]:
        assert piece.startswith("~~~~python\n")
    lines = [each for piece in pieces for each in piece.split("\n") if each.startswith("line")]
    assert lines == [f"line {number}" for number in range(2_000)]


def test_a_shorter_fence_does_not_end_the_code() -> None:
    text = "````\n```\n" + "inside\n\n" * 600 + "````\n\n" + PARAGRAPH
    first = cut(text)[0]
    assert first.count("inside") == 600


def test_a_line_without_an_end_is_cut_all_the_same() -> None:
    pieces = cut("x" * 30_000)
    assert "".join(pieces) == "x" * 30_000
    assert max(map(len, pieces)) <= HARD

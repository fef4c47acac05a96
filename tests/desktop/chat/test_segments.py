"""How a growing text is cut: nothing lost, nothing re-cut, Markdown left whole."""

from __future__ import annotations

import pytest

from opencode_sync.desktop.chat.budget import Budget
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
    text = "````\n```\n" + "inside\n\n" * 200 + "````\n\n" + PARAGRAPH
    first = cut(text)[0]
    assert first.count("inside") == 200


def test_a_line_without_an_end_is_cut_all_the_same() -> None:
    pieces = cut("x" * 30_000)
    assert "".join(pieces) == "x" * 30_000
    assert max(map(len, pieces)) <= HARD


# --- What would take long to show ---


def test_a_long_table_is_cut_between_rows_and_gets_its_heading_again() -> None:
    heading = "| name | size |\n|------|-----:|\n"
    rows = [f"| {number} | x |\n" for number in range(500)]
    pieces = cut("Intro\n\n" + heading + "".join(rows) + "\n\nAfter\n")
    assert len(pieces) > 3
    assert pieces[0].startswith("Intro")
    assert all(piece.startswith(heading) for piece in pieces[1:])
    assert max(piece.count("\n") for piece in pieces) < 80
    assert [row for row in rows if any(row in piece for piece in pieces)] == rows
    assert pieces[-1].endswith("After\n")


def test_a_very_wide_table_does_not_get_its_heading_again() -> None:
    heading = "|a" * 100 + "|\n" + "|-" * 100 + "|\n"
    pieces = cut(heading + "|x\n" * 500)
    assert sum("|-|-" in piece for piece in pieces) == 1
    assert "".join(pieces) == heading + "|x\n" * 500


def test_a_table_that_has_ended_leaves_nothing_behind() -> None:
    pieces = cut("|a|b|\n|-|-|\n|1|2|\nno row\n\n" + PARAGRAPH * 20)
    assert sum("|-|-|" in piece for piece in pieces) == 1


@pytest.mark.parametrize("words", ["`a", "www.a.b ", "![a](x) ", "\u05d0\u0627", "a*b_"])
def test_a_line_of_many_styles_is_cut_where_one_begins(words: str) -> None:
    pieces = cut(words * 1_000)
    assert "".join(pieces) == words * 1_000
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= len(words) * 481


def test_many_lines_are_cut_between_two() -> None:
    pieces = cut("a\n=\n" * 1_000)
    assert "".join(pieces) == "a\n=\n" * 1_000
    assert max(piece.count("\n") for piece in pieces) <= 480


def test_blank_lines_are_nothing() -> None:
    assert cut("\n" * 50_000) == []
    assert cut("\n" * 50_000 + "end") == ["end"]


@pytest.mark.parametrize("step", [1, 13])
def test_what_is_cut_early_is_the_same_when_it_grows(step: int) -> None:
    text = "|a|b|\n|-|-|\n" + "|x|y|\n" * 200 + "\n" + "`a" * 700 + "\n\n" + "a\n\n" * 700
    segments = Segments()
    for end in range(step, len(text) + step, step):
        pieces = segments.update(text[:end])
    assert pieces == cut(text)


def test_without_time_there_is_one_piece_more_each_time() -> None:
    text = PARAGRAPH * 30
    segments = Segments()
    seen = []
    while not seen or not segments.complete:
        seen.append(len(segments.update(text, Budget(0))))
    assert seen == list(range(1, len(seen) + 1))
    assert segments.update(text) == cut(text)


def test_too_many_pieces_are_not_made_and_it_is_told_how_much_is_missing() -> None:
    text = "|a" * 20 + "|\n" + "|-" * 20 + "|\n" + "|\n" * 20_000
    segments = Segments()
    pieces = segments.update(text)
    assert len(pieces) == 400
    assert segments.complete
    assert segments.left_out > 20_000

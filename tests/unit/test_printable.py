"""Text from elsewhere cannot steer the terminal."""

from __future__ import annotations

import pytest

from opencode_sync.printable import printable, printable_block


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("żółw 漢字 Ελλ", "żółw 漢字 Ελλ"),
        ("👩\u200d💻 at work", "👩\u200d💻 at work"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\r\nlines\tand a tab", r"two\r\nlines\tand a tab"),
        ("nul\x00 bell\x07 delete\x7f", r"nul\x00 bell\x07 delete\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edef", r"abc\u202edef"),
        ("one\u2028two", r"one\u2028two"),
        ("half \ud800", r"half \ud800"),
        ("tags \U000e0041", r"tags \U000e0041"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
    ],
)
def test_characters_that_a_terminal_might_obey_are_spelt_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 1_000_000, limit=10) == "x" * 10 + "..."


def test_a_text_of_exactly_the_limit_is_not_cut() -> None:
    assert printable("x" * 10, limit=10) == "x" * 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n\ttwo\n", "one\n\ttwo\n"),
        ("one\r\ntwo", "one\ntwo"),
        ("over\rwritten", r"over\rwritten"),
        ("\x1b[31mred\x1b[0m\n", "\\x1b[31mred\\x1b[0m\n"),
        ("", ""),
    ],
)
def test_a_block_keeps_its_lines_and_tabs_and_nothing_else(text: str, shown: str) -> None:
    assert printable_block(text) == shown

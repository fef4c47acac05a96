"""The user's own words, which are shown as they were typed."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.scripts import script_changes
from opencode_sync.desktop.chat.segments import Segments
from opencode_sync.types import OcMessage
from tests.desktop.chat.conftest import ChatBackend, Open
from tests.desktop.chat.panes import texts
from tests.desktop.chat.said import answer

TYPED = "# not a heading\n- one\n\n<b>two</b> `x`\n    indented **stars**"


def test_a_prompt_is_shown_as_typed_and_an_answer_as_markdown(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [
        OcMessage(user={"id": "msg_1", "session_id": "ses_1", "text": TYPED}),
        answer("msg_2", "# a heading"),
    ]
    show()
    assert texts(pane) == [TYPED, "a heading"]


@pytest.mark.parametrize(
    "text", ["", "one", "one\n\ntwo\n", "x" * 12_000, "line\n" * 4_000, "\n" * 9_000]
)
def test_pieces_of_a_long_text_are_all_of_it(text: str) -> None:
    pieces = Segments(plain=True).update(text)
    assert all(len(each) <= 2_000 for each in pieces)
    assert "".join(pieces).replace("\n", "") == text.replace("\n", "")
    if "x" not in text:
        assert "\n".join(pieces).rstrip("\n") == text.rstrip("\n")


def test_a_line_without_end_is_cut_between_words() -> None:
    pieces = Segments(plain=True).update("word " * 1_000)
    assert len(pieces) > 1
    assert {word for each in pieces for word in each.split()} == {"word"}


@pytest.mark.parametrize("text", ["\u0628a" * 3_000, "a\u0628 " * 2_000, "x\n" * 3_000])
def test_what_takes_long_to_show_makes_pieces_short(text: str) -> None:
    pieces = Segments(plain=True).update(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(each.count("\u0628") <= 240 and each.count("\n") <= 480 for each in pieces)


def test_a_growing_text_gives_the_pieces_of_the_whole() -> None:
    text = ("x" * 70 + "\n") * 100
    segments = Segments(plain=True)
    for end in range(500, len(text) + 500, 500):
        grown = segments.update(text[:end])
    assert grown == Segments(plain=True).update(text)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("plain words, caf\u00e9", []),
        ("a \u05d0\u05d1 \u05d2 b \u05d3", [2, 9]),
        ("\u0430\u05d0\u0628", [0, 1, 2]),
        ("\u4e2d\u6587\u3002\uac00", [0]),
        ("e\u0301e\u0301", []),
    ],
    ids=["latin", "runs", "between", "ideographs", "marks"],
)
def test_changes_of_the_script_are_found(text: str, changes: list[int]) -> None:
    assert script_changes(text) == changes

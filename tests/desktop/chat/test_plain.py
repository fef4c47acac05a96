"""The user's own words, which are shown as they were typed."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.segments import plain_pieces
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
    pieces = plain_pieces(text)
    assert all(len(each) <= 5_000 for each in pieces)
    assert "".join(pieces).replace("\n", "") == text.replace("\n", "")
    if "x" not in text:
        assert "\n".join(pieces).rstrip("\n") == text.rstrip("\n")

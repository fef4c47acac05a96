"""What was written and not sent is not lost, neither to another session nor with the window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.drafts import Drafts
from tests.desktop.chat.conftest import Open, session


@pytest.fixture
def store(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "drafts.ini"), QSettings.Format.IniFormat)


def again(store: QSettings, *session_ids: str) -> list[str]:
    """What the next window has of these sessions."""
    drafts = Drafts(store)
    return [drafts.take(session_id) for session_id in session_ids]


def test_each_session_has_its_own_while_the_window_lives(
    qtbot: QtBot, pane: ChatPane, show: Open
) -> None:
    show()
    pane.composer.setPlainText("about the cart")
    show(session("ses_2"))
    assert pane.composer.text == ""
    pane.composer.setPlainText("about the till")
    pane.show_session(None)
    show()
    assert pane.composer.text == "about the cart"
    show(session("ses_2"))
    assert pane.composer.text == "about the till"


def test_they_come_back_with_the_next_window(
    qtbot: QtBot, pane: ChatPane, show: Open, settings: QSettings
) -> None:
    show()
    pane.composer.setPlainText("about the cart")
    show(session("ses_2"))
    pane.composer.setPlainText("as it was\nwhen the window closed")
    pane.shutdown()
    next_pane = ChatPane(pane._service, settings=settings)
    qtbot.addWidget(next_pane)
    next_pane.show_session(session("ses_2"))
    assert next_pane.composer.text == "as it was\nwhen the window closed"
    next_pane.show_session(session())
    assert next_pane.composer.text == "about the cart"
    next_pane.shutdown()


def test_what_was_taken_up_again_and_emptied_is_gone(store: QSettings) -> None:
    first = Drafts(store)
    first.keep("ses_1", "a draft")
    first.save()
    second = Drafts(store)
    second.keep("ses_1", " \n")
    second.save()
    assert again(store, "ses_1") == [""]
    assert not store.contains("chat/drafts")


def test_of_many_the_newest_are_saved(store: QSettings) -> None:
    drafts = Drafts(store)
    for number in range(30):
        drafts.keep(f"ses_{number}", str(number))
    drafts.keep("ses_0", "touched again")
    drafts.save()
    assert again(store, "ses_0", "ses_29", "ses_11") == ["touched again", "29", "11"]
    assert again(store, "ses_1", "ses_10") == ["", ""]


def test_long_ones_are_not_saved_nor_more_than_there_is_room_for(store: QSettings) -> None:
    drafts = Drafts(store)
    text = "some words, " * 2_000  # no secret of any test's
    for number in range(7):
        drafts.keep(f"ses_{number}", text[:20_000])
    drafts.keep("ses_long", text[:20_001])
    drafts.keep("ses_short", "x")
    drafts.save()
    saved = again(store, *(f"ses_{number}" for number in range(7)), "ses_long", "ses_short")
    assert [len(each) for each in saved] == [0, 0, 0, 0, 0, 20_000, 20_000, 0, 1]


def test_what_looks_like_a_secret_is_not_saved(store: QSettings) -> None:
    drafts = Drafts(store)
    secret = "sk-" + "abcdefghij0123456789" * 2
    drafts.keep("ses_1", f"use the key {secret}")
    drafts.keep("ses_2", "use another key")
    drafts.save()
    assert secret not in str(store.value("chat/drafts"))
    assert again(store, "ses_1", "ses_2") == ["", "use another key"]
    assert drafts.take("ses_1").endswith(secret)  # this window still has it


@pytest.mark.parametrize(
    "value", ["no JSON", json.dumps({"a": "b"}), json.dumps([1]), json.dumps([["a"]]), 7, None]
)
def test_what_others_have_left_there_is_no_draft(store: QSettings, value: object) -> None:
    store.setValue("chat/drafts", value)
    assert again(store, "a", "b") == ["", ""]

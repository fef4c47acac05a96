"""What was written and not sent is not lost, neither to another session nor with the window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from opencode_sync import masking
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.drafts import Drafts
from tests.desktop.chat.conftest import Open, session
from tests.desktop.chat.panes import destroy


@pytest.fixture(autouse=True)
def _no_other_tests_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which one may be a word in these drafts."""
    monkeypatch.setattr(masking, "_newest", {})
    monkeypatch.setattr(masking, "_secrets", ())
    monkeypatch.setattr(masking, "_words", None)
    monkeypatch.setattr(masking, "_stale", False)


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
    next_pane.show_session(session("ses_2"))
    assert next_pane.composer.text == "as it was\nwhen the window closed"
    next_pane.show_session(session())
    assert next_pane.composer.text == "about the cart"
    next_pane.shutdown()
    destroy(next_pane)


def test_what_was_taken_up_again_and_emptied_is_gone(store: QSettings) -> None:
    first = Drafts(store)
    first.keep("ses_1", "a draft")
    first.save()
    second = Drafts(store)
    assert second.take("ses_1") == "a draft"
    second.keep("ses_1", " \n")
    second.save()
    assert again(store, "ses_1") == [""]
    assert store.allKeys() == []


def test_of_many_the_newest_are_saved(store: QSettings) -> None:
    drafts = Drafts(store)
    for number in range(30):
        drafts.keep(f"ses_{number}", str(number))
    drafts.keep("ses_0", "touched again")
    drafts.save()
    assert again(store, "ses_0", "ses_29", "ses_11") == ["touched again", "29", "11"]
    assert again(store, "ses_1", "ses_10") == ["", ""]
    following = Drafts(store)
    following.keep("ses_30", "30")
    following.save()
    assert again(store, "ses_30", "ses_0", "ses_12", "ses_11") == ["30", "touched again", "12", ""]


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
    assert secret not in str([store.value(each) for each in store.allKeys()])
    assert again(store, "ses_1", "ses_2") == ["", "use another key"]
    assert drafts.take("ses_1").endswith(secret)  # this window still has it


def test_an_id_may_have_anything_in_it(store: QSettings) -> None:
    ids = ["", "/", "a/b", "A/B", "\\", "%", "\ud800", "\n"]
    drafts = Drafts(store)
    for session_id in ids:
        drafts.keep(session_id, f"for {session_id!r}")
    drafts.save()
    store.sync()
    assert again(store, *ids) == [f"for {session_id!r}" for session_id in ids]


# --- Several windows ---


@pytest.fixture
def windows(store: QSettings) -> tuple[Drafts, Drafts]:
    """Of two windows, after one before had left a draft for each of two sessions."""
    before = Drafts(store)
    before.keep("ses_1", "the first")
    before.keep("ses_2", "the second")
    before.save()
    return Drafts(store), Drafts(store)


def test_who_closes_last_leaves_the_others_drafts_alone(
    store: QSettings, windows: tuple[Drafts, Drafts]
) -> None:
    for drafts, session_id in zip(windows, ("ses_3", "ses_4"), strict=True):
        drafts.keep(session_id, f"for {session_id}")
    for drafts in windows:
        drafts.save()
    wanted = ["the first", "the second", "for ses_3", "for ses_4"]
    assert again(store, "ses_1", "ses_2", "ses_3", "ses_4") == wanted


@pytest.mark.parametrize(
    ("one", "other", "saved"),
    [
        ("", "the first", ""),  # it was sent, and the other window has only looked at it
        ("the first", "", ""),
        ("", "the first and more", "the first and more"),
        ("the first and more", "", "the first and more"),
        ("changed", "changed", "changed"),
        ("changed", "in another way", "changed\n\nin another way"),
    ],
)
def test_what_both_windows_had_for_a_session_is_saved_as_far_as_it_was_not_sent(
    store: QSettings, windows: tuple[Drafts, Drafts], one: str, other: str, saved: str
) -> None:
    for drafts in windows:
        assert drafts.take("ses_1") == "the first"
    for drafts, text in zip(windows, (one, other), strict=True):
        drafts.keep("ses_1", text)
        drafts.save()
    assert again(store, "ses_1") == [saved]


def test_what_another_window_has_saved_since_is_found(windows: tuple[Drafts, Drafts]) -> None:
    one, other = windows
    assert other.take("ses_3") == ""
    other.keep("ses_3", "")  # it was shown, and nothing was written
    one.keep("ses_3", "since")
    one.save()
    assert other.take("ses_3") == "since"
    assert other.take("ses_3") == ""


def test_another_programs_are_found_as_well(store: QSettings, tmp_path: Path) -> None:
    """A settings object of its own, in a file that it has read before."""
    drafts = Drafts(store)
    store.sync()
    path = tmp_path / "drafts.ini"
    other = QSettings(str(path), QSettings.Format.IniFormat)
    theirs = Drafts(other)
    theirs.keep("ses_1", "theirs")
    theirs.save()
    other.sync()
    drafts.keep("ses_1", "ours")
    drafts.save()
    assert again(store, "ses_1") == ["theirs\n\nours"]


# --- What others have left ---


@pytest.mark.parametrize("value", ["no JSON", "{}", "[]", '["a", "b"]', "[[], 1]", 7, None])
def test_what_others_have_left_there_is_no_draft(store: QSettings, value: object) -> None:
    drafts = Drafts(store)
    drafts.keep("a", "x")
    drafts.save()
    (key,) = store.allKeys()
    store.setValue(key, value)
    assert again(store, "a") == [""]


def test_all_in_one_key_as_they_were_once_is_read_once(store: QSettings) -> None:
    store.setValue("chat/drafts", json.dumps([["ses_1", "of old"], ["ses_2", "older"]]))
    drafts = Drafts(store)
    drafts.take("ses_2")
    drafts.save()
    assert not store.contains("chat/drafts")
    assert again(store, "ses_1", "ses_2") == ["of old", ""]
    store.setValue("chat/drafts", json.dumps([["ses_1", "by an older program"]]))
    assert again(store, "ses_1") == ["of old"]


@pytest.mark.parametrize(
    "value", ["no JSON", json.dumps({"a": "b"}), json.dumps([1]), json.dumps([["a"]]), 7]
)
def test_what_is_no_draft_there_is_dropped(store: QSettings, value: object) -> None:
    store.setValue("chat/drafts", value)
    assert again(store, "a", "b") == ["", ""]
    assert store.allKeys() == []

"""Writing a message: what is too long to be edited is refused aloud, and the rest stays quick."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.composer import Composer
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.watch import Watch, never_held

REMEDY = "Save it as a file, and write here where it is."


@pytest.fixture
def composer(qtbot: QtBot) -> Composer:
    made = Composer()
    qtbot.addWidget(made)
    qtbot.addWidget(made.note)
    made.resize(600, 100)
    made.show()
    return made


def paste(composer: Composer, text: str) -> None:
    """As the clipboard's text comes, and what is dropped."""
    data = QMimeData()
    data.setText(text)
    composer.insertFromMimeData(data)


@pytest.mark.parametrize(
    "text",
    [
        "word " * 6_000,
        "x" * 30_000,
        "\u05e9\u05dc\u05d5\u05dd hello " * 2_700,
        ("word " * 12 + "\n") * 4_900,
        "z\n" * 4_900,
        ("y" * 30_000 + "\n") * 9,
    ],
    ids=["words", "word", "directions", "lines", "short lines", "long lines"],
)
def test_the_longest_that_fits_is_pasted_and_edited_without_a_hitch(
    qtbot: QtBot, composer: Composer, text: str
) -> None:
    def write(watch: Watch) -> None:
        composer.clear()
        watch.during(lambda: (paste(composer, text), QApplication.processEvents()))
        assert len(composer.text) == len(text)
        for _ in range(3):
            watch.during(lambda: (composer.insertPlainText("x"), QApplication.processEvents()))
        assert not composer.note.isVisibleTo(composer)

    never_held(write)


@pytest.mark.parametrize("text", ["word " * 1_000_000, "x" * 30_001, "x\n" * 140_000])
def test_what_is_too_long_is_refused_at_once_and_nothing_is_lost(
    composer: Composer, text: str
) -> None:
    composer.setPlainText("what was written")

    def write(watch: Watch) -> None:
        watch.during(lambda: (paste(composer, text), QApplication.processEvents()))

    never_held(write)
    assert composer.text == "what was written"
    assert composer.note.isVisible()
    assert composer.note.text().startswith("Nothing was inserted: ")
    assert composer.note.text().endswith(REMEDY)
    composer.insertPlainText("!")
    assert not composer.note.isVisible()


def test_why_it_was_refused_is_said_in_numbers(composer: Composer) -> None:
    composer.setPlainText("1234")
    paste(composer, "x\n" * 149_999)
    assert "there would be 300002 characters, and 300000 is the most that fits" in (
        composer.note.text()
    )
    paste(composer, "x\n" * 5_000)
    assert "there would be 5001 lines, and 5000 is the most that fits" in composer.note.text()
    paste(composer, "x" * 30_001)
    assert "a line of it is too long to be edited here" in composer.note.text()


def test_what_is_around_and_what_is_replaced_counts(composer: Composer) -> None:
    composer.setPlainText("a" * 20_000 + "b" * 9_000)
    cursor = composer.textCursor()
    cursor.setPosition(20_000)
    composer.setTextCursor(cursor)
    paste(composer, "x" * 1_001)
    assert len(composer.text) == 29_000
    paste(composer, "x" * 15_000 + "\r" + "y" * 15_001)
    assert len(composer.text) == 29_000
    paste(composer, "\n" + "x" * 21_000)
    assert len(composer.text) == 50_001
    composer.moveCursor(QTextCursor.MoveOperation.Start)
    composer.moveCursor(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
    paste(composer, "x" * 30_000)
    assert len(composer.text) == 60_001
    composer.selectAll()
    paste(composer, ("x" * 59 + "\n") * 4_999 + "x" * 60)
    assert (len(composer.text), composer.blockCount()) == (300_000, 5_000)
    cursor = composer.textCursor()
    cursor.setPosition(30)
    cursor.setPosition(90, QTextCursor.MoveMode.KeepAnchor)
    composer.setTextCursor(cursor)
    paste(composer, "one line end\nfor another")
    assert composer.blockCount() == 5_000
    paste(composer, "\n")
    assert composer.blockCount() == 5_000


def test_words_are_kept_together_unless_there_is_a_very_long_line(composer: Composer) -> None:
    by_word = composer.wordWrapMode()
    paste(composer, "word " * 1_001)
    assert composer.wordWrapMode() != by_word
    paste(composer, "short")
    assert composer.wordWrapMode() != by_word
    composer.setPlainText("short")
    assert composer.wordWrapMode() == by_word
    composer.setPlainText("x" * 10_000)
    assert composer.wordWrapMode() != by_word


def test_in_the_pane_the_refusal_is_seen_until_one_goes_on(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    assert not pane.composer.note.isVisible()
    QApplication.clipboard().setText("x" * 40_000)
    qtbot.keyClick(pane.composer, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert pane.composer.note.isVisible()
    show(session("ses_2"))
    assert not pane.composer.note.isVisible()
    QApplication.clipboard().clear()

"""Where one is in the list, and how one gets far."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.main_window import MainWindow

from .conftest import Backend, OpenWindow, session, titles

_CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    """With 25 pages."""
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in range(250)]
    return loaded(scripted)


def test_a_page_is_gone_to_by_its_number(qtbot: QtBot, window: MainWindow) -> None:
    page = window.sessions
    number = page.parts.pager.number
    qtbot.keyClick(window, Qt.Key.Key_G, _CTRL)
    assert number.hasFocus()
    qtbot.keyClicks(number, "12")
    assert page.page == 0  # and not 1 on the way
    qtbot.keyClick(number, Qt.Key.Key_Return)
    assert (page.page, titles(window)[0]) == (11, "Session 110")
    assert page.parts.view.hasFocus()
    assert page.parts.view.current is not None
    assert page.parts.view.current.title == "Session 110"


@pytest.mark.parametrize(
    ("typed", "page"),
    [("26", 24), ("99", 24), ("12345678901234567890", 24), ("0", 0), ("000", 0), ("007", 6)],
)
@pytest.mark.parametrize("before", [0, 11, 24])
def test_a_number_beyond_the_pages_leads_to_the_nearest(
    qtbot: QtBot, window: MainWindow, before: int, typed: str, page: int
) -> None:
    pager = window.sessions.parts.pager
    pager.page_wanted.emit(before)
    qtbot.keyClick(window, Qt.Key.Key_G, _CTRL)
    qtbot.keyClicks(pager.number, typed)
    assert pager.number.text() == typed  # no key did nothing
    qtbot.keyClick(pager.number, Qt.Key.Key_Return)
    assert (window.sessions.page, pager.number.text()) == (page, str(page + 1))
    assert window.sessions.parts.view.hasFocus()


def test_in_a_field_for_one_digit_there_is_room_to_see_two(
    qtbot: QtBot, window: MainWindow
) -> None:
    number = window.sessions.parts.pager.number
    window.sessions.parts.search.setText("Session 24")
    assert number.maximum() == 2
    QApplication.processEvents()
    metrics = number.fontMetrics()
    assert number.lineEdit().width() >= metrics.horizontalAdvance("99")


@pytest.mark.parametrize("typed", ["", "x", "1 2"])
def test_what_is_no_number_leads_nowhere(qtbot: QtBot, window: MainWindow, typed: str) -> None:
    pager = window.sessions.parts.pager
    pager.page_wanted.emit(4)
    qtbot.keyClick(window, Qt.Key.Key_G, _CTRL)
    pager.number.lineEdit().setText(typed)
    qtbot.keyClick(pager.number, Qt.Key.Key_Return)
    assert (window.sessions.page, pager.number.text()) == (4, "5")


def test_what_is_being_typed_outlives_a_change_of_the_list(
    qtbot: QtBot, window: MainWindow
) -> None:
    page = window.sessions
    qtbot.keyClick(window, Qt.Key.Key_G, _CTRL)
    qtbot.keyClicks(page.parts.pager.number, "9")
    page._refresh()
    assert page.parts.pager.number.text() == "9"
    qtbot.keyClick(page.parts.pager.number, Qt.Key.Key_Tab)  # leaving it is enough
    assert page.page == 8
    assert not page.parts.view.hasFocus()


def test_the_number_follows_the_pages(qtbot: QtBot, window: MainWindow) -> None:
    page = window.sessions
    pager = page.parts.pager
    pager.last_action.trigger()
    assert (pager.number.text(), pager.pages.text()) == ("25", "of 25")
    page.parts.search.setText("Session 24")
    assert (page.page, pager.number.text(), pager.pages.text()) == (0, "1", "of 2")
    page.parts.search.setText("Session 249")
    assert pager.isHidden()
    assert not pager.go_to_action.isEnabled()


def test_the_field_says_its_name_and_its_key(window: MainWindow) -> None:
    pager = window.sessions.parts.pager
    assert pager.number.accessibleName() == "Page"
    assert "Ctrl+G" in pager.number.toolTip()
    assert pager.go_to_action.isEnabled()

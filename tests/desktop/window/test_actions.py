"""Creating, renaming, deleting, finding: by mouse, and by keys alone."""

from __future__ import annotations

from typing import cast

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from opencode_sync import IpcClient, IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.desktop.settings import WindowSettings
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.wire import ipc_pb2

from .conftest import (
    PATIENCE,
    Backend,
    FakeChat,
    OpenWindow,
    close,
    config_of,
    session,
    shown,
    titles,
)

_CTRL = Qt.KeyboardModifier.ControlModifier


def refuse(*_: object) -> None:
    raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "the disk is full")


def told(window: MainWindow, what: str) -> bool:
    text = window.error_banner.text.text()
    return text.startswith(f"{what}: ") and "the disk is full" in text


@pytest.fixture
def three(scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    """A window with three sessions, and the keyboard in the list."""
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in (1, 2, 3)]
    window = loaded(scripted)
    window.sessions.parts.view.setFocus()
    return window


def question_of(window: MainWindow) -> QMessageBox:
    return window.sessions.findChild(QMessageBox)


def answer(qtbot: QtBot, window: MainWindow, text: str) -> None:
    question = question_of(window)
    button = next(each for each in question.findChildren(QPushButton) if text in each.text())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


# --- Creating ---


def test_a_new_session_is_on_the_first_page_selected_and_opened(
    qtbot: QtBot, store: Gateway, loaded: OpenWindow
) -> None:
    with IpcClient(config_of(store)) as client:
        for number in range(11):
            client.create_session(f"old {number}")
    window = loaded(config_of(store))
    page = window.sessions
    page.parts.pager.page_wanted.emit(1)
    page.parts.search.setText("old")
    with qtbot.waitSignal(page.session_chosen, timeout=PATIENCE) as chosen:
        qtbot.keyClick(window, Qt.Key.Key_N, _CTRL)
    created = chosen.args[0]
    current = page.parts.view.current
    assert current is not None
    assert (page.page, page.parts.search.text(), current.id) == (0, "", created.id)
    assert window.chat.shown == [created]


def test_the_first_session_of_all_is_highlighted(
    qtbot: QtBot, store: Gateway, loaded: OpenWindow
) -> None:
    page = loaded(config_of(store)).sessions
    with qtbot.waitSignal(page.session_chosen, timeout=PATIENCE):
        qtbot.mouseClick(page.parts.empty.button, Qt.MouseButton.LeftButton)
    assert [index.row() for index in page.parts.view.selectedIndexes()] == [0]


def test_the_row_that_the_keys_are_about_is_highlighted(qtbot: QtBot, three: MainWindow) -> None:
    view = three.sessions.parts.view
    three.sessions.parts.search.setFocus()
    view.setFocus()
    assert view.selectedIndexes() == [view.currentIndex()]
    assert view.currentIndex().isValid()


def test_a_session_that_could_not_be_created_is_told_of(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    backend.script["create_session"] = refuse
    qtbot.mouseClick(three.sessions.parts.new, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(three.error_banner.isVisible, timeout=PATIENCE)
    assert told(three, "The session was not created")
    assert three.sessions.parts.new.isEnabled()


# --- Renaming ---


def rename(qtbot: QtBot, window: MainWindow, title: str, end: Qt.Key) -> None:
    view = window.sessions.parts.view
    view.select_row(1)
    qtbot.keyClick(view, Qt.Key.Key_F2)
    editor = view.findChild(QLineEdit)
    assert editor.text() == "Session 2"
    editor.selectAll()
    qtbot.keyClicks(editor, title)
    qtbot.keyClick(editor, end)


def test_a_session_is_renamed_in_place(qtbot: QtBot, three: MainWindow, backend: Backend) -> None:
    rename(qtbot, three, " another title ", Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "another title" in titles(three), timeout=PATIENCE)
    assert ("update_session", f"ses_{2:026d}", "another title") in backend.calls


def test_the_chat_of_a_renamed_session_learns_of_its_title(qtbot: QtBot, three: MainWindow) -> None:
    three.sessions.parts.view.select_row(1)
    three.sessions.open_action.trigger()
    rename(qtbot, three, "another title", Qt.Key.Key_Return)
    chat = cast(FakeChat, three.chat)
    qtbot.waitUntil(
        lambda: [each.title for each in chat.changed] == ["another title"], timeout=PATIENCE
    )


def test_f5_reads_the_chat_again_as_well(qtbot: QtBot, three: MainWindow) -> None:
    three.sessions.parts.view.select_row(1)
    three.sessions.open_action.trigger()
    qtbot.keyClick(three.sessions.parts.view, Qt.Key.Key_F5)
    assert cast(FakeChat, three.chat).reloads == 1


@pytest.mark.parametrize(
    ("title", "end"),
    [("dropped", Qt.Key.Key_Escape), ("  ", Qt.Key.Key_Return), ("Session 2", Qt.Key.Key_Return)],
)
def test_what_is_no_new_title_changes_nothing(
    qtbot: QtBot, three: MainWindow, backend: Backend, title: str, end: Qt.Key
) -> None:
    rename(qtbot, three, title, end)
    qtbot.waitUntil(lambda: not three.sessions.parts.view.is_renaming, timeout=PATIENCE)
    assert titles(three) == ["Session 1", "Session 2", "Session 3"]
    assert not [call for call in backend.calls if call[0] == "update_session"]


@pytest.mark.parametrize("title", ["y" * 1500, " spaces around ", "\U0001f600" * 1500])
def test_a_title_that_was_only_looked_at_stays_whole(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow, title: str
) -> None:
    """Though the field may be too short for it."""
    backend.script["list_sessions"] = lambda: [session(1, title)]
    window = loaded(scripted)
    view = window.sessions.parts.view
    view.select_row(0)
    wishes: list[tuple[str, str]] = []
    view.model().rename_wanted.connect(lambda *wish: wishes.append(wish))
    window.sessions.rename_action.trigger()
    field = view.findChild(QLineEdit)
    assert len(field.text()) > 10
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not view.is_renaming, timeout=PATIENCE)
    assert wishes == []


def test_a_refused_title_is_told_of_and_the_old_one_stays(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    backend.script["update_session"] = refuse
    rename(qtbot, three, "another title", Qt.Key.Key_Return)
    qtbot.waitUntil(three.error_banner.isVisible, timeout=PATIENCE)
    assert told(three, "The session was not renamed")
    assert titles(three)[1] == "Session 2"


def test_what_changes_meanwhile_waits_until_the_title_is_typed(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    view = three.sessions.parts.view
    view.select_row(1)
    qtbot.mouseClick(three.sessions.parts.rename, Qt.MouseButton.LeftButton)
    assert view.is_renaming
    backend.script["list_sessions"] = lambda: [session(9)]
    with qtbot.waitSignal(three.sessions.loaded, timeout=PATIENCE):
        three.sessions.load()
    assert view.is_renaming
    assert len(titles(three)) == 3
    qtbot.keyClick(view.findChild(QLineEdit), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: titles(three) == ["Session 9"], timeout=PATIENCE)


# --- Deleting ---


def test_a_session_is_deleted_once_that_was_confirmed(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    view = three.sessions.parts.view
    view.select_row(1)
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    assert "Session 2" in question_of(three).text()
    assert titles(three) == ["Session 1", "Session 2", "Session 3"]
    three.sessions.delete_action.trigger()  # asked already
    answer(qtbot, three, "Delete")
    qtbot.waitUntil(lambda: titles(three) == ["Session 1", "Session 3"], timeout=PATIENCE)
    assert ("delete_session", f"ses_{2:026d}") in backend.calls
    assert view.current is not None
    assert view.current.title == "Session 3"


def test_cancel_keeps_the_session(qtbot: QtBot, three: MainWindow, backend: Backend) -> None:
    three.sessions.parts.view.select_row(0)
    qtbot.mouseClick(three.sessions.parts.delete, Qt.MouseButton.LeftButton)
    qtbot.keyClick(question_of(three), Qt.Key.Key_Escape)
    assert not [call for call in backend.calls if call[0] == "delete_session"]
    assert len(titles(three)) == 3


def test_a_session_that_was_not_deleted_stays_and_is_told_of(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    backend.script["delete_session"] = refuse
    three.sessions.parts.view.select_row(0)
    three.sessions.delete_action.trigger()
    answer(qtbot, three, "Delete")
    qtbot.waitUntil(three.error_banner.isVisible, timeout=PATIENCE)
    assert told(three, "The session was not deleted")
    assert len(titles(three)) == 3


def test_the_chat_of_a_deleted_session_goes_with_it(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    view = three.sessions.parts.view
    view.select_row(2)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    three.sessions.delete_action.trigger()
    answer(qtbot, three, "Delete")
    qtbot.waitUntil(lambda: three.chat.shown[-1] is None, timeout=PATIENCE)
    assert three.chat.isHidden()
    assert view.current is not None  # the last row that is left
    assert view.current.title == "Session 2"


# --- Opening ---


def test_enter_opens_the_session_that_the_arrows_have_reached(
    qtbot: QtBot, three: MainWindow
) -> None:
    view = three.sessions.parts.view
    assert three.chat is None
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Enter)
    assert [each.title for each in three.chat.shown] == ["Session 2"]
    assert three.chat.isVisible()


def test_a_click_opens_and_ctrl_w_hides_the_chat(qtbot: QtBot, three: MainWindow) -> None:
    view = three.sessions.parts.view
    place = view.visualRect(view.model().index(2, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert [each.title for each in three.chat.shown] == ["Session 3"]
    qtbot.keyClick(three, Qt.Key.Key_W, _CTRL)
    assert three.chat.isHidden()
    assert three.chat.shown[-1] is None
    three.sessions.open_action.trigger()
    assert three.chat.isVisible()


def test_without_a_selection_there_is_nothing_to_open_rename_or_delete(
    qtbot: QtBot, three: MainWindow
) -> None:
    page = three.sessions
    page.parts.view.setCurrentIndex(QModelIndex())
    qtbot.keyClick(page.parts.view, Qt.Key.Key_Return)
    for action in (page.open_action, page.rename_action, page.copy_action, page.delete_action):
        assert not action.isEnabled()
    assert three.chat is None


def test_the_pane_is_the_real_one_unless_a_test_has_its_own(
    qtbot: QtBot, store: Gateway, settings: WindowSettings
) -> None:
    window = MainWindow(Service(config_of(store)), settings)
    window.show()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.start()
    with qtbot.waitSignal(window.sessions.session_chosen, timeout=PATIENCE):
        window.sessions.create_session()
    assert isinstance(window.chat, ChatPane)
    assert window.chat.isVisible()
    assert window.chat.width() > 100
    close(window)


def test_the_end_of_a_run_reads_its_session_anew(
    qtbot: QtBot, three: MainWindow, backend: Backend
) -> None:
    backend.script["get_session"] = lambda session_id: session(1, "what the run was about")
    three.sessions.parts.view.select_row(0)
    three.sessions.open_action.trigger()
    three.chat.session_busy_changed.emit(f"ses_{1:026d}", True)
    three.chat.session_busy_changed.emit(f"ses_{1:026d}", False)
    qtbot.waitUntil(lambda: titles(three)[0] == "what the run was about", timeout=PATIENCE)
    assert backend.calls.count(("get_session", f"ses_{1:026d}")) == 1


def test_copy_puts_the_id_on_the_clipboard(qtbot: QtBot, three: MainWindow) -> None:
    view = three.sessions.parts.view
    view.select_row(1)
    qtbot.keyClick(view, Qt.Key.Key_C, _CTRL)
    assert QGuiApplication.clipboard().text() == f"ses_{2:026d}"


# --- Finding ---


def test_the_list_is_searched_as_one_types(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in range(30)]
    window = loaded(scripted)
    parts = window.sessions.parts
    qtbot.keyClick(window, Qt.Key.Key_F, _CTRL)
    assert parts.search.hasFocus()
    qtbot.keyClicks(parts.search, "session 2")
    assert (len(titles(window)), parts.count.text()) == (10, "12 of 30")
    qtbot.keyClicks(parts.search, "9")
    assert titles(window) == ["Session 29"]
    qtbot.keyClicks(parts.search, "nowhere")
    assert shown(window) is Shown.NOTHING_FOUND
    qtbot.keyClick(parts.search, Qt.Key.Key_Escape)
    assert (parts.search.text(), parts.count.text()) == ("", "30")


def test_a_search_has_an_end(three: MainWindow) -> None:
    """What was pasted by mistake: each word of it would look through all sessions."""
    search = three.sessions.parts.search
    search.setText("s " * 16_000)
    assert len(search.text()) == 200


@pytest.mark.parametrize("key", [Qt.Key.Key_Down, Qt.Key.Key_Return])
def test_from_the_search_a_key_leads_to_what_was_found(
    qtbot: QtBot, three: MainWindow, key: Qt.Key
) -> None:
    parts = three.sessions.parts
    parts.search.setFocus()
    qtbot.keyClicks(parts.search, "3")
    qtbot.keyClick(parts.search, key)
    assert parts.view.hasFocus()
    assert parts.view.current is not None
    qtbot.keyClick(parts.search, key)  # what is selected stays so
    assert parts.view.currentIndex().row() == 0


def test_orders_are_chosen_in_the_list_of_orders(qtbot: QtBot, three: MainWindow) -> None:
    orders = three.sessions.parts.order
    orders.setFocus()
    assert titles(three)[0] == "Session 1"
    orders.setCurrentIndex(1)
    orders.activated.emit(1)
    assert three.sessions.order is SortOrder.CREATED


def test_keys_leaf_and_refresh(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in range(25)]
    window = loaded(scripted)
    view = window.sessions.parts.view
    view.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_PageDown, _CTRL)
    qtbot.waitUntil(lambda: window.sessions.page == 1, timeout=PATIENCE)
    qtbot.keyClick(window, Qt.Key.Key_PageUp, _CTRL)
    qtbot.waitUntil(lambda: window.sessions.page == 0, timeout=PATIENCE)
    for _ in range(2):  # none is lost, however quick
        qtbot.keyClick(window, Qt.Key.Key_PageDown, _CTRL)
    assert window.sessions.page == 2
    qtbot.keyClick(view, Qt.Key.Key_Home, _CTRL)
    assert window.sessions.page == 0
    qtbot.keyClick(view, Qt.Key.Key_End, _CTRL)
    assert window.sessions.page == 2
    qtbot.mouseClick(window.sessions.parts.pager.first, Qt.MouseButton.LeftButton)
    assert window.sessions.page == 0
    view.select_row(3)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        qtbot.keyClick(window, Qt.Key.Key_F5)
    assert view.current is not None
    assert view.current.title == "Session 3"  # the selection survives

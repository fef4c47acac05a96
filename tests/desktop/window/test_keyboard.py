"""The keyboard: where it is, what it acts on, and where its keys are told."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QAction, QFocusEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop import lifecycle
from opencode_sync.desktop.chat.composer import Composer
from opencode_sync.desktop.keys_dialog import KeysDialog, keys_of
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.gateway import Gateway
from opencode_sync.types import IpcEvent, OcSessionInfo

from .conftest import PATIENCE, Backend, Held, OpenWindow, destroy, session, titles

_CTRL = Qt.KeyboardModifier.ControlModifier
_NONE = Qt.KeyboardModifier.NoModifier
_LEFT = Qt.MouseButton.LeftButton


def press(qtbot: QtBot, window: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier) -> None:
    """Press it where the keyboard is."""
    qtbot.keyClick(window.focusWidget(), key, modifier)


def list_of(backend: Backend, count: int) -> None:
    backend.script["list_sessions"] = lambda: [
        session(number, updated=60 * number) for number in range(1, count + 1)
    ]


@pytest.fixture
def window(qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    """Connected, with two pages of sessions, as a start leaves it: its list was read twice."""
    readings: list[None] = []

    def read() -> list[OcSessionInfo]:
        readings.append(None)
        return [session(number, updated=60 * number) for number in range(1, 13)]

    backend.script["list_sessions"] = read
    window = loaded(scripted)
    page = window.sessions
    qtbot.waitUntil(lambda: len(readings) == 2 and not page.is_loading, timeout=PATIENCE)
    return window


# --- While another backend is chosen ---


@pytest.mark.parametrize(
    ("key", "modifier"),
    [
        (Qt.Key.Key_N, _CTRL),
        (Qt.Key.Key_F5, _NONE),
        (Qt.Key.Key_F2, _NONE),
        (Qt.Key.Key_Delete, _NONE),
        (Qt.Key.Key_C, _CTRL),
        (Qt.Key.Key_G, _CTRL),
        (Qt.Key.Key_PageDown, _CTRL),
        (Qt.Key.Key_End, _CTRL),
        (Qt.Key.Key_W, _CTRL),
        (Qt.Key.Key_F, _CTRL),
        (Qt.Key.Key_Down, _NONE),
    ],
)
def test_no_key_acts_on_the_list_while_a_backend_is_chosen(
    qtbot: QtBot, window: MainWindow, backend: Backend, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    window.open_session(session(1))
    window.sessions.parts.view.setFocus()
    QGuiApplication.clipboard().setText("before")
    window.choose_action.trigger()
    calls, before = list(backend.calls), titles(window)
    current = window.sessions.parts.view.current
    at = window.first_run.token
    at.setFocus()
    qtbot.keyClick(at, key, modifier)
    qtbot.keyClicks(window.focusWidget(), "12")
    assert window.first_run.isAncestorOf(window.focusWidget())
    assert window.sessions.parts.search.text() == ""
    assert (window.sessions.page, titles(window)) == (0, before)
    assert window.sessions.parts.view.current is current
    assert not window.sessions.is_loading
    assert window.sessions.findChild(QMessageBox) is None
    assert QGuiApplication.clipboard().text() == "before"
    assert window.chat.shown == [session(1)]
    window.service.client.list_sessions()  # answered after all that was asked before
    assert [call[0] for call in backend.calls[len(calls) :]] == ["list_sessions"]


def listed_in(window: MainWindow, title: str) -> list[QAction]:
    menu = next(each for each in window.menuBar().actions() if each.text() == title)
    return [each for each in menu.menu().actions() if not each.isSeparator()]


def test_the_menus_are_grey_meanwhile_and_as_before_afterwards(
    qtbot: QtBot, window: MainWindow
) -> None:
    actions = [*listed_in(window, "&Session"), *listed_in(window, "&View")]
    before = [each.isEnabled() for each in actions]
    assert any(before)
    assert not all(before)  # there is no chat to hide
    window.choose_action.trigger()
    assert [each.text() for each in actions if each.isEnabled()] == ["Quit"]
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert [each.isEnabled() for each in actions] == before


def test_a_chat_that_is_opened_meanwhile_takes_no_keyboard(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.open_session(session(1))
    monkeypatch.setattr(window.chat, "take_focus", window.chat.setFocus)
    window.choose_action.trigger()
    window.first_run.port.setFocus()
    window.open_session(session(2))
    assert window.first_run.port.hasFocus()


def test_who_chooses_is_not_disturbed_by_the_return_of_the_backend_in_use(
    qtbot: QtBot, window: MainWindow
) -> None:
    page = window.first_run
    window.choose_action.trigger()
    page.token.setFocus()
    qtbot.keyClicks(page.token, "half of")
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.service.connected.emit()
    assert page.isVisible()
    assert page.token.hasFocus()
    assert page.token.text() == "half of"


# --- The way back ---


def test_escape_goes_back_to_where_the_keyboard_was(qtbot: QtBot, window: MainWindow) -> None:
    search = window.sessions.parts.search
    search.setFocus()
    window.choose_action.trigger()
    for field in (window.first_run.opencode, window.first_run.token):
        window.choose_action.trigger()
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_Escape)
        assert window.sessions.isVisible()
        assert search.hasFocus()


def test_where_there_is_nothing_to_go_back_to_escape_does_nothing(
    qtbot: QtBot, open_window: OpenWindow
) -> None:
    window = open_window()
    qtbot.waitUntil(window.first_run.isVisible, timeout=PATIENCE)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert window.first_run.isVisible()


def test_what_is_gone_meanwhile_gets_no_keyboard_back(qtbot: QtBot, window: MainWindow) -> None:
    window.open_session(session(1))
    window.chat.setFocus()
    window.choose_action.trigger()
    window.sessions._live.removed.emit([session(1).id])
    assert window.chat.isHidden()
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert window.sessions.parts.view.hasFocus()


def test_the_way_back_is_seen_in_a_low_window(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(600, 400)
    window.choose_action.trigger()
    page, back = window.first_run, window.first_run.back

    def is_whole() -> bool:
        return back.visibleRegion().boundingRect() == back.rect()

    qtbot.waitUntil(is_whole, timeout=PATIENCE)
    bar = page.area.verticalScrollBar()
    assert bar.maximum() > 0  # it is low
    for end in (bar.maximum(), bar.minimum()):
        bar.setValue(end)
        assert is_whole()
    assert window.rect().contains(back.mapTo(window, QPoint(0, back.height())))
    assert (window.width(), window.height()) == (600, 400)


# --- After the start ---


def test_after_the_start_the_arrows_and_enter_are_the_lists(
    qtbot: QtBot, window: MainWindow
) -> None:
    view = window.sessions.parts.view
    assert view.hasFocus()
    assert [index.row() for index in view.selectedIndexes()] == [0]
    press(qtbot, window, Qt.Key.Key_Return, _NONE)
    view.setFocus()
    press(qtbot, window, Qt.Key.Key_Down, _NONE)
    press(qtbot, window, Qt.Key.Key_Return, _NONE)
    assert [each.title for each in window.chat.shown] == ["Session 1", "Session 2"]


def test_after_the_first_page_the_keyboard_is_in_the_list_too(
    qtbot: QtBot, open_window: OpenWindow, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    qtbot.waitUntil(window.first_run.isVisible, timeout=PATIENCE)
    list_of(backend, 2)
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(backend))
    assert window.first_run.opencode.hasFocus()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        press(qtbot, window, Qt.Key.Key_Return, _NONE)
    assert window.sessions.parts.view.hasFocus()


def test_after_a_failure_and_another_try_the_keyboard_is_in_the_list_too(
    qtbot: QtBot, open_window: OpenWindow, backend: Backend, scripted: IpcConfig
) -> None:
    window = open_window(IpcConfig(1024, "nobody-listens-there"))
    parts = window.sessions.parts
    qtbot.waitUntil(parts.failed.button.hasFocus, timeout=PATIENCE)
    window.service._target.set_config(scripted)
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        press(qtbot, window, Qt.Key.Key_Space, _NONE)
    assert parts.view.hasFocus()


@pytest.mark.parametrize("name", ["refresh", "new"])
def test_who_has_gone_elsewhere_before_the_list_comes_is_left_there(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, open_window: OpenWindow, name: str
) -> None:
    held = backend.script["list_sessions"] = Held(lambda: [session(1)])
    window = open_window(scripted)
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    qtbot.waitUntil(window.sessions.parts.new.isEnabled, timeout=PATIENCE)
    button = getattr(window.sessions.parts, name)
    button.setFocus()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        held.go_on.set()
    assert button.hasFocus()
    assert window.sessions.parts.view.current is None


def test_who_searches_is_left_there_when_the_list_is_read_again(
    qtbot: QtBot, window: MainWindow
) -> None:
    search = window.sessions.parts.search
    qtbot.mouseClick(search, _LEFT)
    qtbot.keyClicks(search, "Session")
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.sessions.load()
    assert search.hasFocus()


@pytest.mark.parametrize("name", ["view", "search", "order", "new"])
def test_another_backends_list_has_the_keyboard_that_was_with_the_one_before(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    other = Backend()
    list_of(other, 2)
    monkeypatch.setattr(lifecycle, "make_gateway", lambda kind, directory: Gateway(other))
    getattr(window.sessions.parts, name).setFocus()
    window.choose_action.trigger()
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        window.choosing.start_gateway(GatewayKind.OPENCODE)
    assert titles(window) == ["Session 1", "Session 2"]
    assert (window.sessions.parts.new if name == "new" else window.sessions.parts.view).hasFocus()
    assert not window.first_run.isEnabled()  # what is not seen takes no key


# --- After others have deleted ---


def deleted(info: OcSessionInfo) -> IpcEvent:
    event = IpcEvent(type="session.deleted")
    event.event.session_deleted.session_id = info.id
    return event


@pytest.fixture
def left(qtbot: QtBot, window: MainWindow) -> MainWindow:
    """The third of its sessions was selected until another program deleted it."""
    window.sessions.parts.view.select_row(2)
    window.sessions._live.removed.emit([session(3).id])
    assert "Session 3" not in titles(window)
    return window


@pytest.mark.parametrize(
    ("key", "modifier"),
    [(Qt.Key.Key_Delete, _NONE), (Qt.Key.Key_F2, _NONE), (Qt.Key.Key_C, _CTRL)],
)
def test_no_key_acts_on_a_session_that_nobody_has_chosen(
    qtbot: QtBot, left: MainWindow, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    QGuiApplication.clipboard().setText("before")
    view = left.sessions.parts.view
    assert view.hasFocus()
    assert (view.current, view.selectedIndexes()) == (None, [])
    qtbot.keyClick(view, key, modifier)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert left.sessions.findChild(QMessageBox) is None
    assert not view.is_renaming
    assert QGuiApplication.clipboard().text() == "before"
    assert left.chat is None


def test_nor_after_the_list_has_changed_and_the_window_was_left_and_come_back_to(
    qtbot: QtBot, left: MainWindow
) -> None:
    view = left.sessions.parts.view
    left.sessions._live.removed.emit([session(5).id])
    for kind in (QEvent.Type.FocusOut, QEvent.Type.FocusIn):
        event = QFocusEvent(kind, Qt.FocusReason.ActiveWindowFocusReason)
        QApplication.sendEvent(view, event)
    assert view.current is None
    left.open_session(session(1))
    left.chat.setFocus()
    qtbot.keyClick(left, Qt.Key.Key_W, _CTRL)
    assert view.hasFocus()
    assert view.current is None


@pytest.mark.parametrize("key", [Qt.Key.Key_Down, Qt.Key.Key_Up])
def test_the_arrows_begin_at_the_top_then(qtbot: QtBot, left: MainWindow, key: Qt.Key) -> None:
    view = left.sessions.parts.view
    qtbot.keyClick(view, key)
    assert [index.row() for index in view.selectedIndexes()] == [0]
    left.sessions._live.removed.emit([session(5).id])
    assert view.current is not None  # it was chosen, and stays so
    assert view.current.title == "Session 1"


def test_from_the_search_one_comes_to_the_first_then(qtbot: QtBot, left: MainWindow) -> None:
    left.sessions.parts.search.setFocus()
    qtbot.keyClick(left.sessions.parts.search, Qt.Key.Key_Down)
    assert [index.row() for index in left.sessions.parts.view.selectedIndexes()] == [0]


def test_a_title_that_is_typed_meanwhile_is_no_new_title_of_another(
    qtbot: QtBot, window: MainWindow
) -> None:
    view = window.sessions.parts.view
    view.select_row(2)
    window.sessions.rename_action.trigger()
    window.sessions._live.removed.emit([session(3).id])
    assert view.is_renaming
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: "Session 3" not in titles(window), timeout=PATIENCE)
    assert view.current is None


def test_after_ones_own_deletion_the_neighbour_is_selected_whoever_tells_of_it_first(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    view = window.sessions.parts.view
    held = backend.script["delete_session"] = Held(lambda session_id: True)
    view.select_row(2)
    window.sessions.changes.delete(view.current)
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    backend.streams[0].push(deleted(session(3)))
    qtbot.waitUntil(lambda: "Session 3" not in titles(window), timeout=PATIENCE)
    with qtbot.waitSignal(window.sessions.session_removed, timeout=PATIENCE):
        held.go_on.set()
    qtbot.waitUntil(lambda: view.current is not None, timeout=PATIENCE)
    assert view.current.title == "Session 4"


def test_the_neighbour_is_selected_on_its_own_page_only(qtbot: QtBot, left: MainWindow) -> None:
    pager, view = left.sessions.parts.pager, left.sessions.parts.view
    pager.next.click()
    assert left.sessions.page == 1
    left.sessions.changes.deleted.emit(session(3).id)
    assert view.current is None


def test_what_the_user_has_chosen_since_stays_selected(
    qtbot: QtBot, left: MainWindow, backend: Backend
) -> None:
    view = left.sessions.parts.view
    view.select_row(0)
    left.sessions.changes.deleted.emit(session(3).id)
    assert view.current.title == "Session 1"


# --- Where the keys are told ---


def told(dialog: KeysDialog) -> dict[str, list[tuple[str, str]]]:
    """What the dialog shows: by the place, what each key does."""
    keys = dialog.keys
    places = [keys.topLevelItem(number) for number in range(keys.topLevelItemCount())]
    return {
        each.text(0): [
            (each.child(row).text(0), each.child(row).text(1)) for row in range(each.childCount())
        ]
        for each in places
    }


def test_f1_shows_all_keys_and_escape_closes_it(qtbot: QtBot, window: MainWindow) -> None:
    press(qtbot, window, Qt.Key.Key_F1, _NONE)
    dialog = window.findChild(KeysDialog)
    assert dialog.isVisible()
    assert dialog.keys.accessibleName() == "Keys"
    shown = told(dialog)
    keys = {row for rows in shown.values() for row in rows}
    native = QKeySequence.SequenceFormat.NativeText
    actions = [each for each in window.findChildren(QAction) if not each.shortcut().isEmpty()]
    for each in actions:
        assert (each.text().replace("&", ""), each.shortcut().toString(native)) in keys
    assert ("Delete", "Del") in shown["Session"]
    assert ("Keyboard", "F1") in shown["Help"]
    assert ("Last page", "Ctrl+End") in shown["Sessions"]
    assert ("Back", "Esc") in shown["Choose a backend"]
    qtbot.waitUntil(dialog.keys.hasFocus, timeout=PATIENCE)
    qtbot.keyClick(dialog.keys, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: window.findChild(KeysDialog) is None, timeout=PATIENCE)
    assert window.focusWidget() is window.sessions.parts.view


def test_the_keys_of_the_message_box_are_those_that_it_tells_itself(
    qtbot: QtBot, window: MainWindow
) -> None:
    composer = Composer()
    keys = [key for _, key in keys_of(window)["Message"]]
    assert keys == ["Return", "Shift+Return", "Esc", "Ctrl+L"] or keys == [
        "Enter",
        "Shift+Enter",
        "Esc",
        "Ctrl+L",
    ]
    for key in keys:
        assert key in composer.toolTip()
    destroy(composer)


def test_a_key_of_no_part_with_a_name_works_anywhere(qtbot: QtBot) -> None:
    window = QMainWindow()
    action = QAction("&Do it", window)
    action.setShortcut(QKeySequence("Ctrl+D"))
    assert keys_of(window)["Anywhere"] == [("Do it", "Ctrl+D")]
    destroy(window)

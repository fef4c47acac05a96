"""The list: loading, empty, ten a page, badges, times."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QModelIndex, QPoint, QSize, Qt
from PySide6.QtGui import QColor, QHoverEvent, QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.sessions.delegate import Badge, badges_of
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.sessions.record import record_of
from opencode_sync.desktop.theme import Tone
from opencode_sync.gateway import Gateway

from .conftest import (
    PATIENCE,
    Backend,
    Held,
    OpenWindow,
    config_of,
    session,
    shown,
    times,
    titles,
)


def test_the_window_is_there_at_once_and_loads_in_the_background(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, open_window: OpenWindow
) -> None:
    held = backend.script["list_sessions"] = Held(lambda: [session(1)])
    window = open_window(scripted)
    assert window.isVisible()
    assert shown(window) is Shown.LOADING
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    assert shown(window) is Shown.LOADING
    held.go_on.set()
    qtbot.waitUntil(lambda: shown(window) is Shown.LIST, timeout=PATIENCE)
    assert titles(window) == ["Session 1"]


def test_without_sessions_it_offers_to_create_one(
    qtbot: QtBot, store: Gateway, loaded: OpenWindow
) -> None:
    window = loaded(config_of(store))
    parts = window.sessions.parts
    assert shown(window) is Shown.EMPTY
    assert parts.empty.button.text() == "Create Session"
    assert parts.count.isHidden()
    assert not parts.search.isEnabled()
    with qtbot.waitSignal(window.sessions.session_chosen, timeout=PATIENCE):
        qtbot.mouseClick(parts.empty.button, Qt.MouseButton.LeftButton)
    assert shown(window) is Shown.LIST
    assert parts.count.text() == "1"


def test_ten_are_on_a_page_and_the_pager_leafs(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in range(25)]
    window = loaded(scripted)
    pager = window.sessions.parts.pager
    assert titles(window) == [f"Session {n}" for n in range(10)]
    assert window.sessions.parts.count.text() == "25"
    assert (pager.number.text(), pager.pages.text()) == ("1", "of 3")
    assert not pager.previous.isEnabled()
    qtbot.mouseClick(pager.next, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(pager.next, Qt.MouseButton.LeftButton)
    assert titles(window) == [f"Session {n}" for n in range(20, 25)]
    assert (pager.number.text(), pager.next.isEnabled()) == ("3", False)
    qtbot.mouseClick(pager.previous, Qt.MouseButton.LeftButton)
    assert window.sessions.page == 1


def test_one_page_needs_no_pager(scripted: IpcConfig, loaded: OpenWindow) -> None:
    assert loaded(scripted).sessions.parts.pager.isHidden()


def test_refreshing_shows_that_it_reads_and_then_what_is_new(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    window = loaded(scripted)
    held = backend.script["list_sessions"] = Held(lambda: [session(7)])
    window.sessions.load()
    window.sessions.load()  # the first reading is given up
    assert not window.sessions.parts.bar.isHidden()
    held.go_on.set()
    qtbot.waitUntil(lambda: titles(window) == ["Session 7"], timeout=PATIENCE)
    assert window.sessions.parts.bar.isHidden()


def test_times_are_relative_to_the_clock(
    scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    old = session(3, updated=2 * 86400)
    old.time.created = 0
    backend.script["list_sessions"] = lambda: [
        session(1, updated=5),
        session(2, updated=300),
        old,
    ]
    window = loaded(scripted)
    assert times(window) == [
        "Updated: Just now  ·  Created: Just now",
        "Updated: 5m ago  ·  Created: 5m ago",
        "Updated: 2d ago  ·  Created: Unknown",
    ]


def test_times_pass_while_the_list_is_on_show(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    page = loaded(scripted).sessions
    timer = page._timer
    assert timer.isActive()
    with qtbot.waitSignal(page._model.dataChanged, timeout=PATIENCE):
        timer.timeout.emit()
    page.hide()
    assert not timer.isActive()


def test_badges_say_what_a_session_has_changed() -> None:
    changed = session(1)
    changed.summary.additions = 12
    changed.summary.deletions = 3
    changed.summary.files = 2
    assert badges_of(record_of(changed), "{0} files", "{0} file") == [
        Badge("+12", Tone.SUCCESS),
        Badge("-3", Tone.DANGER),
        Badge("2 files", Tone.INFO),
    ]
    changed.summary.files = 1
    assert badges_of(record_of(changed), "{0} files", "{0} file")[2].text == "1 file"
    assert badges_of(record_of(session(1)), "{0} files", "{0} file") == []


def test_a_session_that_changed_nothing_has_no_badges() -> None:
    idle = session(1)
    idle.summary.SetInParent()
    assert record_of(idle).summary == (0, 0, 0)
    assert badges_of(record_of(idle), "{0} files", "{0} file") == []


def test_a_title_cannot_turn_the_rest_of_its_card_around(
    scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(1, "a\u202etxt.exe")]
    row = loaded(scripted).sessions.parts.view.model().index(0, 0)
    assert row.data() == r"a\u202etxt.exe"
    assert "\u202e" not in row.data(Qt.ItemDataRole.ToolTipRole)
    assert "\u202e" not in row.data(Qt.ItemDataRole.AccessibleTextRole)


@pytest.mark.parametrize("chat", [False, True])
def test_the_window_may_be_small(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow, chat: bool
) -> None:
    backend.script["list_sessions"] = lambda: [session(n, updated=n) for n in range(25)]
    window = loaded(scripted)
    parts = window.sessions.parts
    assert parts.heading.isVisible()
    if chat:
        window.open_session(session(1))
        window.chat.setMinimumWidth(300)
    full = parts.refresh.sizeHint().width()
    qtbot.waitUntil(lambda: parts.refresh.width() == full, timeout=PATIENCE)
    assert window.minimumSizeHint().width() <= 600  # though that would be too narrow for it
    window.resize(600, 400)
    qtbot.waitUntil(lambda: window.size() == QSize(600, 400), timeout=PATIENCE)
    qtbot.waitUntil(lambda: parts.refresh.isVisible() is not chat, timeout=PATIENCE)
    assert parts.heading.isVisible()
    qtbot.waitUntil(
        lambda: parts.heading.width() >= parts.heading.sizeHint().width(), timeout=PATIENCE
    )


@pytest.mark.parametrize("background", ["#f4f5f7", "#24272d"])
def test_badges_are_painted_in_both_themes(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow, background: str
) -> None:
    """A row with a summary has more colours in it than one without, whatever the palette."""
    changed = session(1)
    changed.summary.additions = 1
    backend.script["list_sessions"] = lambda: [changed, session(2, updated=60)]
    window = loaded(scripted)
    window.setPalette(QPalette(QColor(background)))
    view = window.sessions.parts.view
    picture = view.viewport().grab().toImage()

    def is_coloured(row: int) -> bool:
        frame = view.visualRect(view.model().index(row, 0))
        return any(
            QColor(picture.pixel(x, y)).saturation() > 60
            for x in range(frame.right() - 160, frame.right() - 14)
            for y in range(frame.top() + 14, frame.top() + 26)
        )

    assert is_coloured(0)
    assert not is_coloured(1)


def test_a_row_says_all_it_shows_to_a_screen_reader(
    scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    changed = session(1, " two\nlines ")
    changed.summary.additions = 12
    backend.script["list_sessions"] = lambda: [changed, session(2, " ", updated=60)]
    model = loaded(scripted).sessions.parts.view.model()
    row = model.index(0, 0)
    assert row.data(Qt.ItemDataRole.AccessibleTextRole) == (
        "two lines, Updated: Just now, Created: Just now, 12 lines added, 0 deleted, 0 files"
    )
    assert row.data(Qt.ItemDataRole.AccessibleDescriptionRole) == changed.id
    assert changed.id in row.data(Qt.ItemDataRole.ToolTipRole)
    assert model.index(1, 0).data() == "Untitled"
    assert row.data(Qt.ItemDataRole.DecorationRole) is None
    assert model.index(9, 0).data() is None


def test_every_control_has_a_name(scripted: IpcConfig, loaded: OpenWindow) -> None:
    parts = loaded(scripted).sessions.parts
    buttons = (parts.refresh, parts.new, parts.rename, parts.copy, parts.delete)
    others = (parts.search, parts.order, parts.view, parts.bar, parts.pager.next)
    assert all(widget.accessibleName() for widget in (*buttons, *others))


def test_the_model_is_a_flat_list_whose_titles_alone_can_be_edited(
    qtbot: QtBot, scripted: IpcConfig, loaded: OpenWindow
) -> None:
    model = loaded(scripted).sessions._model
    first = model.index(0, 0)
    assert model.rowCount(first) == 0
    assert model.data(QModelIndex()) is None
    assert not model.flags(QModelIndex()) & Qt.ItemFlag.ItemIsEditable
    assert model.setData(first, "x", Qt.ItemDataRole.ToolTipRole) is False
    assert model.setData(QModelIndex(), "x") is False
    assert not model.row_of("ses_elsewhere").isValid()
    model.show_rows([])
    with qtbot.assertNotEmitted(model.dataChanged):
        model.times_have_passed()


def test_a_card_under_the_mouse_has_another_border(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    backend.script["list_sessions"] = lambda: [session(1), session(2, updated=60)]
    view = loaded(scripted).sessions.parts.view
    row = view.visualRect(view.model().index(1, 0))  # the first one is selected
    before = view.viewport().grab(row).toImage()
    event = QHoverEvent(QEvent.Type.HoverMove, row.center(), row.center(), QPoint(0, 0))
    QApplication.sendEvent(view.viewport(), event)
    qtbot.waitUntil(lambda: view.viewport().grab(row).toImage() != before, timeout=PATIENCE)

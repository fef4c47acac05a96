"""In which sessions something goes on: what their cards say."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.activity import Activity
from opencode_sync.desktop.sessions.model import Role
from opencode_sync.types import IpcEvent

from .conftest import PATIENCE, Backend, OpenWindow, session

ONE, TWO = f"ses_{1:026d}", f"ses_{2:026d}"


def status(session_id: str, kind: str) -> IpcEvent:
    said = json.dumps({"status": {"type": kind}})
    return IpcEvent(type="session.status", session_id=session_id, properties_json=said)


def asked(session_id: str, question: str = "per_1") -> IpcEvent:
    event = IpcEvent(type="permission.asked", session_id=session_id)
    event.event.permission_asked.session_id = session_id
    event.event.permission_asked.request.id = question
    return event


@pytest.fixture
def window(qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    changed = session(2, updated=60)
    changed.summary.additions = 12
    backend.script["list_sessions"] = lambda: [session(1), changed]
    window = loaded(scripted)
    qtbot.waitUntil(lambda: bool(backend.streams), timeout=PATIENCE)
    return window


def activity(window: MainWindow, row: int) -> Activity | None:
    found = window.sessions._model.index(row, 0).data(Role.ACTIVITY)
    assert found is None or isinstance(found, Activity)
    return found


def spoken(window: MainWindow, row: int) -> str:
    return str(window.sessions._model.index(row, 0).data(Qt.ItemDataRole.AccessibleTextRole))


def card(window: MainWindow, row: int) -> QImage:
    view = window.sessions.parts.view
    return view.viewport().grab(view.visualRect(view.model().index(row, 0))).toImage()


def test_a_card_says_that_its_session_runs_or_waits_whoever_began_it(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    idle = card(window, 1)
    backend.streams[0].push(status(TWO, "busy"))
    qtbot.waitUntil(lambda: activity(window, 1) is Activity.RUNNING, timeout=PATIENCE)
    running = card(window, 1)
    backend.streams[0].push(asked(TWO))
    qtbot.waitUntil(lambda: activity(window, 1) is Activity.WAITING, timeout=PATIENCE)
    assert spoken(window, 1).startswith("Session 2, Waiting for you, Updated")
    assert idle != running != card(window, 1)
    backend.streams[0].push(status(TWO, "idle"))
    qtbot.waitUntil(lambda: activity(window, 1) is None, timeout=PATIENCE)
    assert card(window, 1) == idle
    assert spoken(window, 1).startswith("Session 2, Updated")


def test_a_run_of_this_windows_is_marked_whether_or_not_there_are_events(
    qtbot: QtBot, window: MainWindow
) -> None:
    window.service.activity.run_began(ONE)
    qtbot.waitUntil(lambda: activity(window, 0) is Activity.RUNNING, timeout=PATIENCE)
    assert "Running" in spoken(window, 0)
    assert activity(window, 1) is None
    window.service.activity.run_ended(ONE)
    qtbot.waitUntil(lambda: activity(window, 0) is None, timeout=PATIENCE)


def test_what_is_not_known_any_more_is_not_shown(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    stream = backend.streams[0]
    stream.push(status(ONE, "busy"))
    qtbot.waitUntil(lambda: activity(window, 0) is Activity.RUNNING, timeout=PATIENCE)
    stream.push(IpcEvent(type="gateway.resubscribed"))
    qtbot.waitUntil(lambda: activity(window, 0) is None, timeout=PATIENCE)


def test_a_session_below_learns_its_parent_from_the_events(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    made = IpcEvent(type="session.created")
    child = made.event.session_created.session
    child.id, child.parent_id = "ses_child", TWO
    backend.streams[0].push(made)
    backend.streams[0].push(asked("ses_child"))
    qtbot.waitUntil(lambda: activity(window, 1) is Activity.WAITING, timeout=PATIENCE)


def test_in_a_narrow_list_the_marker_comes_before_what_was_changed(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    """Or there would be nothing to see of the title."""
    view = window.sessions.parts.view
    row = view.model().index(1, 0)
    backend.streams[0].push(asked(TWO))
    qtbot.waitUntil(lambda: activity(window, 1) is Activity.WAITING, timeout=PATIENCE)

    def colours(width: int) -> set[str]:
        view.resize(width, view.height())
        picture = view.viewport().grab(view.visualRect(row)).toImage()
        middle = picture.height() // 3
        return {picture.pixelColor(x, middle).name() for x in range(picture.width())}

    green, yellow = "#d6f0dc", "#fcefc9"
    assert {green, yellow} <= colours(600)
    assert yellow in colours(260)
    assert green not in colours(260)


# --- The field for a new title ---


def test_the_field_covers_the_title_and_nothing_below_it(window: MainWindow) -> None:
    view = window.sessions.parts.view
    view.select_row(1)
    before = card(window, 1)
    window.sessions.rename_action.trigger()
    field = view.findChild(QLineEdit)
    frame = view.visualRect(view.currentIndex())
    assert frame.contains(field.geometry())
    assert field.font().bold()
    assert field.height() >= field.fontMetrics().height()
    line = field.geometry().translated(-frame.topLeft())
    assert line.center().y() < frame.height() // 2
    during = card(window, 1)
    below = (0, line.bottom() + 1, before.width(), before.height() - line.bottom() - 1)
    assert during.copy(*below) == before.copy(*below)
    field.setText("")
    empty = field.grab().toImage()
    assert during != before
    # Nothing shows through: without a text, and apart from its edge, it has one colour.
    inner = empty.copy(30, 3, empty.width() - 40, empty.height() - 6)
    assert {inner.pixel(x, y) for x in range(inner.width()) for y in range(inner.height())} == {
        inner.pixel(0, 0)
    }

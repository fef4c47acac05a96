"""In which sessions something goes on: what is known of it, and what their cards say."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.activity import EVENT_TYPES, Activities, Activity
from opencode_sync.desktop.sessions.model import Role
from opencode_sync.types import IpcEvent

from .conftest import PATIENCE, Backend, OpenWindow, session

ONE, TWO = f"ses_{1:026d}", f"ses_{2:026d}"


def event(kind: str, session_id: str, **said: object) -> IpcEvent:
    return IpcEvent(type=kind, session_id=session_id, properties_json=json.dumps(said))


def status(session_id: str, kind: object) -> IpcEvent:
    return event("session.status", session_id, status={"type": kind})


def asked(session_id: str, question: str = "per_1", kind: str = "permission.asked") -> IpcEvent:
    return event(kind, session_id, id=question)


def after(*events: IpcEvent) -> dict[str, Activity]:
    activities = Activities()
    for each in events:
        activities.note(each)
    return activities.all


# --- What is known ---


@pytest.mark.parametrize("kind", ["busy", "retry"])
def test_a_session_runs_from_its_first_sign_to_its_last(kind: str) -> None:
    assert after(status(ONE, kind)) == {ONE: Activity.RUNNING}
    assert after(status(ONE, kind), status(ONE, "idle")) == {}
    assert after(status(ONE, kind), event("session.idle", ONE)) == {}


@pytest.mark.parametrize(
    "odd", [event("session.status", ONE), event("session.status", ONE, status="x")]
)
def test_a_status_that_says_nothing_changes_nothing(odd: IpcEvent) -> None:
    assert after(odd) == {}
    assert after(status(ONE, "busy"), odd) == {ONE: Activity.RUNNING}


def test_other_events_say_nothing_of_it() -> None:
    assert "session.updated" not in EVENT_TYPES
    assert after(event("session.updated", ONE, status={"type": "busy"})) == {}


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        ("permission.asked", "permission.replied"),
        ("question.asked", "question.replied"),
        ("question.asked", "question.rejected"),
    ],
)
def test_it_waits_until_the_last_question_is_answered(ask: str, answer: str) -> None:
    both = (status(ONE, "busy"), asked(ONE, "a", ask), asked(ONE, "b", ask))
    assert after(*both) == {ONE: Activity.WAITING}
    one_left = (*both, event(answer, ONE, requestID="a"))
    assert after(*one_left) == {ONE: Activity.WAITING}
    assert after(*one_left, event(answer, ONE, requestID="b")) == {ONE: Activity.RUNNING}
    assert after(*one_left, status(ONE, "idle")) == {}


def test_what_a_session_below_asks_its_parent_waits_for() -> None:
    activities = Activities()
    activities.note_parent(ONE, "")
    activities.note_parent("ses_child", TWO)
    activities.note_parent(TWO, ONE)
    activities.note(asked("ses_child"))
    assert activities.all == {ONE: Activity.WAITING}
    activities.note(status(ONE, "idle"))
    assert activities.all == {}


def test_sessions_that_are_said_to_be_each_others_parents_end_nowhere() -> None:
    activities = Activities()
    activities.note_parent(ONE, TWO)
    activities.note_parent(TWO, ONE)
    activities.note(asked(ONE))
    assert list(activities.all.values()) == [Activity.WAITING]


def test_a_run_of_our_own_needs_no_events_and_outlives_their_loss() -> None:
    activities = Activities()
    activities.note_ours(ONE, True)
    activities.note(status(TWO, "busy"))
    activities.note(asked(ONE))
    assert activities.all == {ONE: Activity.WAITING, TWO: Activity.RUNNING}
    activities.forget_told()
    assert activities.all == {ONE: Activity.RUNNING}
    activities.note_ours(ONE, False)
    assert activities.all == {}


# --- What is shown ---


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


def test_a_run_in_the_chat_is_marked_at_once(window: MainWindow) -> None:
    window.open_session(session(1))
    assert window.chat is not None
    window.chat.session_busy_changed.emit(ONE, True)
    assert activity(window, 0) is Activity.RUNNING
    assert "Running" in spoken(window, 0)
    assert activity(window, 1) is None
    window.chat.session_busy_changed.emit(ONE, False)
    assert activity(window, 0) is None


@pytest.mark.parametrize("how", ["resubscribed", "missed", "ended"])
def test_what_is_not_known_any_more_is_not_shown(
    qtbot: QtBot, window: MainWindow, backend: Backend, how: str
) -> None:
    stream = backend.streams[0]
    stream.push(status(ONE, "busy"))
    qtbot.waitUntil(lambda: activity(window, 0) is Activity.RUNNING, timeout=PATIENCE)
    if how == "resubscribed":
        stream.push(IpcEvent(type="gateway.resubscribed"))
    elif how == "missed":
        window.sessions._live._missed(3)
    else:
        window.sessions._live._ended(None)
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

"""A question in a window of 600 by 400: nothing covers anything, and all of it can be reached."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.run_events import PermissionAsked, QuestionAsked, QuestionItem, QuestionOption
from tests.desktop.chat.conftest import ChatBackend, Open
from tests.desktop.chat.panes import write

LOW, HIGH = (330, 355), (500, 700)
"""The pane's sizes, of which the first is what such a window leaves it beside the list."""

WRITE = PermissionAsked(
    id="per_1",
    permission="write",
    patterns=("src/cart.py",),
    metadata={"diff": "\n".join(f"+ line {number}" for number in range(40))},
    tool_call_id="",
    session_id="ses_1",
    directory="/project",
)
CHOICE = QuestionAsked(
    id="que_1",
    items=(
        QuestionItem(
            header="Choice",
            question="Which one of these shall it be, in your own best interest? " * 3,
            options=tuple(QuestionOption(f"Option {each}", "what it is") for each in range(6)),
            multiple=False,
            custom=True,
        ),
    ),
    session_id="ses_1",
    directory="/project",
)


@pytest.fixture
def running(pane: ChatPane, show: Open, backend: ChatBackend) -> ChatPane:
    """With a run, and a shown line about it."""
    show()
    write(pane, "Hi")
    backend.run()
    return pane


def ask(pane: ChatPane, asked: PermissionAsked | QuestionAsked, size: tuple[int, int]) -> None:
    pane.resize(*size)
    assert pane._talks.shown is not None
    pane._talks.shown.questions.add(asked)
    for _ in range(3):  # layouts follow each other
        QApplication.processEvents()
    assert (pane.width(), pane.height()) == size  # there is room for what it cannot do without


def children(parent: QWidget) -> list[QWidget]:
    direct = parent.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return [each for each in direct if each.isVisible()]


def covered(parent: QWidget) -> list[tuple[QWidget, QWidget]]:
    """What lies on something else in the same parent."""
    pairs = itertools.combinations(children(parent), 2)
    return [(one, two) for one, two in pairs if one.geometry().intersects(two.geometry())]


def is_whole(widget: QWidget, pane: ChatPane) -> bool:
    """Whether all of it is in sight."""
    place = QRect(widget.mapTo(pane, QPoint(0, 0)), widget.size())
    return pane.rect().contains(place) and widget.visibleRegion().boundingRect() == widget.rect()


@pytest.mark.parametrize("size", [LOW, HIGH])
def test_a_permission_leaves_its_buttons_in_sight(running: ChatPane, size: tuple[int, int]) -> None:
    ask(running, WRITE, size)
    form = running.questions.form
    assert isinstance(form, PermissionForm)
    for each in (form.about, form.once, form.always, form.reject, form.why, running.composer):
        assert is_whole(each, running)
    for parent in (form, running.questions, form.parentWidget().parentWidget()):
        assert not covered(parent)
    assert form.about.verticalScrollBar().maximum() > 0
    assert form.about.viewport().height() >= 2 * form.about.fontMetrics().lineSpacing()


@pytest.mark.parametrize("size", [LOW, HIGH])
def test_a_question_scrolls_to_the_answer_of_ones_own(
    qtbot: QtBot, running: ChatPane, size: tuple[int, int]
) -> None:
    ask(running, CHOICE, size)
    form = running.questions.form
    assert isinstance(form, QuestionForm)
    for parent in (form, running.questions, form.parentWidget().parentWidget()):
        assert not covered(parent)
    assert is_whole(form.dismiss, running)
    assert is_whole(form.answer, running)
    own = form.items[0].other
    assert own is not None
    form.items[0].buttons[0].setFocus()
    qtbot.keyClick(form.items[0].buttons[0], Qt.Key.Key_Tab)
    assert own.hasFocus()
    assert is_whole(own, running)


def test_the_figures_make_room_for_a_question(running: ChatPane) -> None:
    ask(running, WRITE, LOW)
    assert not running.usage.isVisible()
    running.resize(*HIGH)
    assert running.usage.isVisible()
    running.resize(*LOW)
    assert not running.usage.isVisible()
    assert running._talks.shown is not None
    running._talks.shown.questions.clear()
    assert running.usage.isVisible()


def test_a_short_permission_is_no_higher_than_its_text(running: ChatPane) -> None:
    short = PermissionAsked("per_1", "bash", ("ls",), {}, "", "ses_1", "/project")
    ask(running, short, HIGH)
    form = running.questions.form
    assert isinstance(form, PermissionForm)
    assert form.about.height() < 4 * form.about.fontMetrics().lineSpacing()
    assert running.history.height() > 200

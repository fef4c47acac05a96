"""Choosing a model and an agent: filled in the background, searched by typing, remembered."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.choosers import Choice, Chooser, agent_choices, model_choices
from opencode_sync.types import OcAgentInfo, OcModelInfo
from opencode_sync.wire.ext_operations_pb2 import IpcModelList
from tests.desktop.chat.conftest import ChatBackend, Open
from tests.desktop.chat.panes import PATIENCE, settled, write

CHOICES = [Choice("p/one", "One (p)", "p/one"), Choice("p/two", "Two (p)", "<b>p/two</b>")]


@pytest.fixture
def settings(tmp_path: object) -> QSettings:
    return QSettings(f"{tmp_path}/chooser.ini", QSettings.Format.IniFormat)


def make(qtbot: QtBot, settings: QSettings) -> Chooser:
    chooser = Chooser("chat/model", "Model", "Automatic", settings)
    qtbot.addWidget(chooser)
    chooser.show()
    return chooser


def labels(chooser: Chooser) -> list[str]:
    return [chooser.itemText(row) for row in range(chooser.count())]


def field(chooser: Chooser) -> QLineEdit:
    edit = chooser.lineEdit()
    assert edit is not None
    return edit


# --- A chooser by itself ---


def test_before_there_is_a_list_there_is_the_first_row(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    assert (labels(chooser), chooser.value) == (["Automatic"], None)
    assert chooser.accessibleName() == "Model"


def test_a_choice_is_remembered(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    with qtbot.waitSignal(chooser.chosen):
        qtbot.keyClick(chooser, Qt.Key.Key_Down)
    assert chooser.value == "p/one"
    again = make(qtbot, settings)
    assert (labels(again), again.value) == (["Automatic", "p/one"], "p/one")
    again.set_choices(CHOICES)
    assert labels(again) == ["Automatic", "One (p)", "Two (p)"]
    assert (again.value, again.currentText()) == ("p/one", "One (p)")


def test_the_first_row_forgets_the_choice(qtbot: QtBot, settings: QSettings) -> None:
    settings.setValue("chat/model", "p/two")
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    for _ in range(2):
        qtbot.keyClick(chooser, Qt.Key.Key_Up)
    assert chooser.value is None
    assert make(qtbot, settings).value is None


def test_a_choice_that_is_not_there_any_more_is_not_made(qtbot: QtBot, settings: QSettings) -> None:
    settings.setValue("chat/model", "p/gone")
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    assert (chooser.value, chooser.currentText()) == (None, "Automatic")


def test_any_part_of_a_name_finds_it(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    field(chooser).selectAll()
    qtbot.keyClicks(field(chooser), "wo (")
    completer = chooser.completer()
    assert completer is not None
    popup = completer.popup()
    assert popup is not None
    assert completer.completionCount() == 1
    qtbot.waitUntil(popup.isVisible, timeout=PATIENCE)
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert chooser.value == "p/two"


def test_what_is_typed_and_names_nothing_changes_nothing(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    field(chooser).setText("no such model")
    field(chooser).editingFinished.emit()
    assert (chooser.value, chooser.currentText(), chooser.count()) == (None, "Automatic", 3)


def test_what_is_said_about_a_choice_is_no_html(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    assert chooser.itemData(2, Qt.ItemDataRole.ToolTipRole) == "<qt>&lt;b&gt;p/two&lt;/b&gt;</qt>"
    assert chooser.itemData(2, Qt.ItemDataRole.UserRole) is None


def test_thousands_of_models_are_there_at_once(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    choices = [Choice(f"p/{number}", f"Model {number}") for number in range(5_000)]
    began = time.thread_time()
    chooser.set_choices(choices)
    assert time.thread_time() - began < 0.05
    assert chooser.count() == 5_001
    assert chooser.sizeHint().width() < 400


OTHERS = [Choice("p/one", "One (p)"), Choice("p/three", "Three (p)")]


def test_what_is_being_typed_is_left_alone_when_the_list_is_read_again(
    qtbot: QtBot, settings: QSettings
) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    field(chooser).selectAll()
    qtbot.keyClicks(field(chooser), "One (")
    completer = chooser.completer()
    assert completer is not None
    popup = completer.popup()
    assert popup is not None
    qtbot.waitUntil(popup.isVisible, timeout=PATIENCE)
    chooser.set_choices([])
    chooser.set_choices(OTHERS)
    assert (chooser.currentText(), popup.isVisible()) == ("One (", True)
    qtbot.keyClick(popup, Qt.Key.Key_Escape)
    chooser.set_choices(OTHERS)
    assert chooser.currentText() == "One ("
    field(chooser).editingFinished.emit()
    qtbot.waitUntil(lambda: labels(chooser) == ["Automatic", "One (p)", "Three (p)"])
    assert (chooser.value, chooser.currentText()) == (None, "Automatic")


def test_an_open_list_stays_as_it_is_until_it_is_closed(qtbot: QtBot, settings: QSettings) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    chooser.showPopup()
    view = chooser.view()
    qtbot.waitUntil(view.isVisible, timeout=PATIENCE)
    view.setCurrentIndex(view.model().index(2, 0))
    chooser.set_choices(OTHERS)
    assert (view.currentIndex().data(), labels(chooser)[2]) == ("Two (p)", "Two (p)")
    chooser.hidePopup()
    qtbot.waitUntil(lambda: labels(chooser)[2:] == ["Three (p)"], timeout=PATIENCE)


@pytest.mark.parametrize(("row", "value"), [(1, "p/one"), (2, None)])
def test_what_is_chosen_from_an_old_list_is_what_was_seen_there(
    qtbot: QtBot, settings: QSettings, row: int, value: str | None
) -> None:
    chooser = make(qtbot, settings)
    chooser.set_choices(CHOICES)
    heard = []
    chooser.chosen.connect(lambda: heard.append(chooser.value))
    chooser.showPopup()
    view = chooser.view()
    qtbot.waitUntil(view.isVisible, timeout=PATIENCE)
    view.setCurrentIndex(view.model().index(row, 0))
    chooser.set_choices(OTHERS)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: labels(chooser)[2:] == ["Three (p)"], timeout=PATIENCE)
    assert heard == [CHOICES[row - 1].value]
    assert chooser.value == value  # of which there may be none any more


# --- What is offered ---


def test_models_are_sorted_by_provider_and_name() -> None:
    models = [
        OcModelInfo(id="z", name="Alpha", provider_id="p"),
        OcModelInfo(id="y", provider_id="p"),
        OcModelInfo(id="x", name="Zeta", provider_id="b"),
    ]
    assert model_choices(IpcModelList(models=models)) == [
        Choice("b/x", "Zeta (b)", "b/x"),
        Choice("p/z", "Alpha (p)", "p/z"),
        Choice("p/y", "y (p)", "p/y"),
    ]


def test_hidden_agents_and_those_below_are_not_offered() -> None:
    agents = [
        OcAgentInfo(name="build", mode="primary", description="Builds"),
        OcAgentInfo(name="general", mode="subagent"),
        OcAgentInfo(name="title", mode="primary", hidden=True),
        OcAgentInfo(name="both", mode="all"),
    ]
    assert agent_choices(agents) == [Choice("build", "build", "Builds"), Choice("both", "both")]


def test_what_could_not_be_sent_is_not_offered_nor_anything_twice() -> None:
    agents = [
        OcAgentInfo(name="", mode="primary"),
        OcAgentInfo(name=" \n", mode="primary"),
        OcAgentInfo(name="build", mode="primary", description="Builds"),
        OcAgentInfo(name="build", mode="primary", description="Again"),
    ]
    assert agent_choices(agents) == [Choice("build", "build", "Builds")]
    models = [
        OcModelInfo(id="x", provider_id=" "),
        OcModelInfo(id="", name="Nameless", provider_id="p"),
        OcModelInfo(id="x", provider_id="p"),
        OcModelInfo(id="x", name="Again", provider_id="p"),
    ]
    assert model_choices(IpcModelList(models=models)) == [Choice("p/x", "x (p)", "p/x")]


# --- In the pane ---


def test_what_is_chosen_is_what_is_asked(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    qtbot.waitUntil(lambda: pane.models.count() == 3, timeout=PATIENCE)
    qtbot.waitUntil(lambda: pane.agents.count() == 3, timeout=PATIENCE)
    write(pane, "with what there is")
    first = backend.run().request
    assert [first.HasField(name) for name in ("model_id", "agent")] == [False, False]
    backend.end_runs()
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    for _ in range(2):
        qtbot.keyClick(pane.models, Qt.Key.Key_Down)
        qtbot.keyClick(pane.agents, Qt.Key.Key_Down)
    write(pane, "with these")
    second = backend.run(1).request
    assert (second.provider_id, second.model_id, second.agent) == ("stub", "stub-2", "plan")


def test_without_a_model_that_can_be_used_the_pane_says_what_to_do(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.models = []
    show()
    pane.reload()
    qtbot.waitUntil(lambda: "opencode auth login" in pane.notice.text, timeout=PATIENCE)
    backend.models = [("stub-1", "Stub One")]
    pane.notice.retry.click()
    qtbot.waitUntil(lambda: not pane.notice.isVisible(), timeout=PATIENCE)


def test_lists_that_cannot_be_had_do_not_hinder(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    asked = []

    def fail() -> IpcModelList:
        asked.append("models")
        raise OSError("of the test")

    backend.script["list_models"] = fail
    show()
    pane.reload()
    qtbot.waitUntil(lambda: bool(asked), timeout=PATIENCE)
    settled(qtbot, pane)
    write(pane, "Hi")
    assert backend.run().request.text == "Hi"
    assert not pane.notice.isVisible()


def test_in_a_narrow_window_it_can_be_read_that_the_choice_is_automatic(
    pane: ChatPane, show: Open
) -> None:
    show()
    pane.resize(pane.minimumSizeHint().width(), 600)
    QApplication.processEvents()
    assert pane.width() < 420
    for chooser in (pane.models, pane.agents):
        edit = chooser.lineEdit()
        assert edit is not None
        assert edit.text() in ("Model: auto", "Agent: auto")
        assert edit.fontMetrics().horizontalAdvance(edit.text()) < edit.width()


def test_a_backend_without_models_offers_none_and_counts_nothing(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    qtbot.waitUntil(lambda: pane.models.count() == 3, timeout=PATIENCE)
    QApplication.processEvents()
    offered = (pane.models, pane.agents, pane.usage)
    assert all(each.isVisible() for each in offered)
    place = pane.send_button.geometry()
    backend.refuses = True
    pane.reload()
    qtbot.waitUntil(lambda: not pane.models.isVisible(), timeout=PATIENCE)
    assert not any(each.isVisible() for each in offered)
    pane.resize(pane.width() + 1, pane.height())  # which has the figures' place looked at again
    pane.resize(pane.width() - 1, pane.height())
    assert not pane.usage.isVisible()
    QApplication.processEvents()
    assert pane.send_button.width() == place.width()
    assert pane.send_button.x() == place.x()
    backend.refuses = False
    pane.notice.retry.click()
    qtbot.waitUntil(lambda: all(each.isVisible() for each in offered), timeout=PATIENCE)

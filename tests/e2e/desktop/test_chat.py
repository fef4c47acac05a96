"""The chat pane on a real OpenCode: what the user does, and what OpenCode then has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QPlainTextEdit
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.choosers import Chooser
from opencode_sync.desktop.chat.folds import ReasoningView, ToolView
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import OcSessionInfo
from tests.desktop.chat.panes import PATIENCE, end, settled, texts, wait_form, write
from tests.e2e.client.asking import BASH, OUTSIDE, QUESTION, Asked
from tests.e2e.desktop.conftest import OpenPane
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import Gate, StubModel
from tests.support.leaks import eventually

pytestmark = pytest.mark.e2e

HELLO = "Hello from the stub model."


@pytest.fixture
def asked(server: RealServer, chosen: OcSessionInfo) -> Asked:
    """The session as OpenCode itself has it."""
    return Asked(server, chosen.id)


@pytest.fixture
def gate(stub: StubModel, request: pytest.FixtureRequest) -> Iterator[Gate]:
    gate = stub.gate(request.node.name)
    yield gate
    gate.let(1_000)


@pytest.fixture
def held(gate: Gate, request: pytest.FixtureRequest) -> str:
    """A prompt whose five words wait for the gate."""
    return f"[[words:5]] [[gate:{request.node.name}]]"


def wait_idle(qtbot: QtBot, pane: ChatPane) -> None:
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=2 * PATIENCE)
    settled(qtbot, pane)


def ask(qtbot: QtBot, pane: ChatPane, text: str) -> None:
    """Send, and wait for the end."""
    write(pane, text)
    wait_idle(qtbot, pane)


def tool_waits(pane: ChatPane) -> bool:
    """Whether the only tool call says that it waits for the user."""
    folds = pane.findChildren(ToolView)
    return [each.handle.text().endswith("waiting for you") for each in folds] == [True]


def test_the_answer_is_drawn_while_it_is_written(
    qtbot: QtBot, shown: ChatPane, asked: Asked, gate: Gate, held: str
) -> None:
    write(shown, held)
    for number in range(5):
        assert gate.reached.acquire(timeout=60)
        gate.let()
        if number < 4:
            words = " ".join(f"w{each}" for each in range(number + 1))
            qtbot.waitUntil(lambda: texts(shown)[1:] == [words], timeout=PATIENCE)  # noqa: B023
            assert shown.stop_button.isVisible()
    wait_idle(qtbot, shown)
    assert texts(shown)[1:] == ["w0 w1 w2 w3 w4"] == [asked.text()]


def test_the_history_is_what_was_seen_while_it_happened(
    qtbot: QtBot, shown: ChatPane, settings: QSettings, gateway: Gateway, chosen: OcSessionInfo
) -> None:
    """Two prompts with reasoning and a tool, read again by another window."""
    ask(qtbot, shown, f"[[think:one two]] {BASH}")
    ask(qtbot, shown, "[[say:**Bold** words]]")
    lived = texts(shown)
    assert lived[-1] == "Bold words"
    service = Service(IpcConfig(gateway.port, gateway.auth_token))
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        service.start()
    other = ChatPane(service, settings=settings)
    other.show_session(chosen)
    settled(qtbot, other)
    assert texts(other) == lived
    assert other.usage.text() in shown.usage.text()
    assert len(other.findChildren(ToolView)) == len(shown.findChildren(ToolView)) == 1
    assert len(other.findChildren(ReasoningView)) == len(shown.findChildren(ReasoningView)) == 1
    end(other, service)


def test_a_tool_call_is_folded_and_holds_its_input_and_output(
    qtbot: QtBot, shown: ChatPane
) -> None:
    ask(qtbot, shown, BASH)
    (fold,) = shown.findChildren(ToolView)
    assert fold.handle.text().startswith("bash: ")
    assert fold.handle.text().endswith("done")
    assert not fold.is_open
    fold.handle.click()
    given, came = fold.findChildren(QPlainTextEdit)
    assert "echo from the shell" in given.toPlainText()
    assert "from the shell" in came.toPlainText()


def test_escape_aborts_the_run_in_opencode_too(
    qtbot: QtBot, shown: ChatPane, asked: Asked, gate: Gate, held: str
) -> None:
    write(shown, held)
    assert gate.reached.acquire(timeout=60)
    gate.let()
    qtbot.waitUntil(lambda: texts(shown)[1:] == ["w0"], timeout=PATIENCE)
    shown.composer.setFocus()
    qtbot.keyClick(shown.composer, Qt.Key.Key_Escape)
    wait_idle(qtbot, shown)
    assert asked.ends()
    assert texts(shown)[1:] == ["w0"]
    assert shown.history.views[1].labels[2].text() == "Stopped"
    ask(qtbot, shown, "and again")
    assert texts(shown)[-1] == HELLO


@pytest.mark.parametrize(("button", "result"), [("once", "done"), ("reject", "failed")])
def test_a_permission_is_given_or_not_by_a_button(
    qtbot: QtBot, shown: ChatPane, asked: Asked, button: str, result: str
) -> None:
    write(shown, OUTSIDE)
    form = wait_form(qtbot, shown, PermissionForm)
    assert "/etc" in form.findChildren(QPlainTextEdit)[0].toPlainText()
    assert len(asked.pending("permission")) == 1
    qtbot.waitUntil(lambda: tool_waits(shown), timeout=PATIENCE)
    getattr(form, button).click()
    wait_idle(qtbot, shown)
    assert asked.pending("permission") == []
    assert shown.questions.form is None
    (fold,) = shown.findChildren(ToolView)
    assert fold.handle.text().endswith(result)
    assert shown.run_bar.text == (
        "The run ended by what you rejected." if button == "reject" else ""
    )


def test_the_models_question_is_answered_by_a_choice(
    qtbot: QtBot, shown: ChatPane, asked: Asked
) -> None:
    write(shown, QUESTION)
    form = wait_form(qtbot, shown, QuestionForm)
    qtbot.waitUntil(lambda: tool_waits(shown), timeout=PATIENCE)
    form.items[0].buttons[1].click()
    form.answer.click()
    wait_idle(qtbot, shown)
    assert asked.pending("question") == []
    assert "B" in texts(shown)[-1]


def test_questions_that_are_not_shown_are_for_the_model_without_an_answer(
    qtbot: QtBot, shown: ChatPane, asked: Asked
) -> None:
    """OpenCode takes the empty list for them, and tells the model of each."""
    options = [{"label": "A", "description": "first"}, {"label": "B", "description": "second"}]
    questions = [
        {"question": f"Number {number}?", "header": f"Q{number}", "options": options}
        for number in range(22)
    ]
    write(shown, f"[[tool:question {json.dumps({'questions': questions})}]]")
    form = wait_form(qtbot, shown, QuestionForm)
    assert len(form.items) == 20
    for item in form.items:
        item.buttons[1].click()
    form.answer.click()
    wait_idle(qtbot, shown)
    assert asked.pending("question") == []
    assert texts(shown)[-1].count("B") == 20
    assert texts(shown)[-1].count("Unanswered") == 2


def test_a_run_that_fails_says_why_and_a_retry_is_told(qtbot: QtBot, shown: ChatPane) -> None:
    ask(qtbot, shown, "[[401]]")
    failed = shown.history.views[-1].labels[2].text()
    assert "credentials" in failed
    assert "401" in failed
    assert "401" not in shown.run_bar.text
    write(shown, "[[429-once:1]] [[say:after all]]")
    qtbot.waitUntil(lambda: "Try 2" in shown.run_bar.text, timeout=PATIENCE)
    wait_idle(qtbot, shown)
    assert texts(shown)[-1] == "after all"


def test_models_agents_cost_and_tokens(qtbot: QtBot, shown: ChatPane, asked: Asked) -> None:
    def choose(chooser: Chooser, label: str) -> None:
        qtbot.waitUntil(lambda: chooser.findText(label) > 0, timeout=PATIENCE)
        chooser.setCurrentIndex(chooser.findText(label))
        chooser.activated.emit(chooser.currentIndex())

    choose(shown.models, "Stub Two (stub)")
    choose(shown.agents, "plan")
    ask(qtbot, shown, "Hi")
    (own,) = asked.answers()
    assert (own["info"]["modelID"], own["info"]["agent"]) == ("stub-2", "plan")
    assert shown.history.views[1].labels[1].text() == "stub/stub-2 · plan"
    assert "100 in, 20 out" in shown.usage.text()


def test_a_run_goes_on_while_another_session_is_shown(
    qtbot: QtBot,
    shown: ChatPane,
    chosen: OcSessionInfo,
    server: RealServer,
    gate: Gate,
    held: str,
) -> None:
    write(shown, held)
    assert gate.reached.acquire(timeout=60)
    other = OcSessionInfo(id=server.create("Another"), title="Another")
    shown.show_session(other)
    settled(qtbot, shown)
    write(shown, "[[say:elsewhere]]")
    qtbot.waitUntil(lambda: shown.running_sessions == (chosen.id,), timeout=PATIENCE)
    settled(qtbot, shown)
    assert texts(shown)[-1] == "elsewhere"
    shown.show_session(chosen)
    assert shown.stop_button.isVisible()
    gate.let(1_000)
    wait_idle(qtbot, shown)
    assert texts(shown)[-1] == "w0 w1 w2 w3 w4"


def test_closing_during_a_run_aborts_it_and_leaves_nothing_behind(
    nothing_left: None,
    qtbot: QtBot,
    server: RealServer,
    settings: QSettings,
    asked: Asked,
    chosen: OcSessionInfo,
    gate: Gate,
    held: str,
) -> None:
    """The gateway is the test's own as well: a shared one keeps connections for others."""
    with Gateway(OpenCodeBackend(server.url)) as gateway:
        service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
        with qtbot.waitSignal(service.connected, timeout=PATIENCE):
            service.start()
        pane = ChatPane(service, settings=settings)
        pane.show()
        pane.show_session(chosen)
        settled(qtbot, pane)
        write(pane, held)
        assert gate.reached.acquire(timeout=60)
        assert asked.runs()
        end(pane, service)
        assert eventually(lambda: not asked.runs(), 60.0)
    gate.let(1_000)


def test_a_window_follows_what_another_one_does(
    qtbot: QtBot, shown: ChatPane, open_pane: OpenPane, chosen: OcSessionInfo, gate: Gate, held: str
) -> None:
    other = open_pane()
    other.show_session(chosen)
    settled(qtbot, other)
    write(other, held)
    assert gate.reached.acquire(timeout=60)
    qtbot.waitUntil(
        lambda: shown.run_bar.text == "Another program is at work in this session…",
        timeout=PATIENCE,
    )
    qtbot.waitUntil(lambda: len(texts(shown)) == 2, timeout=PATIENCE)
    assert "Not finished" not in shown.history.views[-1].labels[-1].text()
    gate.let(5)
    wait_idle(qtbot, other)
    qtbot.waitUntil(lambda: texts(shown)[1:] == ["w0 w1 w2 w3 w4"], timeout=PATIENCE)
    qtbot.waitUntil(lambda: shown.run_bar.text == "", timeout=PATIENCE)
    assert other.run_bar.text == ""

"""Another program's run in the shown session, on a real OpenCode: it is answered, and ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync import IpcClient, IpcConfig, IpcPromptError, PermissionAsked, QuestionAsked
from opencode_sync.desktop.chat.questions import PermissionForm
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import OcSessionInfo
from tests.desktop.chat.panes import PATIENCE, settled, texts, wait_form
from tests.e2e.client.asking import OUTSIDE, QUESTION, Asked
from tests.e2e.desktop.conftest import OpenPane
from tests.e2e.opencode_server import RealServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def other(server: RealServer) -> Iterator[IpcClient]:
    """Another program, with a gateway of its own."""
    with (
        Gateway(OpenCodeBackend(server.url)) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        yield client


def in_a_subagent(prompt: str) -> str:
    inner = prompt.replace('"', '\\"').replace("[", "\\u005b").replace("]", "\\u005d")
    return f'[[tool:task {{"description":"d","prompt":"{inner}","subagent_type":"general"}}]]'


@pytest.mark.parametrize(
    "prompt", [OUTSIDE, in_a_subagent(OUTSIDE)], ids=["of its own", "of its subagent"]
)
def test_its_question_is_answered_by_a_window_that_was_opened_later(
    qtbot: QtBot, open_pane: OpenPane, chosen: OcSessionInfo, other: IpcClient, prompt: str
) -> None:
    with other.stream_prompt(chosen.id, prompt, on_permission="ask") as run:
        asked = next(each for each in run if isinstance(each, PermissionAsked))
        pane = open_pane()
        pane.show_session(chosen)
        form = wait_form(qtbot, pane, PermissionForm)
        assert "/etc" in form.about.toPlainText()
        assert pane.run_bar.text == "Another program's run waits for an answer"
        assert asked.id in [each.id for each in pane._service.activity.questions_of(chosen.id)]
        qtbot.mouseClick(form.once, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: pane.questions.form is None, timeout=PATIENCE)
        assert run.result(PATIENCE / 1000).finish == "stop"
    qtbot.waitUntil(lambda: pane.run_bar.text == "", timeout=PATIENCE)
    settled(qtbot, pane)
    qtbot.waitUntil(lambda: texts(pane)[-1].startswith("The tool said"), timeout=PATIENCE)


def test_the_button_ends_it(
    qtbot: QtBot,
    open_pane: OpenPane,
    chosen: OcSessionInfo,
    other: IpcClient,
    server: RealServer,
) -> None:
    with other.stream_prompt(chosen.id, QUESTION, on_question="ask") as run:
        next(each for each in run if isinstance(each, QuestionAsked))
        pane = open_pane()
        pane.show_session(chosen)
        qtbot.waitUntil(pane.run_bar.stop_button.isVisible, timeout=PATIENCE)
        qtbot.waitUntil(lambda: pane.questions.form is not None, timeout=PATIENCE)
        qtbot.mouseClick(pane.run_bar.stop_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not pane.run_bar.stop_button.isVisible(), timeout=PATIENCE)
        assert pane.questions.form is None
        with pytest.raises(IpcPromptError) as caught:
            run.result(PATIENCE / 1000)
    assert caught.value.kind == "aborted"
    assert Asked(server, chosen.id).ends()
    settled(qtbot, pane)
    assert pane.run_bar.text == ""

"""Another program's run in the shown session: its questions are answered here, or it is ended."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane, elsewhere
from opencode_sync.desktop.chat import form as forms
from opencode_sync.desktop.chat.folds import ToolView
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.gateway import BackendError
from opencode_sync.types import OcMessage, OcSessionInfo
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, session
from tests.desktop.chat.panes import PATIENCE, settled, texts, wait_form, write
from tests.desktop.chat.said import answer
from tests.desktop.chat.test_low_window import LOW, is_whole
from tests.desktop.chat.told import (
    ELSEWHERE,
    permission,
    question,
    replied,
    status,
    tell,
)
from tests.support import backend as b
from tests.unit.gateway.doubles import Held, Stream

WAITS = "Another program's run waits for an answer"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_PAUSE_MS", 0)
    monkeypatch.setattr(forms, "GUARD_MS", 0)


def wait_no_form(qtbot: QtBot, pane: ChatPane) -> None:
    qtbot.waitUntil(lambda: pane.questions.form is None, timeout=PATIENCE)


def stoppable(qtbot: QtBot, pane: ChatPane, backend: ChatBackend) -> None:
    """Have another program be at work."""
    tell(backend, status(busy=True))
    qtbot.waitUntil(lambda: pane.run_bar.text == ELSEWHERE, timeout=PATIENCE)
    assert pane.run_bar.stop_button.isVisible()
    assert pane.run_bar.stop_button.isEnabled()


# --- What it asks ---


def test_its_permission_is_answered_by_a_button(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    tell(backend, permission("per_7"))
    form = wait_form(qtbot, shown, PermissionForm)
    assert shown.run_bar.text == WAITS
    qtbot.mouseClick(form.always, Qt.MouseButton.LeftButton)
    wait_no_form(qtbot, shown)
    (request,) = backend.replies
    assert (request.permission_id, request.reply, request.directory) == ("per_7", 3, "/project")
    assert shown.run_bar.text == ELSEWHERE
    assert shown.running_sessions == ()


def test_its_question_is_answered_by_a_choice(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, question("que_7"))
    form = wait_form(qtbot, shown, QuestionForm)
    form.items[0].buttons[1].click()
    form.answer.click()
    wait_no_form(qtbot, shown)
    (request,) = backend.replies
    assert (request.question_id, request.directory) == ("que_7", "/project")
    assert [list(each.labels) for each in request.answers] == [["blue"]]


def test_what_waits_already_is_shown_with_the_session(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_7", "ses_2"))
    qtbot.waitUntil(lambda: bool(shown._service.activity.waiting), timeout=PATIENCE)
    assert shown.questions.form is None
    shown.show_session(session("ses_2"))
    assert isinstance(shown.questions.form, PermissionForm)
    assert shown.run_bar.text == WAITS
    shown.show_session(session())
    assert shown.questions.form is None


def test_what_its_subagents_ask_is_shown_as_well(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(session_id: str, *, deadline: Any) -> OcSessionInfo:
        parent_id = "ses_1" if session_id == "ses_child" else ""
        return OcSessionInfo(id=session_id, parent_id=parent_id)

    monkeypatch.setattr(backend, "get_session", get)
    tell(backend, permission("per_7", "ses_child"))
    wait_form(qtbot, shown, PermissionForm).once.click()
    wait_no_form(qtbot, shown)
    assert backend.replies[0].permission_id == "per_7"


def test_what_was_answered_elsewhere_goes(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    tell(backend, permission("per_2"))
    form = wait_form(qtbot, shown, PermissionForm)
    tell(backend, replied("per_1"))
    qtbot.waitUntil(lambda: shown.questions.form is not form, timeout=PATIENCE)
    assert isinstance(shown.questions.form, PermissionForm)
    tell(backend, status(busy=False))
    wait_no_form(qtbot, shown)
    assert backend.replies == []


def test_what_the_other_program_answers_at_once_is_not_shown(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    """Or the buttons would come and go under somebody's hand."""
    talk = shown._talks.shown
    assert talk is not None
    talk.elsewhere._pause.setInterval(PATIENCE)
    with qtbot.waitSignal(shown._service.activity.changed, timeout=PATIENCE):
        tell(backend, permission("per_1"))
    qtbot.waitUntil(lambda: shown.run_bar.text == ELSEWHERE, timeout=PATIENCE)
    assert talk.elsewhere._pause.isActive()
    tell(backend, replied("per_1"))
    qtbot.waitUntil(lambda: shown.run_bar.text != ELSEWHERE, timeout=PATIENCE)
    talk.elsewhere._pause.timeout.emit()
    assert shown.questions.form is None


def test_an_answer_that_comes_too_late_is_told_and_not_asked_for_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def refuse(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "there is no such question")

    backend.script["reply_permission"] = refuse
    tell(backend, permission())
    form = wait_form(qtbot, shown, PermissionForm)
    with qtbot.waitSignal(shown.failed, timeout=PATIENCE) as failed:
        form.once.click()
    assert "no such question" in str(failed.args[0])
    assert shown.questions.form is None
    assert shown._service.activity.waiting == frozenset()


def test_a_call_of_its_that_waits_says_so(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    calling = answer("msg_1", "Let me see")
    tool = calling.assistant.parts.add().tool
    tool.id, tool.name, tool.call_id = "prt_1", "bash", "call_1"
    tool.state.running.SetInParent()
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), calling]
    tell(backend, status(busy=True))
    tell(backend, permission())
    qtbot.waitUntil(lambda: bool(shown.findChildren(ToolView)), timeout=PATIENCE)
    (fold,) = shown.findChildren(ToolView)
    qtbot.waitUntil(lambda: fold.handle.text().endswith("waiting for you"), timeout=PATIENCE)


def test_its_questions_leave_the_keyboard_in_the_message_box(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    shown.composer.setFocus()
    tell(backend, permission())
    form = wait_form(qtbot, shown, PermissionForm)
    assert shown.focusWidget() is shown.composer
    qtbot.keyClick(shown.composer, Qt.Key.Key_Tab)
    assert shown.focusWidget() is form.about


def test_a_question_of_its_is_still_there_while_our_own_run_waits_behind_it(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    tell(backend, permission("per_1"))
    form = wait_form(qtbot, shown, PermissionForm)
    form.why.setText("half a sen")
    write(shown, "And then")
    run = backend.run()
    run.push(b.permission_asked("per_2"), b.permission_asked("per_1"))
    talk = shown._talks.shown
    assert talk is not None
    qtbot.waitUntil(lambda: len(talk.questions.items) == 2, timeout=PATIENCE)
    assert shown.questions.form is form
    assert shown.run_bar.text == "Waiting for your answer"


def test_what_was_answered_or_ended_here_is_not_asked_again_by_late_events(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    write(shown, "Hi")
    run = backend.run()
    run.push(b.permission_asked("per_1"))
    wait_form(qtbot, shown, PermissionForm).once.click()
    wait_no_form(qtbot, shown)
    run.push(b.permission_asked("per_2"))
    wait_form(qtbot, shown, PermissionForm)
    shown.stop()
    assert shown.questions.form is None
    talk = shown._talks.shown
    assert talk is not None
    for each in ("per_1", "per_2", "per_3"):
        tell(backend, permission(each))
    qtbot.waitUntil(lambda: bool(talk.elsewhere.questions), timeout=PATIENCE)
    assert [each.id for each in talk.questions.items] == ["per_3"]


def test_closing_asks_nothing_about_runs_of_others(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    tell(backend, permission())
    wait_form(qtbot, shown, PermissionForm)
    assert shown.may_close(lambda: None)


# --- Ending it ---


def test_the_button_ends_it_and_says_whose_it_is(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    held = backend.script["abort_session"] = Held(True)
    stoppable(qtbot, shown, backend)
    assert "another program" in shown.run_bar.stop_button.toolTip()
    assert shown.run_bar.stop_button.accessibleName() == "Stop another program's run"
    shown.composer.setPlainText("And then")
    assert shown.send_button.isEnabled()
    qtbot.mouseClick(shown.run_bar.stop_button, Qt.MouseButton.LeftButton)
    held.wait_entered()
    assert shown.run_bar.text == "Stopping another program's run…"
    assert not shown.run_bar.stop_button.isEnabled()
    assert not shown.send_button.isEnabled()  # or that run might be ended as well
    shown.stop()  # once is enough
    held.released.set()
    tell(backend, status(busy=False))
    qtbot.waitUntil(lambda: not shown.run_bar.stop_button.isVisible(), timeout=PATIENCE)
    qtbot.waitUntil(shown.send_button.isEnabled, timeout=PATIENCE)
    assert backend.calls.count(("abort_session", "ses_1")) == 1
    write(shown, "And then")
    backend.run()
    assert shown.stop_button.isVisible()
    assert not shown.run_bar.stop_button.isVisible()


def test_why_it_was_not_ended_is_told_until_it_does_not_matter(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def refuse(session_id: str) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "the server is not well")

    backend.script["abort_session"] = refuse
    stoppable(qtbot, shown, backend)
    shown.stop()
    qtbot.waitUntil(lambda: "the server is not well" in shown.run_bar.text, timeout=PATIENCE)
    assert shown.run_bar.text.startswith(f"{ELSEWHERE} · It was not stopped: ")
    assert shown.run_bar.stop_button.isEnabled()
    tell(backend, status(busy=False))
    qtbot.waitUntil(lambda: shown.run_bar.text == "", timeout=PATIENCE)
    tell(backend, status(busy=True))
    qtbot.waitUntil(lambda: shown.run_bar.text == ELSEWHERE, timeout=PATIENCE)


def test_a_failure_that_comes_after_its_end_is_not_told(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    stoppable(qtbot, shown, backend)
    talk = shown._talks.shown
    assert talk is not None
    held = backend.script["abort_session"] = Held(True)
    shown.stop()
    held.wait_entered()
    tell(backend, status(busy=False))
    qtbot.waitUntil(lambda: not talk.elsewhere.active, timeout=PATIENCE)
    talk.elsewhere._stop_ended("ses_1", TimeoutError("of the test"))
    assert talk.elsewhere.stop_error is None
    assert shown.run_bar.text in ("", "Loading messages…")
    held.released.set()


def test_where_nobody_is_at_work_nothing_is_ended(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    shown.stop()
    assert shown._service.client.list_sessions() is not None  # answered after it
    assert "abort_session" not in [call[0] for call in backend.calls]


def test_leaving_its_session_while_it_is_being_ended(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    held = backend.script["abort_session"] = Held(True)
    stoppable(qtbot, shown, backend)
    shown.stop()
    held.wait_entered()
    shown.show_session(session("ses_2"))
    held.released.set()
    settled(qtbot, shown)
    assert shown.run_bar.text == ""


def test_coming_back_while_it_is_being_ended_nothing_is_sent_that_would_be_ended_as_well(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    held = backend.script["abort_session"] = Held(True)
    stoppable(qtbot, shown, backend)
    shown.stop()
    held.wait_entered()
    shown.composer.setPlainText("mine")
    shown.show_session(session("ses_2"))
    shown.show_session(session())
    settled(qtbot, shown)
    assert shown.run_bar.text == "Stopping another program's run…"
    assert not shown.send_button.isEnabled()
    assert not shown.run_bar.stop_button.isEnabled()
    shown.stop()
    shown.send()
    assert (shown.running_sessions, shown.composer.text) == ((), "mine")
    held.released.set()
    qtbot.waitUntil(shown.send_button.isEnabled, timeout=PATIENCE)
    assert [call[0] for call in backend.calls].count("abort_session") == 1


def test_closing_the_window_while_it_is_being_ended(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    held = backend.script["abort_session"] = Held(True)
    stoppable(qtbot, shown, backend)
    shown.stop()
    shown._talks._aborts.begin("ses_1")  # once is enough
    held.wait_entered()
    shown.shutdown()
    held.released.set()
    with qtbot.waitSignal(shown._service.latency_changed, timeout=PATIENCE):
        shown._service._measure()
    assert [call[0] for call in backend.calls].count("abort_session") == 1


def test_escape_leads_back_and_ends_nothing_of_others(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    backend.script["abort_session"] = lambda session_id: pytest.fail("nobody has asked for it")
    stoppable(qtbot, shown, backend)
    shown.composer.setFocus()
    with qtbot.waitSignal(shown.left, timeout=PATIENCE):
        qtbot.keyClick(shown.composer, Qt.Key.Key_Escape)
    assert shown.run_bar.text == ELSEWHERE


def test_the_buttons_and_what_it_asks_have_room_in_a_low_window(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    stoppable(qtbot, shown, backend)
    tell(backend, permission())
    form = wait_form(qtbot, shown, PermissionForm)
    shown.resize(*LOW)
    buttons = (shown.send_button, shown.run_bar.stop_button, form.once, form.reject)
    qtbot.waitUntil(lambda: all(is_whole(each, shown) for each in buttons), timeout=PATIENCE)
    assert (shown.width(), shown.height()) == LOW


def test_a_run_that_went_on_before_the_window_connected_is_shown_at_once(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def subscribe(stream: Stream) -> None:
        stream.sink.opened()
        stream.sink.event(status(busy=True))
        stream.sink.event(permission())

    backend.script["subscribe"] = subscribe
    shown._service.activity.begin()
    wait_form(qtbot, shown, PermissionForm)
    assert shown.run_bar.text == WAITS
    assert shown.run_bar.stop_button.isVisible()
    assert texts(shown) == []

"""The user's half of a question: what is typed and clicked while questions come and go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.activity import feed
from opencode_sync.desktop.chat import ChatPane, elsewhere
from opencode_sync.desktop.chat import form as forms
from opencode_sync.desktop.chat.asked import Questions
from opencode_sync.desktop.chat.drafts import Drafts
from opencode_sync.desktop.chat.form import Form, Stage
from opencode_sync.desktop.chat.questions import PermissionForm, QuestionForm
from opencode_sync.errors import (
    IpcArgumentError,
    IpcCancelledError,
    IpcConnectionError,
    IpcServerError,
    IpcTimeoutError,
)
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.run_events import PermissionAsked
from opencode_sync.types import IpcEvent
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, session
from tests.desktop.chat.panes import PATIENCE, wait_form, write
from tests.desktop.chat.told import permission, question, replied, status, tell
from tests.support import backend as b
from tests.support.leaks import eventually
from tests.unit.gateway.doubles import Held, Stream

ALLOW = 1
KEYS = {"\n": Qt.Key.Key_Return, "\t": Qt.Key.Key_Tab}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_PAUSE_MS", 0)
    monkeypatch.setattr(forms, "GUARD_MS", 0)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms that have come stay guarded until ``lift``."""
    monkeypatch.setattr(forms, "GUARD_MS", PATIENCE)


def lift(qtbot: QtBot, form: Form) -> None:
    """End the guard of a form."""
    form._guard.start(0)
    qtbot.waitUntil(lambda: form.takes_answer, timeout=PATIENCE)


@pytest.fixture
def shown(shown: ChatPane, backend: ChatBackend) -> ChatPane:
    """The same, while another program has that session at work."""
    tell(backend, status(busy=True))
    return shown


def ask(qtbot: QtBot, pane: ChatPane, backend: ChatBackend, *events: IpcEvent) -> Any:
    """Have these be open, and return the form for the first."""
    for each in events:
        tell(backend, each)
    talk = pane._talks.shown
    assert talk is not None
    qtbot.waitUntil(lambda: len(talk.questions.items) == len(events), timeout=PATIENCE)
    return wait_form(qtbot, pane, Form)


def keys(qtbot: QtBot, pane: ChatPane, text: str) -> None:
    """Have them pressed, wherever the keyboard is."""
    for each in text:
        at = pane.window().focusWidget()
        assert at is not None
        if each in KEYS:
            qtbot.keyClick(at, KEYS[each])
        else:
            qtbot.keyClicks(at, each)


def refusal(code: int) -> IpcServerError:
    return IpcServerError("of the test", request_id=1, code=code, operation="reply_permission")


def wait_other(qtbot: QtBot, pane: ChatPane, form: Form) -> None:
    qtbot.waitUntil(lambda: pane.questions.form is not form, timeout=PATIENCE)


# --- What is being typed ---


def test_what_is_typed_as_an_answer_is_never_sent_as_a_prompt(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    shown.composer.setPlainText("a draft")
    form.why.setFocus()
    keys(qtbot, shown, "no, rather ")
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    keys(qtbot, shown, "delete nothing\n")
    assert shown.questions.form is None
    assert (form.why.text(), form.stage) == ("no, rather delete nothing", Stage.OVER)
    assert form.over.isVisible()
    assert not form.once.isVisible()
    assert (backend.runs, backend.replies) == ([], [])
    qtbot.waitUntil(form.move_button.isEnabled, timeout=PATIENCE)
    form.move_button.click()
    assert shown.composer.text == "a draft\n\nno, rather delete nothing"
    assert shown.focusWidget() is shown.composer
    assert not shown.questions.isVisible()


def test_what_was_typed_is_discarded_by_a_button_that_was_not_there_before(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, question("que_1"))
    form.items[0].other.setText("blue")
    form.answer.setFocus()
    tell(backend, status(busy=False))
    wait_other(qtbot, shown, form)
    assert shown.focusWidget() is form.items[0].other  # and not with what comes next
    qtbot.waitUntil(form.discard_button.isEnabled, timeout=PATIENCE)
    form.discard_button.click()
    assert not shown.questions.isVisible()
    assert shown.composer.text == ""
    tell(backend, question("que_1"))
    again = wait_form(qtbot, shown, QuestionForm)
    assert again.items[0].other.text() == ""


def test_what_was_typed_stays_beside_the_next_question(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"), permission("per_2"))
    form.why.setFocus()
    keys(qtbot, shown, "no, use the ")
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    keys(qtbot, shown, "stub\n")
    assert shown.focusWidget() is form.why
    assert form.text == "no, use the stub"
    following = wait_form(qtbot, shown, PermissionForm)
    following.once.click()
    wait_other(qtbot, shown, following)
    assert [(each.permission_id, each.reply) for each in backend.replies] == [("per_2", ALLOW)]
    assert form.isVisible()


def test_a_field_that_goes_empty_leaves_the_keyboard_where_it_does_nothing(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setFocus()
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    keys(qtbot, shown, "no\n")
    assert shown.focusWidget() is shown.history
    assert (shown.composer.text, backend.runs) == ("", [])


def test_a_button_that_goes_leaves_the_keyboard_to_what_is_asked_next_or_the_message(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"), permission("per_2"))
    form.once.setFocus()
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    following = wait_form(qtbot, shown, PermissionForm)
    assert shown.focusWidget() is following.about
    keys(qtbot, shown, " \n")
    tell(backend, replied("per_2"))
    wait_other(qtbot, shown, following)
    assert shown.focusWidget() is shown.composer
    assert backend.replies == []
    form = ask(qtbot, shown, backend, permission("per_3"))
    shown.composer.setPlainText("a draft")
    form.reject.setFocus()
    tell(backend, replied("per_3"))
    wait_other(qtbot, shown, form)
    assert shown.focusWidget() is shown.history  # Enter would send the draft


def test_what_has_begun_waits_for_who_comes_back(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("do it another w")
    shown.show_session(session("ses_2"))
    assert not shown.questions.isVisible()
    shown.show_session(session())
    assert wait_form(qtbot, shown, PermissionForm) is form
    shown.show_session(session("ses_2"))
    tell(backend, replied("per_1"))
    qtbot.waitUntil(lambda: not shown._service.activity.waiting, timeout=PATIENCE)
    shown.show_session(session())
    assert shown.questions.form is None
    assert form.isVisible()
    assert (form.stage, form.text) == (Stage.OVER, "do it another w")


def test_what_was_written_for_a_session_that_is_deleted_is_in_the_next_new_one(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("do it another way")
    form.why.setFocus()
    shown.composer.setPlainText("and a draft")
    shown.forget_session("ses_1")
    assert shown.questions._forms == {}
    keys(qtbot, shown, "no\n")
    assert shown.begin_new()
    assert shown.composer.text == "do it another way\n\nand a draft"


def test_a_choice_that_was_made_waits_until_its_question_is_told_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, question("que_1"))
    form.items[0].buttons[1].click()
    backend.streams[-1].end("the server has ended")
    wait_other(qtbot, shown, form)
    assert not form.isVisible()
    shown._service.activity.begin()
    assert eventually(lambda: len(backend.streams) == 2)
    tell(backend, question("que_0"))
    tell(backend, question("que_1"))
    qtbot.waitUntil(lambda: shown.questions.form is form, timeout=PATIENCE)
    assert form.items[0].answers == ["blue"]


def test_a_loss_of_events_leaves_what_is_being_answered_alone(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setFocus()
    keys(qtbot, shown, "do it ")
    tell(backend, IpcEvent(type="gateway.resubscribed"))
    tell(backend, status("ses_2", busy=True))
    activity = shown._service.activity
    qtbot.waitUntil(lambda: activity.at_work == {"ses_2"}, timeout=PATIENCE)
    assert shown.questions.form is form
    tell(backend, status(busy=True))
    tell(backend, permission("per_1"))
    qtbot.waitUntil(lambda: "ses_1" in activity.at_work, timeout=PATIENCE)
    activity._doubt.timeout.emit()
    keys(qtbot, shown, "otherwise")
    assert shown.questions.form is form
    assert (form.stage, form.why.text()) == (Stage.OPEN, "do it otherwise")


# --- What is clicked ---


def come(qtbot: QtBot, pane: ChatPane, *, but: Form | None = None) -> PermissionForm:
    """Wait for a permission's form, which need not take an answer yet."""
    qtbot.waitUntil(lambda: pane.questions.form not in (None, but), timeout=PATIENCE)
    QApplication.processEvents()
    form = pane.questions.form
    assert isinstance(form, PermissionForm)
    return form


def refuses_all(qtbot: QtBot, form: PermissionForm) -> None:
    for each in (form.once, form.always, form.reject):
        qtbot.mouseClick(each, Qt.MouseButton.LeftButton)
        qtbot.keyClick(each, Qt.Key.Key_Space)
    form.why.setText("for what was there")
    qtbot.keyClick(form.why, Qt.Key.Key_Return)
    assert form.stage is Stage.OPEN
    form.why.clear()


@pytest.mark.usefixtures("guarded")
def test_a_click_that_is_meant_for_the_history_does_not_answer_what_comes_there(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    form = come(qtbot, shown)
    refuses_all(qtbot, form)
    assert backend.replies == []
    lift(qtbot, form)
    qtbot.mouseClick(form.once, Qt.MouseButton.LeftButton)
    wait_other(qtbot, shown, form)
    assert [each.permission_id for each in backend.replies] == ["per_1"]


@pytest.mark.usefixtures("guarded")
def test_a_click_that_is_meant_for_one_question_does_not_answer_the_next(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    tell(backend, permission("per_2"))
    form = come(qtbot, shown)
    lift(qtbot, form)
    at = form.always.mapTo(shown, form.always.rect().center())
    tell(backend, replied("per_1"))
    following = come(qtbot, shown, but=form)
    qtbot.mouseClick(shown.childAt(at), Qt.MouseButton.LeftButton)
    refuses_all(qtbot, following)
    assert backend.replies == []


@pytest.mark.usefixtures("guarded")
def test_what_waits_in_a_session_is_guarded_when_that_is_shown_and_not_when_it_is_shown_already(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    form = come(qtbot, shown)
    form.why.setText("not so")
    lift(qtbot, form)
    shown.show_session(session(title="Another title"))
    tell(backend, permission("per_2"))
    talk = shown._talks.shown
    assert talk is not None
    qtbot.waitUntil(lambda: len(talk.questions.items) == 2, timeout=PATIENCE)
    assert form.takes_answer
    shown.show_session(session("ses_2"))
    shown.show_session(session())  # as it also comes by itself, after a new one that has failed
    assert shown.questions.form is form
    assert not form.takes_answer


@pytest.mark.usefixtures("guarded")
def test_what_nobody_waits_for_is_not_discarded_by_a_click_for_what_was_there(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    form = come(qtbot, shown)
    form.why.setText("not so")
    lift(qtbot, form)
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    form.discard_button.click()
    assert form.isVisible()
    lift_over(qtbot, form)
    shown.show_session(session("ses_2"))
    shown.show_session(session())
    form.discard_button.click()
    assert form.isVisible()
    assert form.text == "not so"


@pytest.mark.usefixtures("guarded")
def test_what_moves_to_the_place_of_what_was_done_with_is_not_answered_by_the_same_click(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, permission("per_1"))
    tell(backend, permission("per_2"))
    form = come(qtbot, shown)
    form.why.setText("not so")
    lift(qtbot, form)
    tell(backend, replied("per_1"))
    following = come(qtbot, shown, but=form)
    lift(qtbot, following)
    lift_over(qtbot, form)
    form.move_button.click()
    refuses_all(qtbot, following)
    assert backend.replies == []


def lift_over(qtbot: QtBot, form: Form) -> None:
    form._guard.start(0)
    qtbot.waitUntil(form.discard_button.isEnabled, timeout=PATIENCE)


@pytest.mark.usefixtures("guarded")
def test_a_guarded_form_takes_the_keyboard_where_it_does_no_harm(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    write(shown, "Hi")
    shown.composer.setFocus()
    backend.run().push(b.permission_asked("per_1"))
    form = come(qtbot, shown)
    assert shown.focusWidget() is form.about
    keys(qtbot, shown, " \n")
    lift(qtbot, form)
    assert shown.focusWidget() is form.about
    keys(qtbot, shown, "\t ")
    wait_other(qtbot, shown, form)
    assert [each.permission_id for each in backend.replies] == ["per_1"]


# --- The window is closed ---


def test_what_was_written_for_an_answer_is_in_its_sessions_draft(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, settings: QSettings
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("rather not")
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    assert form.stage is Stage.OVER
    ask(qtbot, shown, backend, question("que_1")).items[0].other.setText("blue")
    shown.composer.setPlainText("a draft")
    shown.show_session(session("ses_2"))
    tell(backend, permission("per_2", "ses_2"))
    qtbot.waitUntil(lambda: shown.questions.form is not None, timeout=PATIENCE)
    shown.questions.form.fields[0].setText("nor so")
    shown.shutdown()
    drafts = Drafts(settings)
    assert drafts.take("ses_1") == "rather not\n\nblue\n\na draft"
    assert drafts.take("ses_2") == "nor so"


@pytest.mark.parametrize("shows", [True, False])
def test_what_has_got_through_is_not_kept_and_what_is_on_its_way_is(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, settings: QSettings, shows: bool
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("has got through")
    held = backend.script["reply_permission"] = Held(None)
    form.reject.click()
    held.wait_entered()
    shown.show_session(None)
    with qtbot.waitSignal(shown._service.activity.answers.over, timeout=PATIENCE):
        held.released.set()
    shown.show_session(session("ses_2"))
    tell(backend, permission("per_2", "ses_2"))
    form = come(qtbot, shown)
    qtbot.waitUntil(lambda: form.takes_answer, timeout=PATIENCE)
    form.why.setText("on its way")
    held = backend.script["reply_permission"] = Held(None)
    form.reject.click()
    held.wait_entered()
    if not shows:
        shown.show_session(None)
    shown.shutdown()
    held.released.set()
    drafts = Drafts(settings)
    assert (drafts.take("ses_1"), drafts.take("ses_2")) == ("", "on its way")


# --- Answers on their way ---


@pytest.fixture
def held(backend: ChatBackend) -> Iterator[Held]:
    """An answer that takes its time."""
    held = Held(None)
    backend.script["reply_permission"] = held
    yield held
    held.released.set()


def test_one_question_is_answered_once(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, held: Held
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.once.click()
    held.wait_entered()
    talk = shown._talks.shown
    assert talk is not None
    tell(backend, permission("per_2"))
    qtbot.waitUntil(lambda: len(talk.questions.items) == 2, timeout=PATIENCE)
    assert shown.questions.form is form
    assert not form.isEnabled()
    talk.questions.reply_permission(form.asked, "reject")  # as nothing here does
    held.released.set()
    wait_other(qtbot, shown, form)
    assert [each[0] for each in backend.calls].count("reply_permission") == 1
    following = wait_form(qtbot, shown, PermissionForm)
    assert following.asked.id == "per_2"


def test_an_answer_goes_on_its_way_while_another_session_is_shown(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, held: Held
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("not so")
    form.reject.click()
    held.wait_entered()
    shown.show_session(session("ses_2"))
    shown.show_session(session())
    assert shown.questions.form is form
    assert form.stage is Stage.SENT
    held.released.set()
    wait_other(qtbot, shown, form)  # also where no event says that it was taken
    assert shown.questions.form is None
    assert not shown.questions.isVisible()


def test_what_was_written_for_an_answer_that_came_too_late_stays(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def refuse(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "there is no such question")

    backend.script["reply_permission"] = refuse
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("rather not")
    with qtbot.waitSignal(shown.failed, timeout=PATIENCE):
        form.reject.click()
    assert shown.questions.form is None
    assert form.isVisible()
    assert (form.stage, form.text) == (Stage.OVER, "rather not")


def test_an_answer_that_was_refused_for_now_is_asked_for_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def refuse(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "OpenCode is busy, try again")

    backend.script["reply_permission"] = refuse
    form = ask(qtbot, shown, backend, permission("per_1"))
    with qtbot.waitSignal(shown.failed, timeout=PATIENCE) as failed:
        form.once.click()
    assert "try again" in str(failed.args[0])
    assert shown.questions.form is form
    assert form.takes_answer


def why_over(form: Form) -> str:
    """What a form says of the answer for which nobody waits."""
    assert form.stage is Stage.OVER
    return " ".join(each.text() for each in form.over.findChildren(QLabel) if each.isVisible())


NOT_SENT = "Nobody waits for this answer any more. What you wrote was not sent."
UNCLEAR = "It is not known whether this answer arrived. It cannot be sent again."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IpcConnectionError("lost", request_sent=True), UNCLEAR),
        (IpcConnectionError("lost", request_sent=False), NOT_SENT),
        (IpcTimeoutError("late", timeout=1.0, operation="reply", request_sent=True), UNCLEAR),
        (IpcCancelledError("ended", operation="reply", request_sent=False), NOT_SENT),
        (refusal(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR), UNCLEAR),
        (refusal(ipc_pb2.IPC_ERROR_CODE_NO_SERVER), NOT_SENT),
        (refusal(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE), NOT_SENT),
        (IpcArgumentError("too long", field="message"), NOT_SENT),
        (ValueError("of the test"), UNCLEAR),
    ],
)
def test_what_is_said_of_an_answer_is_no_more_than_is_known_of_it(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, held: Held, error: Exception, said: str
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("rather not")
    form.reject.click()
    held.wait_entered()
    answers = shown._service.activity.answers
    answers._calls["per_1"].cancel()
    answers._refused("per_1", error)
    tell(backend, status(busy=False))
    wait_other(qtbot, shown, form)
    assert why_over(form) == said
    assert form.text == "rather not"


def test_an_answer_is_not_said_to_be_unsent_that_the_backend_has(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, gateway: Gateway, held: Held
) -> None:
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("rather not")
    form.reject.click()
    held.wait_entered()
    stopping = threading.Thread(target=gateway.stop, args=(0.1,), name="stop-of-a-test")
    with qtbot.waitSignal(shown.failed, timeout=PATIENCE):
        stopping.start()
    held.released.set()
    stopping.join(PATIENCE / 1000)
    qtbot.waitUntil(lambda: form.stage is Stage.OVER, timeout=PATIENCE)
    assert why_over(form) == UNCLEAR


def test_what_was_written_after_an_answer_whose_end_is_unclear_was_not_sent(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def fail(request: Any) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "it may have been done")

    backend.script["reply_permission"] = fail
    form = ask(qtbot, shown, backend, permission("per_1"))
    form.why.setText("rather not")
    with qtbot.waitSignal(shown.failed, timeout=PATIENCE):
        form.reject.click()
    assert form.stage is Stage.OPEN
    form.why.setText("something else")
    tell(backend, replied("per_1"))
    wait_other(qtbot, shown, form)
    assert why_over(form) == NOT_SENT


# --- Our own run beside another program's ---


def test_a_question_of_anothers_outlives_a_prompt_of_ours_that_was_refused(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_SETTLE_MS", 20)
    form = ask(qtbot, shown, backend, permission("per_1"))
    write(shown, "Mine")
    run = backend.run()
    assert shown.run_bar.text == "Another program's run waits for an answer"
    run.end(b.failed("other", "no"))
    qtbot.waitUntil(lambda: not shown.running_sessions, timeout=PATIENCE)
    assert shown.questions.form is form
    write(shown, "Mine")
    backend.run(1)
    shown.stop()
    qtbot.waitUntil(lambda: not shown.running_sessions, timeout=PATIENCE)
    assert shown.questions.form is form
    assert form.takes_answer


def test_what_our_run_has_asked_is_open_again_if_the_backend_says_so_after_a_crash(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend, gateway: Gateway
) -> None:
    def subscribe(stream: Stream) -> None:
        stream.sink.opened()
        stream.sink.event(status(busy=True))
        stream.sink.event(permission("per_1"))

    write(shown, "Hi")
    backend.run().push(b.permission_asked("per_1"))
    form = wait_form(qtbot, shown, PermissionForm)
    form.why.setText("half a sen")
    backend.script["subscribe"] = subscribe
    ending = threading.Thread(target=gateway.stop, args=(0,), name="crash-of-a-test")
    service = shown._service
    with qtbot.waitSignal(service.lost, timeout=PATIENCE):
        ending.start()
    ending.join(PATIENCE / 1000)
    second = Gateway(backend, port=gateway.port, auth_token=gateway.auth_token)
    second.start()
    try:
        service.start()
        qtbot.waitUntil(lambda: shown.questions.form is form, timeout=PATIENCE)
        assert (form.stage, form.why.text()) == (Stage.OPEN, "half a sen")
        assert not shown.running_sessions
    finally:
        backend.end_runs()
        service.close()
        assert service.wait_closed(PATIENCE / 1000)
        second.stop(1)


def test_how_a_run_ended_decides_whether_its_questions_are_over(shown: ChatPane) -> None:
    asked = PermissionAsked("per_1", "bash", (), {}, "", "ses_1", "/project")
    questions = Questions(shown._service, "ses_1")
    questions.add(asked)
    questions.clear(unclear=True)
    questions.show_told([asked])
    assert questions.items == [asked]
    questions.add(asked)
    questions.clear()
    assert questions.items == []
    questions.close()


def test_the_end_of_a_connection_is_no_end_of_a_question(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    write(shown, "Hi")
    backend.run().push(b.permission_asked("per_1"))
    form = wait_form(qtbot, shown, PermissionForm)
    talk = shown._talks.shown
    assert talk is not None
    talk._ended(None, IpcConnectionError("of the test", request_sent=True))
    assert shown.questions.form is None
    tell(backend, permission("per_1"))
    wait_other(qtbot, shown, None)
    assert form.asked.id == shown.questions.form.asked.id

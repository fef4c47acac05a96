"""Sending a prompt, and everything that may happen until its run has ended."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.entry import entry_of
from opencode_sync.desktop.chat.folds import ReasoningView, ToolView
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.run_events import MessageUpdate
from opencode_sync.types import OcMessage, OcSessionInfo
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, Open, ScriptedRun, session
from tests.desktop.chat.panes import PATIENCE, settled, texts, write
from tests.desktop.chat.said import answer, with_tool
from tests.desktop.watch import Watch, never_held
from tests.support import backend as b
from tests.unit.gateway.doubles import Held


@pytest.fixture
def run(pane: ChatPane, show: Open, backend: ChatBackend) -> ScriptedRun:
    """A run that was begun by a prompt "Hi"."""
    show()
    write(pane, "Hi")
    return backend.run()


def ran(*said: OcMessage, **fields: Any) -> dict[str, Any]:
    """The end of a run that has said this."""
    made = b.ran(**fields)
    made["run_result"].messages.extend(said)
    return made


def wait_idle(qtbot: QtBot, pane: ChatPane) -> None:
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    settled(qtbot, pane)


# --- Sending ---


def test_enter_sends_and_shift_enter_begins_a_line(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    qtbot.keyClicks(pane.composer, "one")
    qtbot.keyClick(pane.composer, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(pane.composer, "two")
    assert backend.runs == []
    qtbot.keyClick(pane.composer, Qt.Key.Key_Return)
    request = backend.run().request
    assert (request.text, request.session_id) == ("one\ntwo", "ses_1")
    assert pane.composer.text == ""
    settled(qtbot, pane)
    assert texts(pane) == ["one\ntwo"]


def test_the_button_sends_what_is_not_blank(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    pane.composer.setPlainText(" \n")
    assert not pane.send_button.isEnabled()
    pane.send()
    assert pane.composer.text == " \n"
    pane.composer.setPlainText("Hi")
    qtbot.mouseClick(pane.send_button, Qt.MouseButton.LeftButton)
    assert backend.run().request.text == "Hi"


def test_the_field_grows_with_its_text_and_not_for_ever(pane: ChatPane, show: Open) -> None:
    show()
    heights = []
    for lines in (1, 5, 8, 50):
        pane.composer.setPlainText("\n".join(["line"] * lines))
        heights.append(pane.composer.height())
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_without_a_session_nothing_is_sent(pane: ChatPane, backend: ChatBackend) -> None:
    write(pane, "Hi")
    pane.stop()
    pane.reload()
    assert backend.runs == []


def test_questions_are_asked_of_the_user(run: ScriptedRun) -> None:
    assert (run.request.permissions, run.request.questions) == (4, 4)  # ASK
    assert run.request.timeout_seconds >= 3600


def test_a_prompt_waits_until_the_history_is_there(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    go_on = threading.Event()

    def wait(limit: int) -> list[OcMessage]:
        assert go_on.wait(PATIENCE / 1000)
        return [answer("msg_1", "before")]

    backend.script["list_messages"] = wait
    pane.show_session(session())
    write(pane, "Hi")
    assert pane.composer.text == "Hi"
    assert not pane.send_button.isEnabled()
    assert backend.runs == []
    go_on.set()
    qtbot.waitUntil(lambda: bool(backend.runs), timeout=PATIENCE)
    assert backend.run().request.text == "Hi"
    settled(qtbot, pane)
    assert texts(pane) == ["before", "Hi"]


def test_a_prompt_waits_also_while_the_history_is_tried_again(
    qtbot: QtBot, pane: ChatPane, backend: ChatBackend
) -> None:
    def fail(limit: int) -> list[OcMessage]:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "not now")

    backend.script["list_messages"] = fail
    pane.show_session(session())
    qtbot.waitUntil(pane.notice.isVisible, timeout=PATIENCE)
    held = backend.script["list_messages"] = Held([answer("msg_1", "before")])
    pane.notice.retry.click()
    held.wait_entered()
    write(pane, "Hi")
    pane.update_session(session(title="Another title"))
    held.released.set()
    qtbot.waitUntil(lambda: bool(backend.runs), timeout=PATIENCE)
    assert backend.run().request.text == "Hi"


def test_a_prompt_does_not_wait_for_a_history_that_is_read_again(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    go_on = threading.Event()

    def wait(limit: int) -> list[OcMessage]:
        assert go_on.wait(PATIENCE / 1000)
        return [answer("msg_7", "newer")]

    backend.script["list_messages"] = wait
    pane.reload()
    write(pane, "Hi")
    run = backend.run()
    go_on.set()
    run.push(b.delta("Hello"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Hello"], timeout=PATIENCE)
    run.end(ran(answer("msg_1", "Hello")))
    qtbot.waitUntil(lambda: texts(pane) == ["newer"], timeout=PATIENCE)


# --- While it goes on ---


def test_the_answer_grows_as_it_is_written(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    assert pane.stop_button.isVisible()
    assert not pane.send_button.isVisible()
    run.push(b.delta("Hello **you"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Hello **you"], timeout=PATIENCE)
    run.push(b.delta("** there"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Hello you there"], timeout=PATIENCE)
    assert "Working" in pane.run_bar.text
    run.end(ran(answer("msg_1", "Hello you."), user_message_id="msg_0"))
    wait_idle(qtbot, pane)
    assert texts(pane) == ["Hi", "Hello you."]
    assert pane.send_button.isVisible()
    assert not pane.stop_button.isVisible()
    assert not pane.run_bar.isVisible()
    assert "list_messages" not in [call[0] for call in backend.calls[4:]]


def test_a_tool_call_shows_its_status_and_stays_folded(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.push(b.tool_updated("running"))
    qtbot.waitUntil(lambda: bool(pane.findChildren(ToolView)), timeout=PATIENCE)
    (fold,) = pane.findChildren(ToolView)
    assert fold.handle.text() == "bash — running…"
    fold.handle.click()
    assert not fold.copy_button.isVisibleTo(fold)
    run.push(b.tool_updated("completed"))
    qtbot.waitUntil(lambda: "done" in fold.handle.text(), timeout=PATIENCE)
    assert fold.is_open
    assert fold.copy_button.isVisibleTo(fold)


def test_reasoning_that_is_open_grows(qtbot: QtBot, pane: ChatPane, run: ScriptedRun) -> None:
    run.push(b.delta("Let me ", "reasoning"))
    qtbot.waitUntil(lambda: bool(pane.findChildren(ReasoningView)), timeout=PATIENCE)
    (fold,) = pane.findChildren(ReasoningView)
    assert texts(pane) == ["Hi", ""]
    fold.handle.click()
    run.push(b.delta("see", "reasoning"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Let me see"], timeout=PATIENCE)


def test_a_retry_is_told_until_the_answer_goes_on(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.push(b.retry(1, "Too Many Requests"))
    qtbot.waitUntil(lambda: "Too Many Requests · Try 2" in pane.run_bar.text, timeout=PATIENCE)
    run.push(b.retry(2, "Too Many", next_at=1_700_000_000_000))
    qtbot.waitUntil(lambda: "Try 3 at " in pane.run_bar.text, timeout=PATIENCE)
    run.push(b.delta("at last"))
    qtbot.waitUntil(lambda: "Working" in pane.run_bar.text, timeout=PATIENCE)


def test_what_went_missing_is_told_and_the_end_is_whole(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    talk = pane._talks.shown
    assert talk is not None
    talk._miss(7)  # as the dispatcher says it; the gateway would need thousands of events
    assert "7 events came too fast" in pane.run_bar.text
    run.end(ran(answer("msg_1", "All of it.")))
    wait_idle(qtbot, pane)
    assert texts(pane) == ["Hi", "All of it."]


@pytest.mark.parametrize("late", [1, 3])
def test_what_was_told_while_the_session_was_asked_for_is_newer(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend, late: int
) -> None:
    def at(updated: int, title: str) -> OcSessionInfo:
        return session(title=title, time={"created": 1, "updated": updated})

    show()
    write(pane, "Hi")
    held = backend.script["get_session"] = Held(at(late, "late"))
    backend.run().end(ran(answer("msg_1", "Hello")))
    qtbot.waitUntil(lambda: held.entered.acquire(blocking=False), timeout=PATIENCE)
    pane.update_session(at(2, "told since"))
    talk = pane._talks.shown
    assert talk is not None
    call = talk._refresh
    assert call is not None
    held.released.set()
    qtbot.waitUntil(lambda: call.done, timeout=PATIENCE)
    assert pane.title.text() == ("late" if late > 2 else "told since")


def test_cost_and_tokens_of_the_run_and_of_the_session(
    qtbot: QtBot, pane: ChatPane, backend: ChatBackend, show: Open
) -> None:
    before = answer("msg_1", "before", cost=0.5)
    before.assistant.usage.input = 900
    backend.messages = [before]
    show()
    assert pane.usage.text() == "Session: 900 in, 0 out, $0.5000"
    write(pane, "Hi")
    run = backend.run()
    message = answer("msg_2", "Hello", cost=0.25)
    message.assistant.usage.input, message.assistant.usage.output = 10, 3
    message.assistant.usage.cache_read, message.assistant.usage.reasoning = 5, 2
    run.end(ran(message))
    wait_idle(qtbot, pane)
    assert pane.usage.text() == ("Run: 15 in, 5 out, $0.2500 · Session: 915 in, 5 out, $0.7500")


def test_what_the_backend_says_of_the_session_counts_when_it_is_more(
    qtbot: QtBot, pane: ChatPane, backend: ChatBackend, run: ScriptedRun
) -> None:
    backend.cost = 9.0
    run.end(ran(answer("msg_1", "Hello")))
    qtbot.waitUntil(lambda: "$9.0000" in pane.usage.text(), timeout=PATIENCE)


def test_a_second_prompt_waits_for_the_end_of_the_first(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    write(pane, "And then")
    assert pane.composer.text == "And then"
    run.end(ran(answer("msg_1", "Hello")))
    wait_idle(qtbot, pane)
    pane.send()
    assert backend.run(1).request.text == "And then"


def test_a_flood_never_holds_the_window(pane: ChatPane, show: Open, backend: ChatBackend) -> None:
    """Fifteen thousand words, as fast as they can be brought."""
    words = [f"word{number} " + ("\n\n" if number % 50 == 0 else "") for number in range(15_000)]

    def flood(run: ScriptedRun) -> None:
        for word in words:
            run.push(b.delta(word))
        run.end(ran(answer("msg_1", "".join(words))))

    def follow(watch: Watch) -> None:
        pane.forget_session("ses_1")
        show()
        before = len(backend.runs)
        write(pane, "Hi")
        run = backend.run(before)
        source = threading.Thread(target=flood, args=(run,), name="flood-of-a-test")
        source.start()
        watch.until(lambda: not pane.running_sessions and not pane.history.busy)
        source.join(PATIENCE / 1000)
        assert texts(pane)[-1].endswith("word14999")

    never_held(follow)


# --- Stopping ---


def test_escape_stops_and_what_was_said_stays(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    run.push(b.delta("Half a sen"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Half a sen"], timeout=PATIENCE)
    aborted = answer("msg_1", "Half a sen")
    aborted.assistant.error.aborted.name = "MessageAbortedError"
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), aborted]
    pane.composer.setFocus()
    qtbot.keyClick(pane.composer, Qt.Key.Key_Escape)
    assert not pane.stop_button.isEnabled()
    assert pane.run_bar.text == "Stopping…"
    wait_idle(qtbot, pane)
    assert run.aborted.is_set()
    assert texts(pane) == ["Hi", "Half a sen"]
    end = pane.history.views[1].labels[2]
    assert (end.text(), end.font().bold()) == ("Stopped", False)
    assert not pane.run_bar.isVisible()


def test_the_button_stops_a_run_that_has_said_nothing(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    qtbot.mouseClick(pane.stop_button, Qt.MouseButton.LeftButton)
    pane.stop()  # once is enough
    wait_idle(qtbot, pane)
    assert run.aborted.is_set()
    assert pane.run_bar.text == ""


# --- Failing ---


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("rate_limited", "allows no more requests"),
        ("provider_auth", "did not accept the credentials"),
        ("a_new_one", "failed (a_new_one)"),
    ],
)
def test_a_run_that_failed_says_its_kind_and_shows_what_there_is(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend, kind: str, said: str
) -> None:
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), answer("msg_1", "Half")]
    run.end(b.failed(kind, "so it is", "Half", retryable=kind == "rate_limited", status=429))
    wait_idle(qtbot, pane)
    assert said in pane.run_bar.text
    assert "so it is" in pane.run_bar.text
    assert ("may help" in pane.run_bar.text) == (kind == "rate_limited")
    assert texts(pane) == ["Hi", "Half"]
    write(pane, "Again")  # the next one begins with a clean slate
    backend.run(1)
    assert "Working" in pane.run_bar.text


def test_a_lost_connection_ends_the_run_and_keeps_what_there_is(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, gateway: Gateway, backend: ChatBackend
) -> None:
    run.push(b.delta("Half"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "Half"], timeout=PATIENCE)
    stopping = threading.Thread(target=gateway.stop, args=(0.1,), name="stop-of-a-test")
    stopping.start()
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    stopping.join(PATIENCE / 1000)
    assert pane.run_bar.text != ""
    assert texts(pane) == ["Hi", "Half"]


def test_what_was_shown_of_a_lost_answer_stays_until_the_history_has_more(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, gateway: Gateway, backend: ChatBackend
) -> None:
    said = MessageUpdate(OcMessage(user={"id": "msg_0", "session_id": "ses_1"}), "ses_1")
    talk = pane._talks.shown
    assert talk is not None
    talk._take([said])
    run.push(b.delta("Half a"), b.tool_updated("running"))
    qtbot.waitUntil(lambda: bool(pane.findChildren(ToolView)), timeout=PATIENCE)
    stopping = threading.Thread(target=gateway.stop, args=(0.1,), name="stop-of-a-test")
    stopping.start()
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    stopping.join(PATIENCE / 1000)
    prompt = OcMessage(user={"id": "msg_0", "text": "Hi"})

    def read(message: OcMessage) -> str:
        """Have the history say this; returns what is said of the end."""
        talk.reading._ended([entry_of(prompt), entry_of(message)])
        settled(qtbot, pane)
        return pane.history.views[1].labels[2].text()

    stored = answer("msg_1")  # as OpenCode keeps one that it has not finished
    assert "Cut off" in read(stored)
    assert texts(pane) == ["Hi", "Half a"]
    assert pane.findChildren(ToolView)
    assert read(with_tool(answer("msg_1", "Half a l"), output="x")) == ""
    assert texts(pane) == ["Hi", "Half a l"]


def test_an_error_is_told_once_in_words_with_the_details_in_brackets(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun, backend: ChatBackend
) -> None:
    refused = answer("msg_1")
    refused.assistant.error.api.name = "APIError"
    refused.assistant.error.api.message = "bad key"
    refused.assistant.error.api.status = 401
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), refused]
    end = ran(refused, user_message_id="msg_0")
    end["run_result"].failure.kind, end["run_result"].failure.status = "provider_auth", 401
    end["run_result"].failure.message = "bad key"
    end["run_result"].failure.retryable = True
    run.end(end)
    wait_idle(qtbot, pane)
    said = pane.history.views[1].labels[2].text()
    assert said == "The provider did not accept the credentials. (bad key, status 401)"
    assert pane.run_bar.text == "Sending it again may help."


def test_an_error_without_a_message_is_told_below(
    qtbot: QtBot, pane: ChatPane, run: ScriptedRun
) -> None:
    run.end(b.failed("unknown_model", "no such model: x/y"))
    wait_idle(qtbot, pane)
    assert pane.run_bar.text == "There is no such model. (no such model: x/y)"


def test_without_a_thread_for_the_run_the_text_comes_back_and_why(
    qtbot: QtBot,
    pane: ChatPane,
    show: Open,
    backend: ChatBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "before"})]
    show()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        write(pane, "precious words")
    assert pane.composer.text == "precious words"
    assert pane.run_bar.isVisible()
    assert pane.run_bar.text == (
        "The message was not sent: the system has no thread to spare. Sending it again may help."
    )
    assert (pane.running_sessions, backend.runs) == ((), [])
    settled(qtbot, pane)
    assert texts(pane) == ["before"]
    pane.send()
    assert backend.run().request.text == "precious words"
    assert "Working" in pane.run_bar.text


# --- Several sessions ---


def test_a_run_goes_on_while_another_session_is_shown(
    qtbot: QtBot, pane: ChatPane, show: Open, run: ScriptedRun, backend: ChatBackend
) -> None:
    pane.composer.setPlainText("a draft")
    backend.messages = [answer("msg_9", "elsewhere")]
    show(session("ses_2"))
    assert texts(pane) == ["elsewhere"]
    assert (pane.composer.text, pane.running_sessions) == ("", ("ses_1",))
    assert not pane.stop_button.isVisible()
    run.push(b.delta("meanwhile"))
    talk = pane._talks.running["ses_1"]
    qtbot.waitUntil(lambda: len(talk.transcript.entries) == 2, timeout=PATIENCE)
    assert texts(pane) == ["elsewhere"]
    show()
    assert texts(pane) == ["Hi", "meanwhile"]
    assert pane.stop_button.isVisible()
    assert pane.composer.text == "a draft"
    run.push(b.delta(" and now"))
    qtbot.waitUntil(lambda: texts(pane) == ["Hi", "meanwhile and now"], timeout=PATIENCE)


def test_a_run_that_ended_meanwhile_is_in_the_history(
    qtbot: QtBot, pane: ChatPane, show: Open, run: ScriptedRun, backend: ChatBackend
) -> None:
    show(session("ses_2"))
    backend.messages = [OcMessage(user={"id": "msg_0", "text": "Hi"}), answer("msg_1", "Hello")]
    run.end(ran(answer("msg_1", "Hello")))
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)
    show()
    assert texts(pane) == ["Hi", "Hello"]


def test_who_is_busy_is_told(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    said: list[Any] = []
    pane.busy_changed.connect(said.append)
    pane.session_busy_changed.connect(lambda session_id, busy: said.append((session_id, busy)))
    show()
    write(pane, "Hi")
    backend.run(0)
    show(session("ses_2"))
    write(pane, "Ho")
    backend.run(1)
    for each in backend.runs:
        each.end(ran())
        count = len(pane.running_sessions)
        qtbot.waitUntil(lambda: len(pane.running_sessions) < count, timeout=PATIENCE)  # noqa: B023
    started = [("ses_1", True), True, ("ses_2", True)]
    assert said[:3] == started
    assert sorted(map(str, said[3:])) == ["('ses_1', False)", "('ses_2', False)", "False"]
    assert said[-1] is False


# --- The end ---


def test_closing_during_a_run_aborts_it(
    pane: ChatPane, run: ScriptedRun, show: Open, backend: ChatBackend
) -> None:
    """What is left behind is what the fixtures look for."""
    show(session("ses_2"))
    write(pane, "Ho")
    other = backend.run(1)
    pane.shutdown()
    pane.shutdown()
    assert run.aborted.wait(PATIENCE / 1000)
    assert other.aborted.wait(PATIENCE / 1000)
    pane.show_session(session("ses_3"))
    assert pane.running_sessions == ()


def test_a_call_that_ends_after_the_pane_changes_nothing(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait(limit: int) -> list[OcMessage]:
        entered.set()
        assert go_on.wait(PATIENCE / 1000)
        return [with_tool(answer("msg_1", "late"), output="x")]

    backend.script["list_messages"] = wait
    pane.show_session(session())
    assert entered.wait(PATIENCE / 1000)
    pane.shutdown()
    go_on.set()
    pane._service.compute(int, lambda _: None)
    with qtbot.waitSignal(pane._service.latency_changed, timeout=PATIENCE):
        pane._service._measure()
    assert pane.history.views == []


def test_a_connection_that_comes_back_has_everything_read_again(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    backend.messages = [answer("msg_1", "new")]
    backend.models = [("stub-9", "Newer")]
    pane._service.connected.emit()
    qtbot.waitUntil(lambda: texts(pane) == ["new"], timeout=PATIENCE)
    qtbot.waitUntil(lambda: pane.models.itemText(1).startswith("Newer"), timeout=PATIENCE)

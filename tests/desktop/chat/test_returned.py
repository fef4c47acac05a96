"""A prompt of which nobody knows that OpenCode has it is its writer's again: nothing is lost."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.arrival import cannot_have_arrived
from opencode_sync.desktop.chat import ChatPane
from opencode_sync.desktop.chat.drafts import Drafts
from opencode_sync.errors import (
    IpcArgumentError,
    IpcCancelledError,
    IpcConnectionError,
    IpcTimeoutError,
)
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.run_events import MessageUpdate
from opencode_sync.types import OcMessage
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.chat.panes import PATIENCE, settled, texts, write
from tests.desktop.chat.said import answer
from tests.support import backend as b

WORDS = "precious words"
UNSENT = "The message was not sent: there is no connection to the backend now."


def said(text: str, message_id: str = "msg_0") -> OcMessage:
    """What the user said, as OpenCode has it."""
    return OcMessage(user={"id": message_id, "session_id": "ses_1", "text": text})


def wait_idle(qtbot: QtBot, pane: ChatPane) -> None:
    qtbot.waitUntil(lambda: not pane.running_sessions, timeout=PATIENCE)


def wait_back(qtbot: QtBot, pane: ChatPane, text: str = WORDS) -> None:
    """Wait until this is in the box, and no more on the page."""
    qtbot.waitUntil(lambda: pane.composer.text == text, timeout=PATIENCE)
    settled(qtbot, pane)
    assert texts(pane) == []


def lose(qtbot: QtBot, pane: ChatPane, gateway: Gateway) -> None:
    """Have the backend's end of the connection go."""
    stopping = threading.Thread(target=gateway.stop, args=(0.1,), name="stop-of-a-test")
    with qtbot.waitSignal(pane._service.lost, timeout=PATIENCE):
        stopping.start()
    stopping.join(PATIENCE / 1000)


# --- Refused ---


def test_a_prompt_that_nobody_took_comes_back(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    backend.refuses = True
    write(pane, WORDS)
    wait_back(qtbot, pane)
    assert "not served" in pane.run_bar.text


def test_what_was_written_since_stands_after_it_and_goes_on(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    backend.refuses = True
    write(pane, WORDS)
    pane.composer.setPlainText("newer ons")
    pane.composer.moveCursor(pane.composer.textCursor().MoveOperation.End)
    qtbot.keyClick(pane.composer, Qt.Key.Key_Left)
    wait_back(qtbot, pane, f"{WORDS}\n\nnewer ons")
    qtbot.keyClick(pane.composer, "e")
    assert pane.composer.text == f"{WORDS}\n\nnewer ones"


def test_what_was_written_since_in_a_session_out_of_sight_stands_after_it_as_well(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    backend.refuses = True
    write(pane, WORDS)
    pane.composer.setPlainText("newer ones")
    pane.show_session(None)
    wait_idle(qtbot, pane)
    backend.refuses = False
    show()
    assert pane.composer.text == f"{WORDS}\n\nnewer ones"


@pytest.mark.parametrize(
    ("error", "unsent"),
    [
        (IpcConnectionError("lost", request_sent=False), True),
        (IpcConnectionError("lost", request_sent=True), False),
        (IpcTimeoutError("late", timeout=1.0, operation="prompt", request_sent=False), True),
        (IpcCancelledError("stopped", operation="prompt", request_sent=True), False),
        (IpcArgumentError("too long", field="text"), True),
        (ValueError("of the test"), False),
    ],
)
def test_what_cannot_have_arrived_is_known_by_its_error(error: Exception, unsent: bool) -> None:
    assert cannot_have_arrived(error) is unsent


# --- Nobody knows: the session's messages tell ---


def test_one_that_is_not_among_the_messages_after_its_failure_comes_back(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [said(WORDS, "msg_before")]  # the same words, a while ago
    show()
    write(pane, WORDS)
    backend.run().end(b.failed("unknown_model", "no such model"))
    qtbot.waitUntil(lambda: pane.composer.text == WORDS, timeout=PATIENCE)
    settled(qtbot, pane)
    assert texts(pane) == [WORDS]
    assert "no such model" in pane.run_bar.text


@pytest.mark.parametrize("has_it", [True, False])
def test_an_error_in_the_middle_of_it_does_not_say_whether_the_backend_has_it(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend, has_it: bool
) -> None:
    show()
    write(pane, WORDS)
    backend.messages = [said(WORDS)] if has_it else []
    backend.run().fail(BackendError(ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "it broke"))
    wait_idle(qtbot, pane)
    expected = ([WORDS], "") if has_it else ([], WORDS)
    qtbot.waitUntil(lambda: (texts(pane), pane.composer.text) == expected, timeout=PATIENCE)
    settled(qtbot, pane)
    assert (texts(pane), pane.composer.text) == expected


def test_one_that_was_stopped_before_anything_was_seen_of_it_comes_back(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, WORDS)
    pane.stop()
    wait_idle(qtbot, pane)
    wait_back(qtbot, pane)


@pytest.mark.parametrize("told", [True, False])
def test_one_that_was_stopped_and_has_arrived_stays_on_the_page(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend, told: bool
) -> None:
    show()
    write(pane, WORDS)
    run = backend.run()
    talk = pane._talks.shown
    assert talk is not None
    backend.messages = [said(WORDS)]
    if told:
        talk._take([MessageUpdate(said(WORDS), "ses_1")])
    pane.stop()
    wait_idle(qtbot, pane)
    settled(qtbot, pane)
    assert run.aborted.is_set()
    assert (texts(pane), pane.composer.text) == ([WORDS], "")


def test_the_messages_may_be_read_only_after_the_next_prompt(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()

    def fail(limit: int) -> list[OcMessage]:
        raise OSError("of the test")

    backend.script["list_messages"] = fail
    write(pane, WORDS)
    backend.run().end(b.failed("unknown_model"))
    qtbot.waitUntil(pane.notice.isVisible, timeout=PATIENCE)
    assert pane.composer.text == ""
    del backend.script["list_messages"]
    write(pane, "others")
    end = b.ran(user_message_id="msg_1")
    end["run_result"].messages.append(answer("msg_2", "Yes"))
    backend.messages = [said("others", "msg_1"), answer("msg_2", "Yes")]
    backend.run(1).end(end)
    wait_idle(qtbot, pane)
    pane.reload()
    qtbot.waitUntil(lambda: pane.composer.text == WORDS, timeout=PATIENCE)
    settled(qtbot, pane)
    assert texts(pane) == ["others", "Yes"]


def test_after_a_loss_of_the_connection_the_next_one_tells(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend, gateway: Gateway
) -> None:
    show()
    write(pane, WORDS)
    backend.run().push(b.delta("Half"))
    qtbot.waitUntil(lambda: texts(pane) == [WORDS, "Half"], timeout=PATIENCE)
    lose(qtbot, pane, gateway)
    wait_idle(qtbot, pane)
    assert (texts(pane), pane.composer.text) == ([WORDS, "Half"], "")
    following = Gateway(backend, port=gateway.port, auth_token=gateway.auth_token)
    following.start()
    try:
        pane._service.start()
        wait_back(qtbot, pane)
    finally:
        pane._service.close()
        assert pane._service.wait_closed(PATIENCE / 1000)
        following.stop(1)


# --- Without a connection ---


def test_without_a_connection_nothing_is_sent_and_the_text_stays(
    qtbot: QtBot,
    pane: ChatPane,
    show: Open,
    backend: ChatBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would go out when nobody thinks of it any more, and perhaps to another backend."""
    show()
    with monkeypatch.context() as patch:
        patch.setattr(type(pane._service.client), "is_connected", False)
        write(pane, WORDS)
    assert (pane.composer.text, pane.running_sessions) == (WORDS, ())
    assert pane.run_bar.text == UNSENT
    pane._service.connected.emit()
    qtbot.waitUntil(lambda: pane.run_bar.text == "", timeout=PATIENCE)
    assert backend.runs == []
    pane.send()
    assert backend.run().request.text == WORDS


@pytest.mark.parametrize("stopped", [True, False])
def test_one_that_waits_for_a_connection_comes_back_when_it_is_known_that_there_is_none(
    qtbot: QtBot,
    pane: ChatPane,
    show: Open,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    stopped: bool,
) -> None:
    """As in the moment before the window has heard of the loss."""
    show()
    lose(qtbot, pane, gateway)
    with monkeypatch.context() as patch:
        patch.setattr(type(pane._service.client), "is_connected", True)
        write(pane, WORDS)
        if stopped:
            pane.stop()
    pane._service.state_changed.emit(None)  # any
    qtbot.waitUntil(lambda: pane.composer.text == WORDS, timeout=PATIENCE)
    wait_idle(qtbot, pane)
    assert pane.run_bar.text == ("" if stopped else UNSENT)


# --- The end ---


@pytest.mark.parametrize(
    ("told", "kept"), [(False, f"{WORDS}\n\nnewer ones"), (True, "newer ones")]
)
def test_one_of_which_nothing_was_seen_as_the_window_closed_is_there_in_the_next(
    pane: ChatPane,
    show: Open,
    backend: ChatBackend,
    settings: QSettings,
    told: bool,
    kept: str,
) -> None:
    show()
    write(pane, WORDS)
    backend.run()
    pane.composer.setPlainText("newer ones")
    talk = pane._talks.shown
    assert talk is not None
    if told:
        talk._take([MessageUpdate(said(WORDS), "ses_1")])
    pane.shutdown()
    assert Drafts(settings).take("ses_1") == kept


def test_one_whose_end_is_unclear_comes_back_when_its_session_is_left(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, WORDS)
    run = backend.run()
    show(session("ses_2"))
    run.end(b.failed("unknown_model"))
    wait_idle(qtbot, pane)
    show()
    assert pane.composer.text == WORDS


def test_one_to_a_session_that_is_deleted_is_there_in_the_next_new_one(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, WORDS)
    run = backend.run()
    pane.forget_session("ses_1")
    assert run.aborted.wait(PATIENCE / 1000)
    assert pane.begin_new()
    assert pane.composer.text == WORDS

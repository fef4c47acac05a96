"""A session that is being created is shown at once, and what is written meanwhile is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from opencode_sync.gateway import BackendError
from opencode_sync.wire import ipc_pb2
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.chat.panes import PATIENCE, destroy, settled, texts, write
from tests.desktop.chat.said import answer


@pytest.fixture
def usable(qtbot: QtBot, pane: ChatPane) -> ChatPane:
    qtbot.waitUntil(lambda: pane.choices.usable, timeout=PATIENCE)
    return pane


def test_what_is_typed_until_it_is_there_is_in_the_box_and_can_be_sent(
    qtbot: QtBot, usable: ChatPane, backend: ChatBackend
) -> None:
    pane = usable
    assert pane.begin_new()
    pane.take_focus()
    qtbot.keyClicks(pane.focusWidget(), "Hello the")
    assert (pane.composer.text, pane.session_id) == ("Hello the", None)
    assert not pane.send_button.isEnabled()
    assert (pane.title.text(), pane.run_bar.text) == ("New session", "Creating the session…")
    assert (pane.usage.text(), pane.notice.isVisible()) == ("", False)
    pane.show_session(session("ses_9", "The new one"))
    qtbot.keyClicks(pane.focusWidget(), "re")
    assert (pane.title.text(), pane.run_bar.text) == ("The new one", "Loading messages…")
    settled(qtbot, pane)
    qtbot.keyClick(pane.composer, Qt.Key.Key_Return)
    request = backend.run().request
    assert (request.text, request.session_id) == ("Hello there", "ses_9")


def test_enter_is_not_lost_on_a_session_that_is_not_there_yet(
    qtbot: QtBot, usable: ChatPane, backend: ChatBackend
) -> None:
    usable.begin_new()
    qtbot.keyClicks(usable.composer, "Hello")
    qtbot.keyClick(usable.composer, Qt.Key.Key_Return)
    assert usable.run_bar.text == "Creating the session… Your message will be sent then."
    usable.show_session(session("ses_9"))
    qtbot.waitUntil(lambda: bool(backend.runs), timeout=PATIENCE)
    request = backend.run().request
    assert (request.text, request.session_id, usable.composer.text) == ("Hello", "ses_9", "")


def test_enter_is_not_lost_on_a_session_that_is_being_read(
    qtbot: QtBot, usable: ChatPane, backend: ChatBackend
) -> None:
    usable.show_session(session("ses_9"))
    assert usable.run_bar.text == "Loading messages…"
    qtbot.keyClicks(usable.composer, "Hello")
    qtbot.keyClick(usable.composer, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(backend.runs), timeout=PATIENCE)
    assert backend.run().request.text == "Hello"


def give_up(pane: ChatPane) -> None:
    pane.give_up_new()
    pane.show_session(session("ses_8"))


def type_on(pane: ChatPane) -> None:
    pane.composer.insertPlainText("!")


def choose_another(pane: ChatPane) -> None:
    pane.show_session(None)
    pane.show_session(session("ses_8"))


@pytest.mark.parametrize("change_ones_mind", [give_up, type_on, choose_another])
def test_what_was_to_be_sent_is_not_when_something_else_is_done_first(
    qtbot: QtBot,
    usable: ChatPane,
    backend: ChatBackend,
    change_ones_mind: Callable[[ChatPane], None],
) -> None:
    usable.begin_new()
    qtbot.keyClicks(usable.composer, "Hello")
    qtbot.keyClick(usable.composer, Qt.Key.Key_Return)
    change_ones_mind(usable)
    usable.show_session(session("ses_9"))
    settled(qtbot, usable)
    QApplication.processEvents()
    assert (usable.running_sessions, backend.runs) == ((), [])


def test_what_was_to_be_sent_is_not_when_the_messages_cannot_be_read(
    qtbot: QtBot, usable: ChatPane, backend: ChatBackend
) -> None:
    def refuse(limit: int) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "not now")

    backend.script["list_messages"] = refuse
    usable.begin_new()
    qtbot.keyClicks(usable.composer, "Hello")
    qtbot.keyClick(usable.composer, Qt.Key.Key_Return)
    usable.show_session(session("ses_9"))
    settled(qtbot, usable)
    QApplication.processEvents()
    assert (usable.running_sessions, usable.composer.text) == ((), "Hello")


def test_nothing_of_the_session_before_is_to_be_seen(
    qtbot: QtBot, usable: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [answer("msg_1", "before")]
    show()
    usable.composer.setPlainText("a draft")
    assert usable.begin_new()
    qtbot.waitUntil(lambda: texts(usable) == [], timeout=PATIENCE)
    assert usable.composer.text == ""
    backend.messages = []
    show(session("ses_9"))
    assert (texts(usable), usable.composer.text) == ([], "")
    show()
    assert usable.composer.text == "a draft"


def test_creation_that_fails_leads_back_and_what_was_written_is_offered_again(
    qtbot: QtBot, usable: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.messages = [answer("msg_1", "before")]
    show()
    usable.composer.setPlainText("a draft")
    usable.begin_new()
    usable.composer.setPlainText("precious words")
    usable.update_session(session(title="Renamed meanwhile"))
    usable.give_up_new()
    settled(qtbot, usable)
    assert (usable.session_id, texts(usable)) == ("ses_1", ["before"])
    assert (usable.title.text(), usable.composer.text) == ("Renamed meanwhile", "a draft")
    usable.give_up_new()  # there is nothing to give up
    assert usable.session_id == "ses_1"
    usable.begin_new()
    assert usable.composer.text == "precious words"
    usable.show_session(session("ses_9"))
    assert usable.composer.text == "precious words"
    usable.begin_new()
    assert usable.composer.text == ""


def test_without_a_session_before_it_leads_back_to_none(usable: ChatPane) -> None:
    usable.begin_new()
    assert not usable.placeholder.isVisible()
    usable.give_up_new()
    assert usable.placeholder.isVisible()
    assert usable.session_id is None


def test_a_session_before_that_was_deleted_meanwhile_is_not_shown_again(
    usable: ChatPane, show: Open
) -> None:
    show()
    usable.begin_new()
    usable.forget_session("ses_1")
    assert not usable.placeholder.isVisible()
    usable.give_up_new()
    assert (usable.session_id, usable.placeholder.isVisible()) == (None, True)


def test_to_begin_twice_is_to_begin_once(usable: ChatPane, show: Open) -> None:
    show()
    assert usable.begin_new()
    usable.composer.setPlainText("written")
    assert usable.begin_new()
    assert usable.composer.text == "written"
    usable.give_up_new()
    assert usable.session_id == "ses_1"


def test_closing_the_chat_meanwhile_keeps_what_was_written_for_the_next(
    usable: ChatPane, show: Open
) -> None:
    show()
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.show_session(None)
    assert usable.placeholder.isVisible()
    usable.give_up_new()  # as the end of the creation would have it
    assert usable.placeholder.isVisible()
    usable.begin_new()
    assert usable.composer.text == "written"


def test_closing_the_window_meanwhile_keeps_it_for_the_next_window(
    qtbot: QtBot, usable: ChatPane, settings: QSettings
) -> None:
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.shutdown()
    usable.give_up_new()
    assert not usable.begin_new()
    following = ChatPane(usable._service, settings=settings)
    following.begin_new()
    assert following.composer.text == "written"
    following.shutdown()
    destroy(following)


def test_a_run_of_the_session_before_goes_on(
    qtbot: QtBot, usable: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(usable, "Hi")
    run = backend.run()
    usable.begin_new()
    assert usable.running_sessions == ("ses_1",)
    assert not usable.stop_button.isVisible()
    assert usable.send_button.isVisible()
    usable.stop()
    usable.give_up_new()
    assert usable.stop_button.isVisible()
    assert not run.aborted.is_set()


def test_what_a_text_is_that_came_back_meanwhile_waits_in_its_session(
    qtbot: QtBot, usable: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    backend.refuses = True
    write(usable, "precious words")
    usable.begin_new()
    qtbot.waitUntil(lambda: not usable.running_sessions, timeout=PATIENCE)
    assert usable.composer.text == ""
    usable.give_up_new()
    assert usable.composer.text == "precious words"


def test_a_backend_that_keeps_sessions_only_has_nothing_to_write_to(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    backend.refuses = True
    pane.reload()
    qtbot.waitUntil(lambda: pane.choices.refused, timeout=PATIENCE)
    assert not pane.begin_new()
    assert pane.placeholder.isVisible()


def test_that_there_is_no_model_may_become_known_meanwhile(
    qtbot: QtBot, pane: ChatPane, backend: ChatBackend
) -> None:
    backend.refuses = True
    pane.choices.refused = False  # as before the first answer
    assert pane.begin_new()
    pane.take_focus()
    pane.reload()
    qtbot.waitUntil(lambda: pane.choices.refused, timeout=PATIENCE)
    assert not pane.composer.isEnabled()
    assert pane.notice.isVisible()
    pane.take_focus()
    assert not pane.composer.hasFocus()


# --- A session that comes to be when nobody waits for it any more ---


def test_what_was_written_for_it_waits_in_it(usable: ChatPane, show: Open) -> None:
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.give_up_new()
    show(session("ses_2"))
    usable.adopt_new("ses_9")
    show(session("ses_9"))
    assert usable.composer.text == "written"
    usable.begin_new()
    assert usable.composer.text == ""


@pytest.mark.parametrize(("here", "then"), [("", "written"), ("newer", "newer")])
def test_where_it_is_shown_already_it_is_in_the_box_unless_there_is_something(
    usable: ChatPane, show: Open, here: str, then: str
) -> None:
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.give_up_new()
    show(session("ses_9"))
    usable.composer.setPlainText(here)
    usable.adopt_new("ses_9")
    assert usable.composer.text == then
    usable.begin_new()
    assert usable.composer.text == ("" if here == "" else "written")


def test_who_writes_to_the_next_one_by_now_has_it_in_the_box(usable: ChatPane) -> None:
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.give_up_new()
    usable.begin_new()
    usable.adopt_new("ses_9")
    assert usable.composer.text == "written"
    usable.show_session(session("ses_10"))
    assert usable.composer.text == "written"


def test_its_own_draft_stays(usable: ChatPane, show: Open) -> None:
    show(session("ses_9"))
    usable.composer.setPlainText("its own")
    usable.begin_new()
    usable.composer.setPlainText("written")
    usable.show_session(None)
    usable.adopt_new("ses_9")
    show(session("ses_9"))
    assert usable.composer.text == "its own"

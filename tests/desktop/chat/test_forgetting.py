"""What becomes of a session's conversation when the session is deleted."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from opencode_sync.desktop.chat import ChatPane
from tests.desktop.chat.conftest import ChatBackend, Open, session
from tests.desktop.chat.panes import PATIENCE, write


def test_its_run_is_aborted(qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend) -> None:
    show()
    write(pane, "Hi")
    run = backend.run()
    busy: list[tuple[str, bool]] = []
    pane.session_busy_changed.connect(lambda *told: busy.append(told))
    with qtbot.waitSignal(pane.busy_changed, timeout=PATIENCE):
        pane.forget_session("ses_1")
    assert run.aborted.wait(PATIENCE / 1000)
    assert (pane.session_id, pane.running_sessions) == (None, ())
    assert busy == [("ses_1", False)]


def test_what_was_written_for_it_is_in_the_next_new_one(
    qtbot: QtBot, pane: ChatPane, show: Open
) -> None:
    qtbot.waitUntil(lambda: pane.choices.usable, timeout=PATIENCE)
    show(session("ses_2"))
    pane.composer.setPlainText("also left")
    show()
    pane.composer.setPlainText("a draft")
    pane.take_focus()
    pane.forget_session("ses_1")
    assert pane.placeholder.text() == (
        "This session was deleted.\n"
        "What you had written is in the next new session (Ctrl+N), not sent."
    )
    qtbot.keyClicks(pane.window().focusWidget(), "more\r")
    pane.forget_session("ses_2")
    pane.forget_session("ses_3")  # of which nothing is known
    assert pane.placeholder.hasFocus()
    assert pane.begin_new()
    assert pane.composer.text == "also left\n\na draft"
    qtbot.keyClicks(pane.composer, "!")
    pane.show_session(session("ses_9"))
    assert pane.composer.text == "also left\n\na draft!"
    show()
    assert pane.composer.text == ""


def test_it_is_not_sent_unseen_with_what_is_written_to_a_new_one_already(
    qtbot: QtBot, pane: ChatPane, show: Open
) -> None:
    qtbot.waitUntil(lambda: pane.choices.usable, timeout=PATIENCE)
    show()
    pane.composer.setPlainText("a draft")
    pane.begin_new()
    pane.composer.setPlainText("to the new one")
    pane.forget_session("ses_1")
    assert pane.composer.text == "to the new one"
    pane.give_up_new()
    assert pane.placeholder.text() == "Choose a session to see its conversation."
    pane.begin_new()
    assert pane.composer.text == "to the new one\n\na draft"


def test_where_nothing_was_written_only_that_is_told(pane: ChatPane, show: Open) -> None:
    show()
    pane.forget_session("ses_1")
    assert pane.placeholder.text() == "This session was deleted."


def test_its_run_is_aborted_while_another_session_is_shown(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, "Hi")
    run = backend.run()
    show(session("ses_2"))
    pane.forget_session("ses_1")
    assert run.aborted.wait(PATIENCE / 1000)
    assert (pane.session_id, pane.running_sessions) == ("ses_2", ())


def test_other_sessions_stay_as_they_are(
    qtbot: QtBot, pane: ChatPane, show: Open, backend: ChatBackend
) -> None:
    show()
    write(pane, "Hi")
    run = backend.run()
    pane.forget_session("ses_2")
    assert (pane.session_id, pane.running_sessions) == ("ses_1", ("ses_1",))
    assert not run.aborted.is_set()

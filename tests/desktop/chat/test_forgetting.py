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
    pane.composer.setPlainText("a draft")
    with qtbot.waitSignal(pane.busy_changed, timeout=PATIENCE):
        pane.forget_session("ses_1")
    assert run.aborted.wait(PATIENCE / 1000)
    assert (pane.session_id, pane.running_sessions) == (None, ())
    assert busy == [("ses_1", False)]
    show()
    assert pane.composer.text == ""


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

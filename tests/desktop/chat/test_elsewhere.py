"""What other programs do in a session: it is said, and what has come of it is read."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.activity import feed
from opencode_sync.desktop.chat import ChatPane, elsewhere
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from opencode_sync.wire.oc_message_pb2 import OcMessage
from tests.desktop.chat.conftest import ChatBackend, session
from tests.desktop.chat.panes import PATIENCE, end, settled, texts, write
from tests.desktop.chat.said import answer
from tests.desktop.chat.told import ELSEWHERE, status, tell
from tests.support import backend as b


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_SETTLE_MS", 20)
    monkeypatch.setattr(elsewhere, "_AGAIN_MS", 20)
    monkeypatch.setattr(elsewhere, "_LATER_MS", (50,))


def wait_said(qtbot: QtBot, pane: ChatPane, text: str) -> None:
    qtbot.waitUntil(lambda: pane.run_bar.text == text, timeout=PATIENCE)


def test_a_session_at_work_elsewhere_says_so_and_its_end_is_read(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    wait_said(qtbot, shown, ELSEWHERE)
    assert shown.run_bar.isVisible()
    backend.messages = [answer("msg_1", "Half of it")]
    qtbot.waitUntil(lambda: texts(shown) == ["Half of it"], timeout=PATIENCE)
    tell(backend, status(busy=False))
    backend.messages = [answer("msg_1", "All of it")]
    wait_said(qtbot, shown, "")
    qtbot.waitUntil(lambda: texts(shown) == ["All of it"], timeout=PATIENCE)


def test_what_was_short_is_read_as_well(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    backend.messages = [answer("msg_1", "Said elsewhere")]
    tell(backend, status(busy=True))
    tell(backend, IpcEvent(type="session.idle", session_id="ses_1"))
    qtbot.waitUntil(lambda: texts(shown) == ["Said elsewhere"], timeout=PATIENCE)


def test_what_is_written_of_a_run_after_its_end_is_read_as_well(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    """Of one that was aborted, for example."""
    read = threading.Event()

    def read_too_soon(*_: object) -> list[OcMessage]:
        read.set()
        return [answer("msg_1", "Half of it")]

    backend.script["list_messages"] = read_too_soon
    tell(backend, status(busy=True))
    tell(backend, status(busy=False))
    qtbot.waitUntil(read.is_set, timeout=PATIENCE)
    qtbot.waitUntil(lambda: texts(shown) == ["Half of it"], timeout=PATIENCE)
    backend.script["list_messages"] = lambda *_: [answer("msg_1", "Half of it, aborted")]
    qtbot.waitUntil(lambda: texts(shown) == ["Half of it, aborted"], timeout=PATIENCE)


def test_other_sessions_are_no_business_of_the_shown_one(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status("ses_2", busy=True))
    tell(backend, status(busy=True))
    wait_said(qtbot, shown, ELSEWHERE)
    tell(backend, status(busy=False))
    wait_said(qtbot, shown, "")
    shown.show_session(session("ses_2"))  # which was told before
    assert shown.run_bar.text == ELSEWHERE


def test_a_run_of_our_own_is_none_of_others(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    write(shown, "Hi")
    run = backend.run()
    tell(backend, status(busy=True))
    run.push(b.delta("Word"))
    qtbot.waitUntil(lambda: texts(shown)[1:] == ["Word"], timeout=PATIENCE)
    assert shown.run_bar.text.startswith("Working")
    assert shown._talks.shown is not None
    assert not shown._talks.shown.elsewhere.active
    run.end()
    # Somebody else's follows at once, so that the session was never idle.
    wait_said(qtbot, shown, ELSEWHERE)
    write(shown, "And now")
    assert shown.run_bar.text.startswith("Working")


def test_the_end_of_our_own_run_is_not_read_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    def reads() -> int:
        return sum(call[0] == "list_messages" for call in backend.calls)

    before = reads()
    told: list[bool] = []
    shown._service.activity.worked.connect(lambda session_id, busy: told.append(busy))
    write(shown, "Hi")
    tell(backend, status(busy=True))
    tell(backend, status(busy=False))
    qtbot.waitUntil(lambda: told == [True, False], timeout=PATIENCE)
    run = backend.run()
    run.push(b.delta("Word"))
    run.end(b.ran("Word"))
    qtbot.waitUntil(lambda: not shown.running_sessions, timeout=PATIENCE)
    settled(qtbot, shown)
    assert reads() == before


def test_after_a_loss_of_events_the_messages_are_read_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    backend.messages = [answer("msg_1", "Said meanwhile")]
    shown._service.activity._missed(3)
    qtbot.waitUntil(lambda: texts(shown) == ["Said meanwhile"], timeout=PATIENCE)


def test_after_a_gap_the_messages_are_read_again(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    wait_said(qtbot, shown, ELSEWHERE)
    backend.messages = [answer("msg_1", "Said in the gap")]
    tell(backend, IpcEvent(type="gateway.resubscribed"))
    wait_said(qtbot, shown, "")
    qtbot.waitUntil(lambda: texts(shown) == ["Said in the gap"], timeout=PATIENCE)


def test_a_stream_that_ends_says_nothing_any_more(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    tell(backend, status(busy=True))
    wait_said(qtbot, shown, ELSEWHERE)
    for each in list(backend.streams):
        each.end("the server has ended")
    wait_said(qtbot, shown, "")


def test_what_is_read_while_it_changes_is_read_once_more(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    talk = shown._talks.shown
    assert talk is not None
    talk.load()
    backend.messages = [answer("msg_1", "Just said")]
    talk.load_again()  # whatever the first reading has found
    qtbot.waitUntil(lambda: texts(shown) == ["Just said"], timeout=PATIENCE)


def test_a_conversation_that_was_left_hears_of_nothing(
    qtbot: QtBot, shown: ChatPane, backend: ChatBackend
) -> None:
    left = shown._talks.shown
    assert left is not None
    shown.show_session(session("ses_2"))
    settled(qtbot, shown)
    tell(backend, status(busy=True))
    tell(backend, status("ses_2", busy=True))
    wait_said(qtbot, shown, ELSEWHERE)
    assert not left.elsewhere.active


def test_a_backend_without_events_is_no_error(
    qtbot: QtBot, backend: ChatBackend, gateway: Gateway, settings: QSettings
) -> None:
    def refuse(stream: object) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "subscribe is not served")

    backend.script["subscribe"] = refuse
    service = Service(IpcConfig(gateway.port, gateway.auth_token), probe_seconds=3600.0)
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        service.start()
    pane = ChatPane(service, settings=settings)
    pane.show()
    stream = service.activity._stream
    assert stream is not None
    qtbot.waitUntil(lambda: stream.done, timeout=PATIENCE)
    pane.show_session(session())
    settled(qtbot, pane)
    assert not pane.notice.isVisible()
    assert pane.run_bar.text == ""
    end(pane, service)

"""What other programs do to sessions shows by itself, where the backend has events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.activity.events import SessionChanged, SessionDeleted
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.gateway import BackendError
from opencode_sync.types import IpcEvent, OcSessionInfo
from opencode_sync.wire import ipc_pb2

from .conftest import PATIENCE, Backend, Held, OpenWindow, session, titles


@pytest.fixture
def window(qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    """It has read the list for the last time, unless something happens."""
    readings: list[None] = []

    def read() -> list[OcSessionInfo]:
        readings.append(None)
        return [session(1), session(2, updated=60)]

    backend.script["list_sessions"] = read
    window = loaded(scripted)
    page = window.sessions
    qtbot.waitUntil(lambda: len(readings) == 2 and not page.is_loading, timeout=PATIENCE)
    return window


def updated(number: int, title: str) -> IpcEvent:
    event = IpcEvent(type="session.updated")
    event.event.session_updated.session.CopyFrom(session(number, title, updated=30))
    return event


def deleted(number: int) -> IpcEvent:
    event = IpcEvent(type="session.deleted")
    event.event.session_deleted.session_id = f"ses_{number:026d}"
    return event


def created(number: int) -> IpcEvent:
    event = IpcEvent(type="session.created")
    event.event.session_created.session.CopyFrom(session(number))
    return event


def test_a_change_shows_and_of_several_the_last(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    for number in range(50):
        backend.streams[0].push(updated(2, f"title {number}"))
    qtbot.waitUntil(lambda: titles(window) == ["Session 1", "title 49"], timeout=PATIENCE)


def test_a_deleted_session_goes(qtbot: QtBot, window: MainWindow, backend: Backend) -> None:
    backend.streams[0].push(updated(1, "changed before"))
    with qtbot.waitSignal(window.sessions.session_removed, timeout=PATIENCE):
        backend.streams[0].push(deleted(1))
    assert titles(window) == ["Session 2"]


def test_sessions_deleted_together_go_in_one_change(qtbot: QtBot, window: MainWindow) -> None:
    """The order of thousands takes its time, which must not be taken for each of them."""
    page = window.sessions
    resets: list[None] = []
    page.parts.view.model().modelReset.connect(lambda: resets.append(None))
    gone = [f"ses_{1:026d}", f"ses_{2:026d}", f"ses_{78:026d}"]
    told: list[str] = []
    page.session_removed.connect(told.append)
    page.parts.view.select_row(0)
    page._live.removed.emit(gone)
    assert (titles(window), len(resets), told) == ([], 1, gone)


def test_the_chat_of_a_deleted_session_is_ended_not_only_hidden(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    window.sessions.parts.view.select_row(1)
    window.sessions.open_action.trigger()
    assert [each.title for each in window.chat.shown] == ["Session 2"]
    backend.streams[0].push(deleted(1))
    backend.streams[0].push(deleted(2))
    qtbot.waitUntil(lambda: not titles(window), timeout=PATIENCE)
    assert window.chat.isHidden()
    assert sorted(window.chat.forgotten) == [f"ses_{1:026d}", f"ses_{2:026d}"]


def test_a_session_that_is_gone_is_not_read_anew(window: MainWindow, backend: Backend) -> None:
    begun = []
    backend.script["get_session"] = begun.append
    window.sessions._live.removed.emit([f"ses_{1:026d}"])
    window.sessions.update_session(f"ses_{1:026d}")
    assert window.service.client.list_sessions()  # answered after it
    assert begun == []


def test_sessions_that_are_not_listed_stay_unlisted(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    """They may be another project's."""
    backend.streams[0].push(updated(77, "another project's"))
    backend.streams[0].push(deleted(78))
    backend.streams[0].push(updated(1, "ours"))
    qtbot.waitUntil(lambda: "ours" in titles(window), timeout=PATIENCE)
    assert titles(window) == ["Session 2", "ours"] or titles(window) == ["ours", "Session 2"]


def test_what_came_to_be_between_the_reading_and_the_stream_is_listed(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    opening = Held(lambda stream: stream.sink.opened())
    backend.script["subscribe"] = opening
    backend.script["list_sessions"] = lambda: [session(1)]
    window = loaded(scripted)
    backend.script["list_sessions"] = lambda: [session(1), session(2)]  # of which nobody is told
    opening.go_on.set()
    qtbot.waitUntil(lambda: len(titles(window)) == 2, timeout=PATIENCE)


@pytest.mark.parametrize("event", [created(3), IpcEvent(type="gateway.resubscribed")])
def test_what_only_the_list_can_tell_has_it_read_anew(
    qtbot: QtBot, window: MainWindow, backend: Backend, event: IpcEvent
) -> None:
    backend.script["list_sessions"] = lambda: [session(3)]
    backend.streams[0].push(event)
    qtbot.waitUntil(lambda: titles(window) == ["Session 3"], timeout=PATIENCE)


def test_what_was_told_before_a_gap_is_older_than_the_list_that_is_read_for_it(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    reading = Held(lambda: [session(1), session(2, "what was missed")])
    backend.script["list_sessions"] = reading
    for event in (updated(2, "told before"), IpcEvent(type="gateway.resubscribed")):
        backend.streams[0].push(event)
    qtbot.waitUntil(lambda: reading.begun.is_set() and "told before" in titles(window))
    reading.go_on.set()
    qtbot.waitUntil(lambda: "what was missed" in titles(window), timeout=PATIENCE)


def test_missing_events_have_the_list_read_anew(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    backend.script["list_sessions"] = lambda: [session(3)]
    window.service.activity._missed(12)
    qtbot.waitUntil(lambda: titles(window) == ["Session 3"], timeout=PATIENCE)


def test_gaps_that_never_stop_put_nothing_off(window: MainWindow) -> None:
    live = window.sessions._live
    starts: list[None] = []

    class Running:
        def isActive(self) -> bool:
            return True

        def start(self) -> None:
            starts.append(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "_timer", Running())
        live._miss()
    assert starts == []


def test_a_backend_without_events_is_no_error(
    qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow
) -> None:
    def refuse(stream: object) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "subscribe is not served")

    backend.script["subscribe"] = refuse
    window = loaded(scripted)
    feed = window.service.activity
    qtbot.waitUntil(lambda: feed._stream is not None and feed._stream.done, timeout=PATIENCE)
    assert window.error_banner.isHidden()


def test_what_a_backend_told_last_is_not_shown_for_the_next(
    qtbot: QtBot, window: MainWindow, scripted: IpcConfig
) -> None:
    live = window.sessions._live
    told: list[object] = []
    live.changed.connect(told.append)
    live.removed.connect(told.append)
    live._take([SessionChanged(session(1, "of the old one"), False), SessionDeleted(session(2).id)])
    window.service.connected.emit()
    live._tell()
    window.service.compute(int, told.append)  # after what would be read
    qtbot.waitUntil(lambda: told == [0], timeout=PATIENCE)


def test_another_connection_has_another_subscription(
    qtbot: QtBot, window: MainWindow, backend: Backend, scripted: IpcConfig
) -> None:
    window.choosing.use_address(scripted)
    qtbot.waitUntil(lambda: len(backend.streams) == 2, timeout=PATIENCE)
    with qtbot.waitSignal(window.sessions._live.changed, timeout=PATIENCE):
        backend.streams[1].push(updated(1, "by the new one"))


def test_a_session_that_cannot_be_read_anew_stays_as_it_is(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    def refuse(session_id: str) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "it is gone")

    held = Held(refuse)
    held.go_on.set()
    backend.script["get_session"] = held
    window.sessions.update_session(f"ses_{1:026d}")
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    assert titles(window) == ["Session 1", "Session 2"]


def test_what_was_told_while_a_session_is_read_anew_is_newer(
    qtbot: QtBot, window: MainWindow, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = backend.script["get_session"] = Held(lambda session_id: session(1, "from before"))
    answered = watch_get_session(window, monkeypatch)
    window.sessions.update_session(f"ses_{1:026d}")
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    told = updated(1, "told since")
    told.event.session_updated.session.time.updated = session(1).time.updated + 1
    backend.streams[0].push(told)
    qtbot.waitUntil(lambda: titles(window)[0] == "told since", timeout=PATIENCE)
    held.go_on.set()
    qtbot.waitUntil(lambda: answered == ["from before"], timeout=PATIENCE)
    assert titles(window)[0] == "told since"


def watch_get_session(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what will have the titles of sessions that were read, and taken or not."""
    titles: list[str] = []
    get = window.service.get_session

    def watched(session_id: str, done: Callable[[OcSessionInfo], None], *failed: Any) -> Any:
        def end(info: OcSessionInfo) -> None:
            done(info)
            titles.append(info.title)

        return get(session_id, end, *failed)

    monkeypatch.setattr(window.service, "get_session", watched)
    return titles


# --- While the list is read ---


def begin_slow_reading(qtbot: QtBot, window: MainWindow, backend: Backend) -> Held:
    """Have the list read by a backend that has looked already, and takes its time to say so."""
    held = backend.script["list_sessions"] = Held(lambda: [session(1), session(2, updated=60)])
    window.sessions.load()
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    return held


def end_reading(qtbot: QtBot, window: MainWindow, held: Held) -> None:
    with qtbot.waitSignal(window.sessions.loaded, timeout=PATIENCE):
        held.go_on.set()


def test_what_the_user_did_while_the_list_was_read_stays_done(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    page = window.sessions
    held = begin_slow_reading(qtbot, window, backend)
    backend.script["delete_session"] = lambda session_id: True
    backend.script["create_session"] = lambda title: session(3, "created", updated=90)
    page.parts.view.select_row(0)
    page.changes.delete(page.parts.view.current)
    qtbot.waitUntil(lambda: titles(window) == ["Session 2"], timeout=PATIENCE)
    page.changes.rename(session(2).id, "renamed")
    qtbot.waitUntil(lambda: titles(window) == ["renamed"], timeout=PATIENCE)
    with qtbot.waitSignal(page.session_chosen, timeout=PATIENCE):
        page.create_session()
    end_reading(qtbot, window, held)
    assert sorted(titles(window)) == ["created", "renamed"]
    with qtbot.waitSignal(page.loaded, timeout=PATIENCE):
        page.load()  # begun after all that: the backend's word counts again
    assert titles(window) == ["Session 1", "Session 2"]


def test_what_others_did_while_the_list_was_read_stays_done(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    held = begin_slow_reading(qtbot, window, backend)
    backend.streams[0].push(updated(2, "renamed"))
    backend.streams[0].push(deleted(1))
    qtbot.waitUntil(lambda: titles(window) == ["renamed"], timeout=PATIENCE)
    end_reading(qtbot, window, held)
    assert titles(window) == ["renamed"]


def test_a_reading_is_ended_however_many_sessions_are_created_meanwhile(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    page = window.sessions
    held = begin_slow_reading(qtbot, window, backend)
    for _ in range(3):
        with qtbot.waitSignal(page._live.outdated, timeout=PATIENCE):
            backend.streams[0].push(created(3))
    read: list[None] = []
    again = Held(lambda: [session(3)])
    again.go_on.set()
    backend.script["list_sessions"] = lambda: (read.append(None), again())[1]
    with qtbot.waitSignal(page.loaded, timeout=PATIENCE):
        held.go_on.set()
    assert titles(window) == ["Session 1", "Session 2"]
    assert page.is_loading  # once more, for what was created after it had been begun
    with qtbot.waitSignal(page.loaded, timeout=PATIENCE):
        pass
    assert (titles(window), len(read), page.is_loading) == (["Session 3"], 1, False)


def test_a_reading_that_failed_is_not_repeated_behind_ones_back(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    def refuse() -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "it broke")

    held = backend.script["list_sessions"] = Held(refuse)
    window.sessions.load()
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    window.sessions._live.outdated.emit()
    with qtbot.waitSignal(window.sessions.failed, timeout=PATIENCE):
        held.go_on.set()
    assert not window.sessions.is_loading


def test_who_reads_the_list_upon_its_end_reads_it_once(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    page = window.sessions
    held = begin_slow_reading(qtbot, window, backend)
    page._live.outdated.emit()
    read: list[None] = []
    backend.script["list_sessions"] = lambda: (read.append(None), [session(3)])[1]
    page.loaded.connect(page.load, Qt.ConnectionType.SingleShotConnection)
    end_reading(qtbot, window, held)
    with qtbot.waitSignal(page.loaded, timeout=PATIENCE):
        pass
    assert (titles(window), len(read), page.is_loading) == (["Session 3"], 1, False)

"""What other programs do to sessions shows by itself, where the backend has events."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.types import IpcEvent
from opencode_sync.wire import ipc_pb2

from .conftest import PATIENCE, Backend, Held, OpenWindow, config_of, session, titles


@pytest.fixture
def window(qtbot: QtBot, scripted: IpcConfig, backend: Backend, loaded: OpenWindow) -> MainWindow:
    backend.script["list_sessions"] = lambda: [session(1), session(2, updated=60)]
    window = loaded(scripted)
    qtbot.waitUntil(lambda: bool(backend.streams), timeout=PATIENCE)
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


def test_only_events_of_sessions_are_asked_for(window: MainWindow, backend: Backend) -> None:
    assert all(kind.startswith("session.") for kind in backend.streams[0].request.types)


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


@pytest.mark.parametrize("event", [created(3), IpcEvent(type="gateway.resubscribed")])
def test_what_only_the_list_can_tell_has_it_read_anew(
    qtbot: QtBot, window: MainWindow, backend: Backend, event: IpcEvent
) -> None:
    backend.script["list_sessions"] = lambda: [session(3)]
    backend.streams[0].push(event)
    qtbot.waitUntil(lambda: titles(window) == ["Session 3"], timeout=PATIENCE)


def test_missing_events_have_the_list_read_anew(
    qtbot: QtBot, window: MainWindow, backend: Backend
) -> None:
    backend.script["list_sessions"] = lambda: [session(3)]
    window.sessions._live._missed(12)
    qtbot.waitUntil(lambda: titles(window) == ["Session 3"], timeout=PATIENCE)


def test_a_backend_without_events_is_no_error(
    qtbot: QtBot, store: Gateway, loaded: OpenWindow
) -> None:
    window = loaded(config_of(store))
    live = window.sessions._live
    qtbot.waitUntil(lambda: live._stream is not None and live._stream.done, timeout=PATIENCE)
    assert window.error_banner.isHidden()


def test_another_connection_has_another_subscription(
    qtbot: QtBot, window: MainWindow, backend: Backend, scripted: IpcConfig
) -> None:
    window._use_address(scripted)
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

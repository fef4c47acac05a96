"""Whatever the backend does, the Qt thread is never held for longer than 50 ms."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.wire import ext_event_pb2
from tests.desktop.watch import Watch, never_held

from .conftest import PATIENCE, Backend, Held, OpenWindow, session, shown, titles

_TURNS: Final = 150

_MANY: Final = 10_000


def use(qtbot: QtBot, window: MainWindow) -> None:
    """Do all that a user can, by keys."""
    page = window.sessions
    page.create_session()
    page.load()
    qtbot.keyClicks(page.parts.search, "ses")
    qtbot.keyClick(page.parts.search, Qt.Key.Key_Escape)
    page.parts.view.select_row(0)
    page.changes.rename(f"ses_{1:026d}", "another")
    record = page.parts.view.current
    if record is not None:
        page.changes.delete(record)
    page.open_action.trigger()


def test_while_the_backend_is_slow(
    qtbot: QtBot,
    scripted: IpcConfig,
    backend: Backend,
    loaded: OpenWindow,
) -> None:
    def take(watch: Watch) -> None:
        backend.script.clear()
        window = loaded(scripted)
        held = Held(lambda *_: [])
        for operation in ("list_sessions", "create_session", "update_session", "delete_session"):
            backend.script[operation] = held
        watch.during(lambda: use(qtbot, window))
        watch.until(lambda: held.begun.is_set() and watch.turns >= _TURNS)
        watch.during(window.close)
        held.go_on.set()

    never_held(take)


@pytest.fixture
def silent() -> Iterator[IpcConfig]:
    """Somebody takes connections in and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield IpcConfig(listener.getsockname()[1], "a-token-nobody-reads")


def test_while_the_backend_is_dead(
    qtbot: QtBot,
    silent: IpcConfig,
    open_window: OpenWindow,
) -> None:
    def take(watch: Watch) -> None:
        window = open_window(silent, start=False)
        watch.during(window.start)
        watch.during(window._retry)
        watch.during(lambda: use(qtbot, window))
        watch.during(lambda: window.choosing.use_address(silent))
        watch.during(lambda: window.choosing.start_gateway(GatewayKind.EMBEDDED))
        watch.until(lambda: watch.turns >= _TURNS and shown(window) is Shown.EMPTY)
        watch.during(lambda: window.choosing.use_address(silent))
        watch.during(window.close)

    never_held(take)


def test_while_it_serves_10000_sessions(
    scripted: IpcConfig,
    backend: Backend,
    open_window: OpenWindow,
) -> None:
    many = [session(n, f"Session {n} of a long list", updated=n) for n in range(_MANY)]
    backend.script["list_sessions"] = lambda: many
    backend.sessions_size = 200 * _MANY

    def take(watch: Watch) -> None:
        def see(act: Callable[[], object]) -> None:
            turns = watch.turns
            watch.during(act)
            watch.until(lambda: watch.turns > turns + 2)

        window = open_window(scripted, start=False)
        watch.during(window.start)
        watch.until(lambda: len(titles(window)) == 10)
        page = window.sessions
        assert page.parts.count.text() == "10000"
        for text in ("9", "99", "999", "999 long", "nothing at all", ""):
            see(functools.partial(page.parts.search.setText, text))
        for order, number in itertools.product(SortOrder, (0, 999, 500)):
            see(functools.partial(page.parts.order_chosen.emit, order))
            see(functools.partial(page.parts.pager.page_wanted.emit, number))
        watch.during(page.load)
        watch.until(lambda: not page.is_loading)
        watch.during(window.close)

    never_held(take)


def test_while_it_floods_events_about_10000_sessions(
    qtbot: QtBot,
    scripted: IpcConfig,
    backend: Backend,
    loaded: OpenWindow,
) -> None:
    many = [session(n, updated=n) for n in range(_MANY)]
    backend.script["list_sessions"] = lambda: many
    backend.sessions_size = 200 * _MANY

    def flood(over: threading.Event) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            event = ext_event_pb2.IpcEvent(type="session.updated")
            changed = session(number % _MANY, f"update {number}", updated=-number)
            event.event.session_updated.session.CopyFrom(changed)
            backend.streams[-1].push(event)

    def take(watch: Watch) -> None:
        streams = len(backend.streams)
        window = loaded(scripted)
        qtbot.waitUntil(lambda: len(backend.streams) > streams, timeout=PATIENCE)
        over = threading.Event()
        flooding = threading.Thread(target=flood, args=(over,), name="flood-of-a-test", daemon=True)
        try:
            flooding.start()
            watch.until(lambda: watch.turns >= _TURNS and titles(window)[0].startswith("update"))
            watch.during(window.close)
        finally:
            over.set()
            flooding.join(PATIENCE / 1000)

    never_held(take)

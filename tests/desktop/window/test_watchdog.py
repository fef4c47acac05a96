"""Whatever the backend does, the Qt thread is never held for longer than 50 ms."""

from __future__ import annotations

import gc
import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.desktop.sessions.layout import Shown
from opencode_sync.desktop.sessions.listing import SortOrder
from opencode_sync.wire import ext_event_pb2

from .conftest import PATIENCE, Backend, Held, OpenWindow, session, shown, titles
from .watchdog import watching

_LIMIT: Final = 0.050
"""Seconds of the Qt thread's own work in one turn."""

_TRACED: Final = 4.0
"""How much longer it may take while something counts the lines of Python that run."""

_WAITED: Final = 5.0
"""Seconds in which something waited for the backend, which answers much later here, or never."""

_TURNS: Final = 150

_MANY: Final = 10_000


@pytest.fixture(autouse=True)
def _only_its_own_garbage(qapp: QApplication) -> Iterator[None]:
    """What all the other tests of this process have left is not searched in one of the turns."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def never_held() -> Iterator[Callable[[], bool]]:
    """Judge the block; yields what tells whether the loop has turned for a while."""
    with watching() as watch:
        yield lambda: watch.ticks >= _TURNS
    print(f"longest turn: {watch.longest_work:.4f} s of work, {watch.longest_wall:.4f} s in all")
    assert watch.longest_work <= _LIMIT * (1.0 if sys.gettrace() is None else _TRACED)
    assert watch.longest_wall <= _WAITED


def use(qtbot: QtBot, window: MainWindow) -> None:
    """Do all that a user can, by keys."""
    page = window.sessions
    page.create_session()
    page.load()
    qtbot.keyClicks(page.parts.search, "ses")
    qtbot.keyClick(page.parts.search, Qt.Key.Key_Escape)
    page.parts.view.select_row(0)
    page._do_rename(f"ses_{1:026d}", "another")
    record = page.parts.view.current
    if record is not None:
        page._delete(record)
    page.open_action.trigger()


def test_while_the_backend_is_slow(
    qtbot: QtBot,
    scripted: IpcConfig,
    backend: Backend,
    loaded: OpenWindow,
) -> None:
    window = loaded(scripted)
    held = Held(lambda *_: [])
    for operation in ("list_sessions", "create_session", "update_session", "delete_session"):
        backend.script[operation] = held
    with never_held() as turned:
        use(qtbot, window)
        qtbot.waitUntil(lambda: held.begun.is_set() and turned(), timeout=PATIENCE)
        window.close()
    held.go_on.set()


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
    with never_held() as turned:
        window = open_window(silent)
        window._retry()
        use(qtbot, window)
        window._use_address(silent)
        window._start_gateway(GatewayKind.EMBEDDED)
        qtbot.waitUntil(lambda: turned() and shown(window) is Shown.EMPTY, timeout=PATIENCE)
        window._use_address(silent)
        window.close()


def test_while_it_serves_10000_sessions(
    qtbot: QtBot,
    scripted: IpcConfig,
    backend: Backend,
    open_window: OpenWindow,
) -> None:
    many = [session(n, f"Session {n} of a long list", updated=n) for n in range(_MANY)]
    backend.script["list_sessions"] = lambda: many
    backend.sessions_size = 200 * _MANY
    with never_held() as turned:
        window = open_window(scripted)
        qtbot.waitUntil(lambda: len(titles(window)) == 10, timeout=PATIENCE)
        page = window.sessions
        assert page.parts.count.text() == "10000"
        for text in ("9", "99", "999", "999 long", "nothing at all", ""):
            page.parts.search.setText(text)
            qtbot.wait(1)
        for order, number in itertools.product(SortOrder, (0, 999, 500)):
            page.parts.order_chosen.emit(order)
            page.parts.pager.page_wanted.emit(number)
            qtbot.wait(1)
        page.load()
        qtbot.waitUntil(lambda: turned() and not page.is_loading, timeout=PATIENCE)


def test_while_it_floods_events_about_10000_sessions(
    qtbot: QtBot,
    scripted: IpcConfig,
    backend: Backend,
    loaded: OpenWindow,
) -> None:
    many = [session(n, updated=n) for n in range(_MANY)]
    backend.script["list_sessions"] = lambda: many
    backend.sessions_size = 200 * _MANY
    window = loaded(scripted)
    qtbot.waitUntil(lambda: bool(backend.streams), timeout=PATIENCE)
    over = threading.Event()

    def flood() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            event = ext_event_pb2.IpcEvent(type="session.updated")
            changed = session(number % _MANY, f"update {number}", updated=-number)
            event.event.session_updated.session.CopyFrom(changed)
            backend.streams[0].push(event)

    flooding = threading.Thread(target=flood, name="flood-of-a-test", daemon=True)
    try:
        with never_held() as turned:
            flooding.start()
            qtbot.waitUntil(
                lambda: turned() and titles(window)[0].startswith("update"), timeout=PATIENCE
            )
            window.close()
    finally:
        over.set()
        flooding.join(PATIENCE / 1000)

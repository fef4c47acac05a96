"""Two windows on one store of sessions: what is done in one shows in the other, without F5."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync.desktop.main_window import MainWindow
from opencode_sync.gateway import EmbeddedBackend

from .conftest import PATIENCE, OpenWindow, config_of, start, titles


class CountingBackend(EmbeddedBackend):
    """Knows how many follow it."""

    followers = 0

    def subscribe(self, *arguments: Any, **options: Any) -> Any:
        subscription = super().subscribe(*arguments, **options)
        self.followers += 1
        return subscription


@pytest.fixture
def windows(
    qtbot: QtBot, tmp_path: Path, leaves_nothing: None, loaded: OpenWindow
) -> Iterator[tuple[MainWindow, MainWindow]]:
    """Both connected, and the first with a session that the second has been told of."""
    backend = CountingBackend(tmp_path / "sessions.db", directory="/project")
    gateway = start(backend)
    one, other = (loaded(config_of(gateway)) for _ in range(2))
    qtbot.waitUntil(lambda: backend.followers == 2, timeout=PATIENCE)
    with qtbot.waitSignal(one.sessions.session_chosen, timeout=PATIENCE):
        one.sessions.create_session()
    qtbot.waitUntil(lambda: len(titles(other)) == 1, timeout=PATIENCE)
    yield one, other
    gateway.stop(1)


def test_a_session_is_renamed_and_deleted_in_both(
    qtbot: QtBot, windows: tuple[MainWindow, MainWindow]
) -> None:
    one, other = windows
    record = other.sessions.parts.view.model().index(0, 0)
    other.sessions.parts.view.setCurrentIndex(record)
    other.sessions.parts.view.model().setData(record, "renamed by the other")
    qtbot.waitUntil(lambda: titles(one) == ["renamed by the other"], timeout=PATIENCE)
    current = other.sessions.parts.view.current
    assert current is not None
    other.sessions.changes.delete(current)
    qtbot.waitUntil(lambda: titles(one) == [], timeout=PATIENCE)
    assert one.chat is not None
    assert one.chat.isHidden()  # which showed it


def test_windows_that_create_at_the_same_time_list_each_others_once(
    qtbot: QtBot, windows: tuple[MainWindow, MainWindow]
) -> None:
    for window in windows:
        window.sessions.create_session()
    for window in windows:
        qtbot.waitUntil(lambda: len(titles(window)) == 3, timeout=PATIENCE)  # noqa: B023
    assert sorted(titles(windows[0])) == sorted(titles(windows[1]))

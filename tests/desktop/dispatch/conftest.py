"""Every toolkit, each on a loop of the test's own, and proof that nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from opencode_sync.desktop.dispatch import base
from tests.desktop.dispatch.manual import Clock, Log, ManualDispatcher
from tests.desktop.dispatch.screen import virtual_screen
from tests.support.leaks import no_leaks

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from tests.desktop.dispatch.toolkits import Toolkit


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of a screen that nobody sees.

    For the whole session: Tk keeps its connection, and ends the process when that breaks.
    """
    tkinter = pytest.importorskip("tkinter", reason="this Python has no tkinter")
    with virtual_screen() as name:
        root = tkinter.Tk(screenName=name)
        root.update()  # what Tk keeps for ever is there from the beginning
        root.destroy()
        del root
        yield name


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """After the test there are the threads and descriptors that there were before."""
    with no_leaks():
        yield


@pytest.fixture(params=["qt", "tk", "polling tk", "wx", "gtk"])
def toolkit(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> Iterator[Toolkit]:
    """Each toolkit in turn; after the test there are the threads and descriptors of before."""
    display = request.getfixturevalue("display") if "tk" in request.param else ""
    with no_leaks():
        made = _make(request.param, monkeypatch, qapp, display)
        yield made
        made.close()


def _make(
    name: str, monkeypatch: pytest.MonkeyPatch, application: QApplication, display: str
) -> Toolkit:
    # The tests that want a toolkit skip where one is not installed; the others do without.
    from tests.desktop.dispatch.toolkits import Gtk, PollingTk, Qt, Tk, Wx

    match name:
        case "qt":
            return Qt(monkeypatch, application)
        case "tk":
            return Tk(monkeypatch, display)
        case "polling tk":
            return PollingTk(monkeypatch, display)
        case "wx":
            return Wx(monkeypatch)
    return Gtk(monkeypatch)


@pytest.fixture
def log() -> Iterator[Log]:
    """Everything the package logs."""
    log = Log()
    handler = logger.add(
        lambda line: log.append((line.record["level"].name, line.record["message"])), level="TRACE"
    )
    logger.enable("opencode_sync")
    try:
        yield log
    finally:
        logger.disable("opencode_sync")
        logger.remove(handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The dispatcher's clock, standing still."""
    clock = Clock()
    monkeypatch.setattr(base, "time", clock)
    return clock


@pytest.fixture
def ui() -> Iterator[ManualDispatcher]:
    """A dispatcher whose loop is the test's, for what is the same with every toolkit."""
    with ManualDispatcher() as dispatcher:
        yield dispatcher
        assert dispatcher.reported == []
        assert dispatcher.close(10)

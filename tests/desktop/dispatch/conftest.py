"""Every toolkit, each on a loop of the test's own, and proof that nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from opencode_sync.desktop.dispatch import base
from tests.desktop.dispatch.manual import Clock, Log, ManualDispatcher
from tests.desktop.dispatch.screen import virtual_screen
from tests.support.leaks import no_leaks

if TYPE_CHECKING:
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """For a run of this folder alone, with one of the toolkits in ``system_toolkits``."""
    parser.addoption("--toolkit", choices=["wx", "gtk3", "gtk4"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each toolkit in turn, or the one that was asked for."""
    if "toolkit" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--toolkit", default=None)
        all_of_them = ["qt", "tk", "polling tk", "stand-in wx", "stand-in gtk"]
        metafunc.parametrize("toolkit", [chosen] if chosen else all_of_them, indirect=True)


@pytest.fixture
def toolkit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolkit]:
    """A toolkit; after the test there are the threads and descriptors of before."""
    name: str = request.param
    make = _maker(name, monkeypatch, request)
    if name in ("wx", "gtk3", "gtk4"):  # which keep what they begin with
        make().close()
    with no_leaks():
        made = make()
        yield made
        made.close()


def _maker(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[], Toolkit]:
    # The tests that want a toolkit skip where one is not installed; the others do without.
    from tests.desktop.dispatch.system_toolkits import SystemGtk, SystemWx
    from tests.desktop.dispatch.toolkits import Gtk, PollingTk, Qt, Tk, Wx

    match name:
        case "qt":
            return partial(Qt, monkeypatch, request.getfixturevalue("qapp"))
        case "tk":
            return partial(Tk, monkeypatch, request.getfixturevalue("display"))
        case "polling tk":
            return partial(PollingTk, monkeypatch, request.getfixturevalue("display"))
        case "stand-in wx":
            return partial(Wx, monkeypatch)
        case "stand-in gtk":
            return partial(Gtk, monkeypatch)
        case "wx":
            return partial(SystemWx, monkeypatch)
    return partial(SystemGtk, monkeypatch, "3.0" if name == "gtk3" else "4.0")


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

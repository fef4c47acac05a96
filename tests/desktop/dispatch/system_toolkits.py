"""The real wx and GTK, where a system's packages or a Python's own have them.

PyPI has neither ready to use on Linux: wxPython is built for hours there, and PyGObject wants the
system's headers. Debian's ``python3-wxgtk4.0``, ``python3-gi``, ``gir1.2-gtk-3.0`` and
``gir1.2-gtk-4.0`` are for Debian's own Python, and work in any other CPython of that version.

Each wants a process of its own: GTK 3 and 4 exclude one another, and both end the process when
their screen goes away.
"""

from __future__ import annotations

import sys
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from opencode_sync.desktop.dispatch import Dispatcher, GtkDispatcher, WxDispatcher
from tests.desktop.dispatch.toolkits import TICK, WAIT, Toolkit

SYSTEM: Final = Path("/usr/lib/python3/dist-packages")


def import_wx() -> Any:
    """Return ``wx``."""
    return _import("wx")


def import_gtk(version: str) -> Any:
    """Return ``gi.repository``, with ``Gtk`` of this version in it."""
    _import("gi").require_version("Gtk", version)
    repository = _import("gi.repository")
    _import("gi.repository.Gtk")
    return repository


def _import(name: str) -> Any:
    """Import what is here, and else what the system has for this version of Python."""
    sys.path.append(str(SYSTEM))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what these packages do is not ours to judge
            return import_module(name)
    finally:
        sys.path.remove(str(SYSTEM))


def _run(
    condition: Callable[[], bool],
    *,
    run: Callable[[], object],
    end: Callable[[], object],
    later: Callable[[Callable[[], bool]], object],
) -> bool:
    """Run a loop until something is true; returns whether it came true."""
    give_up = time.monotonic() + WAIT
    came = False

    def look() -> bool:
        nonlocal came
        came = condition()
        if came or time.monotonic() >= give_up:
            end()
        else:
            later(look)
        return False  # to GLib: once is enough

    later(look)
    run()
    return came


class _OwnLoop(Toolkit):
    """A toolkit whose own loop runs, instead of being taken step by step."""

    @abstractmethod
    def _run(self, condition: Callable[[], bool]) -> bool:
        """Run it until something is true, for some seconds at most; returns whether it is."""

    def step(self) -> None:
        self._run(lambda: True)

    def run_until(self, condition: Callable[[], bool]) -> None:
        assert self._run(condition), "it did not come true"


class SystemWx(_OwnLoop):
    """wx itself: a frame on a virtual screen, and the loop that ``MainLoop`` runs."""

    _app: Any = None  # one for the whole process, as wx wants it

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self._wx = import_wx()
        if SystemWx._app is None:
            SystemWx._app = self._wx.App()
        self._frame = self._wx.Frame(None, title="Nobody sees it")
        self._frame.Show()
        self._painted: Callable[[], None] | None = None
        self._frame.Bind(self._wx.EVT_PAINT, self._paint)

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return WxDispatcher(batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        self._painted = callback
        self._frame.Refresh()

    def _paint(self, event: object) -> None:
        self._wx.PaintDC(self._frame)
        painted, self._painted = self._painted, None
        if painted is not None:
            painted()

    def _run(self, condition: Callable[[], bool]) -> bool:
        loop = self._wx.GUIEventLoop()
        return _run(
            condition,
            run=loop.Run,
            end=loop.Exit,
            later=lambda look: self._wx.CallLater(round(TICK * 1000), look),
        )

    def close(self) -> None:
        self._frame.Destroy()
        self.step()  # which destroys it


class SystemGtk(_OwnLoop):
    """GTK itself: a window on a virtual screen, and GLib's main loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        super().__init__(monkeypatch)
        repository = import_gtk(version)
        self._glib, gtk = repository.GLib, repository.Gtk
        found = gtk.init_check()
        assert found[0] if version == "3.0" else found, "GTK found no screen"
        self._window = gtk.Window(title="Nobody sees it")
        self._window.show()

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return GtkDispatcher(batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        def frame(*_: object) -> bool:
            callback()
            return False  # once is enough

        self._window.add_tick_callback(frame)  # by the clock that draws

    def _run(self, condition: Callable[[], bool]) -> bool:
        loop = self._glib.MainLoop()
        return _run(
            condition,
            run=loop.run,
            end=loop.quit,
            later=lambda look: self._glib.timeout_add(round(TICK * 1000), look),
        )

    def close(self) -> None:
        self._window.destroy()
        self.step()

"""One way to drive every toolkit: Qt and Tk themselves, and stand-ins for wx and GTK.

wxPython and PyGObject are not there for every Python the tests run on; where they are, see
``system_toolkits``. Their stand-ins are small modules that do what the documentation of the few
functions in use promises, and no more.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import sys
import threading
import time
import tkinter
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

from opencode_sync.desktop.dispatch import (
    Dispatcher,
    GtkDispatcher,
    QtDispatcher,
    TkDispatcher,
    WxDispatcher,
)

WAIT: Final = 30.0
TICK: Final = 0.005


class Toolkit(ABC):
    """A toolkit's loop, on the thread of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reported: list[BaseException] = []
        monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: self.report(error))

    def report(self, error: BaseException) -> None:
        self.reported.append(error)

    @abstractmethod
    def dispatcher(self, batch: int = 256) -> Dispatcher:
        """Make the toolkit's dispatcher."""

    @abstractmethod
    def draw_soon(self, callback: Callable[[], None]) -> None:
        """Have something done as the toolkit does what is least urgent to it, once."""

    @abstractmethod
    def step(self) -> None:
        """Let the toolkit do something, or wait for something to do for a moment."""

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the loop, also within a callback, until something is true."""
        give_up = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < give_up, "it did not come true"
            self.step()

    def run_dry(self, dispatcher: Dispatcher) -> None:
        """Run the loop until all that was posted so far has run."""
        ran = threading.Event()
        dispatcher.post(ran.set)
        self.run_until(ran.is_set)

    def close(self) -> None:  # noqa: B027 - there may be nothing to do
        """Take it down."""


class Qt(Toolkit):
    def __init__(self, monkeypatch: pytest.MonkeyPatch, application: QCoreApplication) -> None:
        super().__init__(monkeypatch)
        self._application = application
        self._tick = QTimer(application)
        self._tick.start(round(TICK * 1000))

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return QtDispatcher(batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        QTimer.singleShot(0, callback)

    def step(self) -> None:
        self._application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def close(self) -> None:
        self._tick.stop()
        self._tick.deleteLater()


class Tk(Toolkit):
    def __init__(self, monkeypatch: pytest.MonkeyPatch, display: str) -> None:
        super().__init__(monkeypatch)
        self.root = tkinter.Tk(screenName=display)
        self.root.report_callback_exception = (  # type: ignore[method-assign]
            lambda kind, error, trace: self.report(error)
        )
        self._tick()

    def _tick(self) -> None:
        self._timer = self.root.after(round(TICK * 1000), self._tick)

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return TkDispatcher(self.root, batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        self.root.after_idle(callback)

    def step(self) -> None:
        self.root.tk.dooneevent(0)

    def close(self) -> None:
        self.root.after_cancel(self._timer)
        self.root.destroy()
        del self.root
        gc.collect()  # here: Tcl does not survive that another thread's collector comes upon it


class PollingTk(Tk):
    """Tk as it is on Windows: without pipes."""

    class _Root(tkinter.Tk):
        @property
        def tk(self) -> object:
            return _WithoutPipes(self._tcl)

        @tk.setter
        def tk(self, tcl: object) -> None:
            self._tcl = tcl

    def __init__(self, monkeypatch: pytest.MonkeyPatch, display: str) -> None:
        monkeypatch.setattr(tkinter, "Tk", self._Root)
        super().__init__(monkeypatch, display)


class _WithoutPipes:
    def __init__(self, tcl: object) -> None:
        self._tcl = tcl

    def __getattr__(self, name: str) -> object:
        if name == "createfilehandler":
            raise AttributeError(name)
        return getattr(self._tcl, name)


class _Timers:
    """What a stand-in does later."""

    def __init__(self) -> None:
        self._thread = threading.current_thread()
        self._waiting: list[tuple[float, Callable[[], object]]] = []

    def add(self, milliseconds: int, callback: Callable[[], object]) -> object:
        assert threading.current_thread() is self._thread
        assert milliseconds > 0
        self._waiting.append((time.monotonic() + milliseconds / 1000, callback))
        return object()

    def take_due(self) -> list[Callable[[], object]]:
        now = time.monotonic()
        due = [callback for at, callback in self._waiting if at <= now]
        self._waiting = [(at, callback) for at, callback in self._waiting if at > now]
        return due


class _App:
    """What ``wx.GetApp`` returns."""


class Wx(Toolkit):
    """Stand-in: what came by ``CallAfter``, and what that adds, precedes timers and drawing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.app: _App | None = _App()
        self._pending: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._timers = _Timers()
        self._drawing: list[Callable[[], None]] = []
        module = types.ModuleType("wx")
        vars(module).update(
            GetApp=lambda: self.app, CallAfter=self._call_after, CallLater=self._timers.add
        )
        monkeypatch.setitem(sys.modules, "wx", module)

    def _call_after(self, callback: Callable[[], object]) -> None:
        assert self.app is not None, "No wx.App created yet"
        self._pending.put(callback)

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return WxDispatcher(batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        self._drawing.append(callback)

    def step(self) -> None:
        try:
            self._pending.get(timeout=0 if self._drawing else TICK)()
            while True:
                self._pending.get_nowait()()
        except queue.Empty:
            for callback in self._timers.take_due() or _take(self._drawing):
                callback()


class Gtk(Toolkit):
    """Stand-in: time-outs first, then drawing, then idle sources."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self._idle: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._timers = _Timers()
        self._drawing: list[Callable[[], None]] = []
        module = types.ModuleType("gi.repository.GLib")
        vars(module).update(idle_add=self._idle.put, timeout_add=self._timers.add)
        for name in ("gi", "gi.repository"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, "gi.repository.GLib", module)

    def dispatcher(self, batch: int = 256) -> Dispatcher:
        return GtkDispatcher(batch=batch)

    def draw_soon(self, callback: Callable[[], None]) -> None:
        self._drawing.append(callback)

    def step(self) -> None:
        sources = self._timers.take_due() or _take(self._drawing)
        if not sources:
            with contextlib.suppress(queue.Empty):
                sources = [self._idle.get(timeout=TICK)]
        for source in sources:
            assert not source(), "only sources that run once are in use"


def _take(callbacks: list[Callable[[], None]]) -> Sequence[Callable[[], object]]:
    taken = callbacks.copy()
    callbacks.clear()
    return taken

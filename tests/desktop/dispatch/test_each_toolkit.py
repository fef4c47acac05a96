"""What only one of the toolkits has: its window's end, and being missing."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from types import ModuleType

import pytest

pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

import tkinter

import shiboken6
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication

from opencode_sync.desktop import dispatch
from opencode_sync.desktop.dispatch import QtDispatcher, TkDispatcher, WxDispatcher
from opencode_sync.errors import IpcConfigError, IpcUsageError
from tests.desktop.dispatch.toolkits import WAIT, PollingTk, Tk, Wx
from tests.support.leaks import no_leaks


def in_thread(function: object) -> None:
    assert callable(function)
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(WAIT)
    assert not thread.is_alive()


# --- Qt ---


def test_a_qt_dispatcher_closes_with_its_parent(qapp: QApplication) -> None:
    parent = QObject()
    ui = QtDispatcher(parent)
    shiboken6.delete(parent)
    assert ui.closed


def test_qts_own_thread_destroys_what_a_closed_qt_dispatcher_had(qapp: QApplication) -> None:
    ui = QtDispatcher()
    bell = ui._bell
    in_thread(ui.close)
    assert shiboken6.isValid(bell)
    qapp.sendPostedEvents(bell, QEvent.Type.DeferredDelete.value)
    assert not shiboken6.isValid(bell)
    bell.dismiss()


def test_qts_own_thread_destroys_what_a_forgotten_qt_dispatcher_had(qapp: QApplication) -> None:
    """Whichever thread's collector comes upon it: a QObject may not die on another thread."""
    ui = QtDispatcher()
    bell = ui._bell
    in_cycle: list[object] = [ui]
    in_cycle.append(in_cycle)
    del ui, in_cycle
    in_thread(gc.collect)
    assert bell._dispatcher() is None
    bell._heard()
    assert shiboken6.isValid(bell)
    qapp.sendPostedEvents(bell, QEvent.Type.DeferredDelete.value)
    assert not shiboken6.isValid(bell)


# --- Tk ---


@pytest.fixture
def tk(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tk]:
    with no_leaks():
        tk = Tk(monkeypatch, display)
        yield tk
        tk.close()


def test_a_tk_dispatcher_closes_with_its_window_and_with_no_other(tk: Tk) -> None:
    window = tkinter.Toplevel(tk.root)
    child = tkinter.Label(window)
    with TkDispatcher(window) as ui:
        child.destroy()
        assert not ui.closed
        window.destroy()
        assert ui.closed


def test_a_tk_dispatcher_that_another_thread_has_closed_gives_its_pipe_back(tk: Tk) -> None:
    ui = TkDispatcher(tk.root)
    in_thread(ui.close)
    tk.run_until(lambda: ui._pipe is None)


def test_a_tk_window_that_ends_gives_back_what_another_thread_had_closed(tk: Tk) -> None:
    window = tkinter.Toplevel(tk.root)
    ui = TkDispatcher(window)
    in_thread(ui.close)
    window.destroy()
    assert ui._pipe is None


def test_a_tk_pipe_is_not_closed_while_another_thread_writes_to_it(
    tk: Tk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be somebody else's file by then."""
    ui = TkDispatcher(tk.root)
    ui.post(lambda: None)  # wakes the window's thread, which finds the dispatcher closed
    writing, go_on = threading.Event(), threading.Event()
    real_write, real_close, lock = os.write, os.close, ui._lock
    results: list[bool] = []

    class Watched:
        """The lock, which tells when somebody has to wait for it."""

        def __enter__(self) -> None:
            if not lock.acquire(blocking=False):
                go_on.set()
                lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    def write(number: int, data: bytes) -> int:
        writing.set()
        assert go_on.wait(WAIT)
        return real_write(number, data)

    def close(number: int) -> None:
        real_close(number)
        go_on.set()

    ui._lock = Watched()  # type: ignore[assignment]
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "close", close)
    closing = threading.Thread(target=lambda: results.append(ui.close()))
    closing.start()
    assert writing.wait(WAIT)
    tk.run_until(lambda: ui._pipe is None)
    closing.join(WAIT)
    assert results == [True]
    assert tk.reported == []


@pytest.mark.parametrize("kind", [Tk, PollingTk])
def test_a_tk_dispatcher_of_a_destroyed_window_takes_nothing_with_it(
    kind: type[Tk], display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_leaks():
        tk = kind(monkeypatch, display)
        window = tkinter.Toplevel(tk.root)
        window.destroy()
        timers = tk.root.tk.call("after", "info")
        with pytest.raises(tkinter.TclError):
            TkDispatcher(window)
        assert tk.root.tk.call("after", "info") == timers
        tk.close()


def test_a_tk_callback_that_ends_its_window_and_fails_is_still_reported(tk: Tk) -> None:
    window = tkinter.Toplevel(tk.root)
    ui = TkDispatcher(window)
    error = ValueError("a user's mistake")

    def end_and_fail() -> None:
        window.destroy()
        raise error

    ui.post(end_and_fail)
    tk.run_until(lambda: ui.closed)
    assert tk.reported == [error]


def test_a_tk_dispatcher_lets_go_of_its_window(tk: Tk) -> None:
    """Tcl ends a process in which another thread is the last to hold a window."""
    ui = TkDispatcher(tk.root)
    ui.close()
    assert not [each for each in gc.get_referents(vars(ui)) if isinstance(each, tkinter.Misc)]


def test_a_tk_dispatcher_is_made_on_the_windows_thread(tk: Tk) -> None:
    caught: list[BaseException] = []

    def make() -> None:
        try:
            TkDispatcher(tk.root)
        except RuntimeError as error:
            caught.append(error)

    in_thread(make)
    assert len(caught) == 1


# --- wx ---


def test_a_wx_dispatcher_wants_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    wx = Wx(monkeypatch)
    wx.app = None
    with pytest.raises(IpcUsageError, match=r"wx\.App"):
        WxDispatcher()


def test_a_wx_dispatcher_closes_with_its_app(monkeypatch: pytest.MonkeyPatch) -> None:
    wx = Wx(monkeypatch)
    ui = wx.dispatcher()
    ui.post(lambda: pytest.fail("nothing runs any more"))
    wx.app = None
    assert ui.closed


def test_a_wx_dispatcher_closes_when_wx_has_let_go_of_its_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wx = Wx(monkeypatch)
    app = wx.app
    ui = wx.dispatcher()
    ui.post(lambda: pytest.fail("nothing runs any more"))
    wx.app = None
    ui.post(lambda: pytest.fail("nothing runs any more"))
    assert app is not None
    assert ui.closed


def test_a_wx_dispatcher_is_not_that_of_the_next_app(monkeypatch: pytest.MonkeyPatch) -> None:
    wx = Wx(monkeypatch)
    app = wx.app
    ui = wx.dispatcher()
    wx.app = type(app)()
    ui.post(lambda: pytest.fail("nothing runs any more"))
    assert ui.closed


def test_a_wx_dispatcher_that_is_forgotten_is_no_hindrance_to_the_apps_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wx = Wx(monkeypatch)
    ui = weakref.ref(wx.dispatcher())
    gc.collect()
    assert ui() is None
    wx.app = None


# --- A program that ends without closing ---

PROGRAM = """
import itertools, threading
from contextlib import nullcontext
from opencode_sync.desktop.dispatch import {dispatcher}
{setup}
taken = threading.Event()
ui = {dispatcher}({arguments})
ui.follow(lambda: nullcontext(itertools.count()), lambda items: taken.set(), print)
threading.Thread(target=lambda: [ui.post(int) for _ in itertools.count()], daemon=True).start()
while not taken.is_set():
    {step}
"""
QT = {
    "dispatcher": "QtDispatcher",
    "setup": "from PySide6.QtWidgets import QApplication; application = QApplication([])",
    "arguments": "",
    "step": "application.processEvents()",
}
TK = {
    "dispatcher": "TkDispatcher",
    "setup": "import tkinter; root = tkinter.Tk()",
    "arguments": "root",
    "step": "root.update()",
}


@pytest.mark.parametrize("program", [QT, TK], ids=["qt", "tk"])
def test_a_program_that_ends_in_the_middle_of_a_flood_does_not_crash(
    program: dict[str, str], display: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(**program)],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# --- Missing ---


@pytest.mark.parametrize(
    ("dispatcher", "package", "remedy"),
    [
        ("WxDispatcher", "wx", "pip install wxPython"),
        ("GtkDispatcher", "gi", "python3-gi"),
        ("QtDispatcher", "PySide6", r"pip install 'opencode-sync-sdk\[desktop\]'"),
    ],
)
def test_a_toolkit_that_is_missing_is_named_with_the_remedy(
    dispatcher: str, package: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(package, monkeypatch)
    monkeypatch.delitem(sys.modules, "opencode_sync.desktop.dispatch.qt", raising=False)
    monkeypatch.delattr(dispatch, "qt", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Without(package), *sys.meta_path])
    with pytest.raises(IpcConfigError, match=remedy):
        getattr(dispatch, dispatcher)()


@pytest.mark.parametrize("dispatcher", ["WxDispatcher", "GtkDispatcher", "QtDispatcher"])
def test_a_toolkit_that_is_broken_says_so_itself(
    dispatcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks is not the toolkit."""
    for package in ("wx", "gi", "PySide6"):
        forget(package, monkeypatch)
    monkeypatch.delitem(sys.modules, "opencode_sync.desktop.dispatch.qt", raising=False)
    monkeypatch.delattr(dispatch, "qt", raising=False)
    monkeypatch.setattr(
        sys, "meta_path", [_Without("wx", "gi", "PySide6", says="numpy"), *sys.meta_path]
    )
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        getattr(dispatch, dispatcher)()


def test_there_are_no_other_toolkits() -> None:
    with pytest.raises(AttributeError, match="CursesDispatcher"):
        dispatch.CursesDispatcher  # noqa: B018


def test_no_toolkit_is_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys, opencode_sync.desktop.dispatch as d\n"
        "d.Dispatcher, d.Delivery\n"
        "print(sorted({'PySide6', 'tkinter', 'wx', 'gi'} & set(sys.modules)))\n"
        "d.TkDispatcher\n"
        "print(sorted({'PySide6', 'tkinter', 'wx', 'gi'} & set(sys.modules)))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert printed.stdout == "[]\n[]\n"


def forget(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name == package or name.startswith(package + "."):
            monkeypatch.delitem(sys.modules, name)


class _Without:
    """Finds that some packages are not installed."""

    def __init__(self, *packages: str, says: str = "") -> None:
        self._packages = packages
        self._says = says

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] in self._packages:
            missing = self._says or name
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

"""Windows of example programs: what they show, and running them until they show it."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable, Iterator
from typing import Final

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QListWidget,
    QPlainTextEdit,
    QWidget,
)

WAIT: Final = 30.0
_TICK: Final = 5


def tk_text(window: tkinter.Misc) -> str:
    """Return all that is to be read in a Tk window."""
    return "\n".join(_tk_texts(window))


def _tk_texts(widget: tkinter.Misc) -> Iterator[str]:
    if isinstance(widget, tkinter.Listbox):
        yield from widget.get(0, "end")
    elif isinstance(widget, tkinter.Text):
        yield widget.get("1.0", "end")
    elif isinstance(widget, tkinter.Label):
        yield str(widget["text"])
    for child in widget.winfo_children():
        yield from _tk_texts(child)


def run_tk(window: tkinter.Misc, condition: Callable[[], bool]) -> None:
    """Run Tk's loop until something is true."""
    give_up = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < give_up, f"it did not come true; it shows: {tk_text(window)}"
        tick = window.after(_TICK, lambda: None)
        window.tk.dooneevent(0)
        window.after_cancel(tick)


def qt_text() -> str:
    """Return all that is to be read in Qt's windows, as far as they are open."""
    shown = [each for each in QApplication.allWidgets() if each.isVisible()]
    return "\n".join(text for each in shown for text in _qt_texts(each))


def _qt_texts(widget: QWidget) -> Iterator[str]:
    if isinstance(widget, QListWidget):
        for row in range(widget.count()):
            yield widget.item(row).text()
    elif isinstance(widget, QPlainTextEdit):
        yield widget.toPlainText()
    elif isinstance(widget, QLabel):
        yield widget.text()


def run_qt(application: QApplication, condition: Callable[[], bool]) -> None:
    """Run Qt's loop until something is true."""
    tick = QTimer(application)
    tick.start(_TICK)
    give_up = time.monotonic() + WAIT
    try:
        while not condition():
            assert time.monotonic() < give_up, f"it did not come true; it shows: {qt_text()}"
            application.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    finally:
        tick.stop()
        tick.deleteLater()

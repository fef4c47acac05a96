"""Brings results, streams and state changes to a GUI toolkit's own thread.

================  =======================================================
``QtDispatcher``  PySide6 (extra ``desktop``)
``TkDispatcher``  tkinter, of the standard library
``WxDispatcher``  wxPython
``GtkDispatcher`` PyGObject, with GTK 3 or 4
================  =======================================================

Each has the methods of ``Dispatcher``. A toolkit is imported when its dispatcher is first asked
for, and not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opencode_sync.desktop.dispatch.base import Delivery, Dispatcher

if TYPE_CHECKING:
    from opencode_sync.desktop.dispatch.gtk import GtkDispatcher
    from opencode_sync.desktop.dispatch.qt import QtDispatcher
    from opencode_sync.desktop.dispatch.tk import TkDispatcher
    from opencode_sync.desktop.dispatch.wx import WxDispatcher

__all__ = [
    "Delivery",
    "Dispatcher",
    "GtkDispatcher",
    "QtDispatcher",
    "TkDispatcher",
    "WxDispatcher",
]

_ROOMS = {
    "GtkDispatcher": "gtk",
    "QtDispatcher": "qt",
    "TkDispatcher": "tk",
    "WxDispatcher": "wx",
}


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{room}"), name)

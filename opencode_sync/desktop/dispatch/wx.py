"""wx: ``CallAfter``, and ``CallLater`` where others shall come first."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

from opencode_sync.desktop.dispatch.base import Dispatcher
from opencode_sync.errors import IpcConfigError, IpcUsageError

__all__ = ["WxDispatcher"]


class WxDispatcher(Dispatcher):
    """Runs callbacks in the loop of the ``wx.App``, on the main thread.

    It closes when the app is gone. Exceptions of callbacks go to
    ``sys.excepthook``, as those of event handlers do.
    """

    def __init__(self, *, batch: int = 256) -> None:
        """Make a dispatcher for the app, which has to be there.

        Args:
            batch: See ``Dispatcher``.

        Raises:
            IpcConfigError: wxPython is not installed.
            IpcUsageError: there is no ``wx.App``.
        """
        # Not typed: wxPython is no dependency, not even of those who check this package.
        self._wx: Any = _import_wx()
        app = self._wx.GetApp()
        if app is None:
            raise IpcUsageError("there is no wx.App yet; make one before its WxDispatcher")
        self._app = weakref.ref(app)
        super().__init__(batch)
        # What was posted since its loop ended will never run, and more may come for a long time.
        weakref.finalize(app, _close, weakref.ref(self)).atexit = False

    def post(self, callback: Callable[[], object]) -> None:
        """See ``Dispatcher``. Closes when the app was destroyed, also where somebody keeps it."""
        if self._wx.GetApp() is not self._app():
            self.close()
        super().post(callback)

    def _wake(self) -> bool:
        try:
            self._wx.CallAfter(self._woken)
        except (AssertionError, RuntimeError):  # what it raises without an app, or one that is gone
            return False
        return True

    def _wake_after_rest(self) -> None:
        # Not CallAfter: wx runs what that adds, and what is added meanwhile, before it draws.
        self._wx.CallLater(1, self._woken)

    def _report(self, error: Exception) -> None:
        sys.excepthook(type(error), error, error.__traceback__)


def _close(reference: weakref.ref[WxDispatcher]) -> None:
    dispatcher = reference()
    if dispatcher is not None:
        dispatcher.close()


def _import_wx() -> Any:
    try:
        return import_module("wx")
    except ModuleNotFoundError as error:
        if error.name != "wx":
            raise
        raise IpcConfigError(
            "WxDispatcher needs the package wxPython, which is not installed; run: pip install "
            "wxPython",
            source="installation",
        ) from None

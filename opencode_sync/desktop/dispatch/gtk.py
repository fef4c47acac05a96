"""GTK 3 and 4: ``GLib.idle_add``, and ``GLib.timeout_add`` where others shall come first."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from opencode_sync.desktop.dispatch.base import Dispatcher
from opencode_sync.errors import IpcConfigError

__all__ = ["GtkDispatcher"]


class GtkDispatcher(Dispatcher):
    """Runs callbacks in GLib's default main loop, on the thread that runs it.

    Exceptions of callbacks go to ``sys.excepthook``, as those of signal handlers do.
    """

    def __init__(self, *, batch: int = 256) -> None:
        """Make a dispatcher.

        Args:
            batch: See ``Dispatcher``.

        Raises:
            IpcConfigError: PyGObject is not installed.
        """
        # Not typed: PyGObject is no dependency, not even of those who check this package.
        self._glib: Any = _import_glib()
        super().__init__(batch)

    def _wake(self) -> bool:
        self._glib.idle_add(self._source)
        return True

    def _wake_after_rest(self) -> None:
        self._glib.timeout_add(1, self._source)

    def _source(self) -> bool:
        self._woken()
        return False  # once is enough

    def _report(self, error: Exception) -> None:
        sys.excepthook(type(error), error, error.__traceback__)


def _import_glib() -> Any:
    try:
        return import_module("gi.repository.GLib")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "gi":
            raise
        raise IpcConfigError(
            "GtkDispatcher needs the package PyGObject, which is not installed; install your "
            "system's python3-gi, or run: pip install PyGObject",
            source="installation",
        ) from None

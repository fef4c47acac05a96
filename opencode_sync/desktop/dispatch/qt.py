"""Qt: a signal that is always queued, which Qt brings to the receiver's thread."""

from __future__ import annotations

import itertools
import sys
import weakref
from typing import Final

from opencode_sync.desktop.dispatch.base import Dispatcher
from opencode_sync.errors import IpcConfigError

try:
    from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "PySide6":
        raise
    raise IpcConfigError(
        "QtDispatcher needs the package PySide6-Essentials of the extra desktop, which is not "
        "installed; run: pip install 'opencode-sync-sdk[desktop]'",
        source="installation",
    ) from None

__all__ = ["QtDispatcher"]


class QtDispatcher(Dispatcher):
    """Runs callbacks on the Qt thread it was made on, which as a rule is the main thread.

    Exceptions of callbacks go to ``sys.excepthook``, as those of slots do.
    """

    def __init__(self, parent: QObject | None = None, *, batch: int = 256) -> None:
        """Make a dispatcher of the current thread's.

        Args:
            parent: The dispatcher closes when this object is destroyed; None leaves it to you.
            batch: See ``Dispatcher``.
        """
        super().__init__(batch)
        self._bell = _Bell(self)
        # Not the bell's parent: then other threads might ring one that Qt has just destroyed.
        if parent is not None:
            parent.destroyed.connect(lambda: self.close())

    def _wake(self) -> bool:
        self._bell.rung.emit()
        return True

    def _wake_after_rest(self) -> None:
        self._bell.alarm.start()

    def _let_go(self) -> None:
        self._bell.dismiss()

    def _report(self, error: Exception) -> None:
        sys.excepthook(type(error), error, error.__traceback__)


class _Bell(QObject):
    """Rung from any thread, heard on the one it was made on."""

    rung = Signal()

    def __init__(self, dispatcher: QtDispatcher) -> None:
        super().__init__()
        self._dispatcher = weakref.ref(dispatcher)
        self.rung.connect(self._heard, Qt.ConnectionType.QueuedConnection)
        self.alarm = QTimer(self)
        self.alarm.setSingleShot(True)
        self.alarm.setInterval(1)
        self.alarm.timeout.connect(self._heard)
        number = next(_numbers)
        _bells[number] = self
        self.destroyed.connect(lambda: _bells.pop(number, None))
        weakref.finalize(dispatcher, self.dismiss).atexit = False

    @Slot()
    def _heard(self) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is not None:
            dispatcher._woken()

    def dismiss(self) -> None:
        """Have Qt destroy it, on its own thread. Any thread may call; more than once is fine."""
        try:
            self.deleteLater()
        except RuntimeError:
            return  # it is destroyed


# All there are, until Qt has destroyed them. Python alone would destroy one wherever its reference
# count or its collector happens to come upon it, and Qt crashes when that is another thread.
_bells: Final[dict[int, _Bell]] = {}
_numbers = itertools.count()

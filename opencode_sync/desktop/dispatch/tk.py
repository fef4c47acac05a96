"""Tk: a pipe that wakes its loop, or a look every few milliseconds where it takes no pipes.

Tk has no call that suits every thread: ``event_generate`` and ``after`` from another one make that
thread wait until the loop takes the call (and fail when it does not run), and with a Tcl built
without threads they corrupt it. What is always right is to write to a pipe that Tk reads: the loop
sleeps until there is something, and no thread waits. Python's Tk can do that everywhere but on
Windows. There, and only there, the loop looks for itself, fifty times a second.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from opencode_sync.desktop.dispatch.base import Dispatcher

if TYPE_CHECKING:
    import tkinter

__all__ = ["TkDispatcher"]

_LOOK: Final = 20
"""Milliseconds between two looks where there is no pipe."""

_READABLE: Final = 2
"""``tkinter.READABLE``; whoever has a window has imported that, and this package need not."""


class TkDispatcher(Dispatcher):
    """Runs callbacks in the loop of a Tk window, on the thread it was made on.

    It closes when the window is destroyed. Exceptions of callbacks go to the root window's
    ``report_callback_exception``, as those of ``command=`` functions do.
    """

    def __init__(self, root: tkinter.Misc, *, batch: int = 256) -> None:
        """Make a dispatcher, on the thread that runs the window's loop.

        Args:
            root: The root window, or any widget that lives as long as callbacks are wanted.
            batch: See ``Dispatcher``.

        Raises:
            tkinter.TclError: the window is destroyed.
            RuntimeError: this is another thread.
        """
        super().__init__(batch)
        # Let go of with the window: Tcl ends the process when a thread that is not the window's is
        # the last to hold it, and other threads hold this object.
        self._root: tkinter.Misc | None = root
        self._thread = threading.get_ident()
        # What follows belongs to that thread. But any thread writes to the pipe, under the lock,
        # under which it is therefore taken out: its numbers are soon somebody else's.
        self._timer: str | None = None
        self._pipe: tuple[int, int] | None = None
        try:
            self._pipe = _pipe_into(root.tk, self._heard)
            if self._pipe is None:
                self._look_in(_LOOK)
            root.bind("<Destroy>", self._destroyed, add="+")
        except BaseException:
            self.close()
            raise

    def _wake(self) -> bool:
        if self._pipe is not None:
            os.write(self._pipe[1], b"!")  # never more than one is on its way
        return True

    def _wake_after_rest(self) -> None:
        self._look_in(1)

    def _report(self, error: Exception) -> None:
        what = (type(error), error, error.__traceback__)
        if self._root is None:
            sys.excepthook(*what)
        else:
            self._root.nametowidget(".").report_callback_exception(*what)

    def _let_go(self) -> None:
        if threading.get_ident() == self._thread:
            self._dismantle()
        else:
            self._wake()  # the window's thread finds it closed

    # --- On the window's thread ---

    def _heard(self, file: Any, mask: int) -> None:
        if self._pipe is not None:
            os.read(self._pipe[0], 16)
        self._look()

    def _look(self) -> None:
        if self.closed:
            self._dismantle()
            return
        if self._pipe is None:
            self._look_in(_LOOK)  # before the callbacks, of which one may run a loop of its own
        self._woken()

    def _look_in(self, milliseconds: int) -> None:
        self._stop_timer()
        if self._root is not None:
            self._timer = self._root.after(milliseconds, self._look)

    def _destroyed(self, event: tkinter.Event[tkinter.Misc]) -> None:
        if event.widget is self._root:  # and not one of its children
            self.close()
            self._dismantle()  # in case that another thread had closed it

    def _dismantle(self) -> None:
        self._stop_timer()
        root, self._root = self._root, None
        with self._lock:
            pipe, self._pipe = self._pipe, None
        if root is not None and pipe is not None:
            root.tk.deletefilehandler(pipe[0])
            for end in pipe:
                os.close(end)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and self._root is not None:
            self._root.after_cancel(timer)


def _pipe_into(tcl: Any, heard: Any) -> tuple[int, int] | None:
    """Have Tk's loop call ``heard`` when something is in a pipe; None where it takes no pipes."""
    if not hasattr(tcl, "createfilehandler"):
        return None
    pipe = os.pipe()
    for end in pipe:
        os.set_blocking(end, False)
    try:
        tcl.createfilehandler(pipe[0], _READABLE, heard)
    except BaseException:
        for end in pipe:
            os.close(end)
        raise
    return pipe

"""Ctrl-C in the terminal that the window was started from, and SIGTERM."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from PySide6.QtCore import QSocketNotifier

__all__ = ["ending_on_signals"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def ending_on_signals(end: Callable[[], object]) -> Iterator[None]:
    """Have ``end()`` called on the Qt thread when the process is told to end. Main thread only.

    Python runs a signal's handler between two of its own instructions, of which there are none
    while Qt waits. So each signal also writes a byte, for which Qt does wake up.
    """
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    notifier = QSocketNotifier(reading.fileno(), QSocketNotifier.Type.Read)

    def told() -> None:
        reading.recv(64)
        end()

    notifier.activated.connect(told)

    def handle(number: int, frame: FrameType | None) -> None:
        pass  # the byte does it

    previous = {}
    former_descriptor = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handle)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(former_descriptor)
        notifier.setEnabled(False)
        reading.close()
        writing.close()

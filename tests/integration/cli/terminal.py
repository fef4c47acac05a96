"""A program in a terminal of its own: what it shows is waited for, what it reads is typed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

CTRL_C, CTRL_D = "\x03", "\x04"
WAIT = 60.0

# Makes its standard input the terminal that it is controlled by, and becomes the program. (Not a
# preexec_fn, which must not be used beside threads.)
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Runs a program in a new terminal; a context manager, at whose end it is killed."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        kind: str = "dumb",
    ) -> None:
        self._master, slave = os.openpty()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _IN_TERMINAL, *command],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env={**(os.environ if environ is None else environ), "TERM": kind},
                start_new_session=True,
            )
        finally:
            os.close(slave)
        self._changed = threading.Condition()  # guards the next three
        self._shown = ""
        self._read_until = 0
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="test-terminal")
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(WAIT)
        self._reader.join(WAIT)
        os.close(self._master)

    def _read(self) -> None:
        # Linux says EIO when the last program has let go of the terminal.
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 4096):
                with self._changed:
                    self._shown += data.decode(errors="replace")
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def shown(self) -> str:
        """All that was shown so far."""
        with self._changed:
            return self._shown

    def expect(self, text: str) -> str:
        """Wait until it shows this, after what was expected before; returns what came before it."""
        with self._changed:
            begin = self._read_until
            found = self._changed.wait_for(lambda: text in self._shown[begin:] or self._ended, WAIT)
            at = self._shown.find(text, begin)
            assert found, f"{text!r} was not shown within {WAIT} s: {self._shown!r}"
            assert at >= 0, f"it ended without showing {text!r}: {self._shown!r}"
            self._read_until = at + len(text)
            return self._shown[begin:at]

    def type(self, text: str) -> None:
        """Type something; a line ends with a line break."""
        os.write(self._master, text.encode())

    def interrupt_typing(self) -> None:
        """Press Ctrl-C where a line is being read.

        Python notices one that comes just before it begins to wait only when the line ends, so the
        line is ended as well; an empty one means nothing to the program.
        """
        self.type(CTRL_C)
        with contextlib.suppress(OSError):  # it may be gone already
            self.type("\n")

    def end_typing(self) -> int:
        """Press Ctrl-D until the program ends; returns its exit code.

        More than once, for between two lines a terminal has other rules: one that comes just then
        says nothing.
        """
        for _ in range(round(WAIT)):
            with contextlib.suppress(OSError):  # it may be gone already
                self.type(CTRL_D)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
                break
        return self.code()

    def code(self) -> int:
        """Wait for the program's end and return its exit code."""
        code = self.process.wait(WAIT)
        self._reader.join(WAIT)
        return code

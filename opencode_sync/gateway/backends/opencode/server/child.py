"""Child processes that can be ended for good: under the guard, or plain where there can be none."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from opencode_sync.deadline import Deadline

__all__ = ["Child", "GuardedChild", "PlainChild", "StartError", "start_child"]

_GRACE = 2.0
"""Seconds between asking a server to end and forcing it. OpenCode needs under 0.1."""

_GUARD = Path(__file__).with_name("guard.py")


class StartError(Exception):
    """A process could not be started; the text says why."""


class Child(ABC):
    """A running process with its output. Any thread may call any method."""

    pid: int
    stdout: IO[bytes]
    stderr: IO[bytes]

    def __init__(self) -> None:
        self._owner = os.getpid()

    @abstractmethod
    def exit_code(self) -> int | None:
        """Return None while it runs, else its exit code; negative is the signal that ended it."""

    @abstractmethod
    def wait(self, deadline: Deadline) -> bool:
        """Wait for it to end by itself; returns whether it did."""

    @abstractmethod
    def _end(self, deadline: Deadline) -> bool:
        """End it and its group."""

    def end(self, deadline: Deadline) -> bool:
        """End it and what it started; returns whether that is done. Idempotent.

        A deadline that never comes means as long as asking first and then forcing takes. Does
        nothing in a process forked from the one that started it.
        """
        if os.getpid() != self._owner:
            return False
        return self._end(deadline.earlier(Deadline.after(2 * _GRACE)))


def start_child(
    command: Sequence[str], environ: Mapping[str, str], directory: Path, deadline: Deadline
) -> Child:
    """Start a process, under a guard if there can be one.

    Raises:
        StartError: it cannot be started, or not before the deadline.
    """
    # sys.executable of a frozen program is the program itself; embedded Python may have none.
    if os.name == "posix" and sys.executable and not getattr(sys, "frozen", False):
        return GuardedChild(command, environ, directory, deadline)
    return PlainChild(command, environ, directory)


def _kill_group(pid: int, number: int) -> None:
    # No such group: all have ended. macOS says "not permitted" of a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _waited(process: subprocess.Popen[bytes], deadline: Deadline) -> bool:
    try:
        process.wait(deadline.remaining())
    except subprocess.TimeoutExpired:
        return False
    return True


class GuardedChild(Child):
    """A child of the guard, which ends it when our end of a socket closes: by us or by our death.

    Costs one more process: about 10 MB, and 30 ms at the start.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        directory: Path,
        deadline: Deadline,
    ) -> None:
        super().__init__()
        self._lock = threading.Lock()  # guards _channel's end and _code
        self._code: int | None = None
        self._channel, theirs = socket.socketpair()
        with theirs:
            try:
                # Isolated and without site: it needs the standard library and nothing else.
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", os.fspath(_GUARD), str(_GRACE), *command],
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=dict(environ),
                    cwd=directory,
                    start_new_session=True,  # a Ctrl-C in our terminal is for us to act upon
                )
            except (OSError, ValueError) as error:
                self._channel.close()
                raise StartError(str(error)) from error
        assert self._guard.stdout is not None
        assert self._guard.stderr is not None
        self.stdout, self.stderr = self._guard.stdout, self._guard.stderr
        try:
            self.pid = self._read_pid(deadline)
        except BaseException:
            self._channel.close()
            if not _waited(self._guard, Deadline.after(2 * _GRACE)):
                self._guard.kill()
                self._guard.wait()
            self.stdout.close()
            self.stderr.close()
            raise

    def _read_pid(self, deadline: Deadline) -> int:
        kind, _, rest = self._read_line(deadline).partition(" ")
        if kind == "pid":
            return int(rest)
        raise StartError(rest or "its guard ended at once")

    def _read_line(self, deadline: Deadline) -> str:
        """Return the guard's next line; "" if there will be none."""
        line = b""
        while not line.endswith(b"\n"):
            left = deadline.remaining()
            if left == 0.0:
                raise StartError("it did not start in the time allowed")
            self._channel.settimeout(left)
            try:
                byte = self._channel.recv(1)  # at most two short lines ever come
            except TimeoutError:
                continue
            if not byte:
                return ""
            line += byte
        return line.decode(errors="replace").rstrip("\n")

    def exit_code(self) -> int | None:
        if self._guard.poll() is None:
            return None
        with self._lock:
            if self._code is None:
                self._code = self._read_code()
                self._channel.close()
            return self._code

    def _read_code(self) -> int:
        kind, _, rest = self._read_line(Deadline.after(_GRACE)).partition(" ")
        if kind == "exit":
            return int(rest)
        # Somebody killed the guard: what it was there for is left to us.
        _kill_group(self.pid, signal.SIGKILL)
        return -signal.SIGKILL

    def _end(self, deadline: Deadline) -> bool:
        with self._lock:
            if self._code is None:
                # Says "end it", and leaves what the guard has said readable.
                with contextlib.suppress(OSError):
                    self._channel.shutdown(socket.SHUT_WR)
        return self.wait(deadline)

    def wait(self, deadline: Deadline) -> bool:
        return _waited(self._guard, deadline) and self.exit_code() is not None


class PlainChild(Child):
    """A direct child: ended by us, but not when we are killed."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
        super().__init__()
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                cwd=directory,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except (OSError, ValueError) as error:
            raise StartError(str(error)) from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.pid = self._process.pid
        self.stdout, self.stderr = self._process.stdout, self._process.stderr

    def exit_code(self) -> int | None:
        return self._process.poll()

    def _end(self, deadline: Deadline) -> bool:
        if self._process.poll() is None:
            self._signal("SIGTERM")
            self.wait(deadline.earlier(Deadline.after(_GRACE)))
        self._signal("SIGKILL")
        return self.wait(deadline)

    def wait(self, deadline: Deadline) -> bool:
        return _waited(self._process, deadline)

    def _signal(self, name: str) -> None:
        if os.name == "posix":
            # The group outlives its first process, and keeps its number from being used again.
            _kill_group(self.pid, getattr(signal, name))
        else:  # pragma: no cover (Windows, which has no groups to signal)
            self._process.kill()

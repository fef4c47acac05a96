"""Runs a program for its output, in bounded time and memory, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcConfigError

__all__ = ["command_output"]

MAX_OUTPUT = 64 * 1024
"""Bytes of standard output; a program that prints more is not the right one."""

_POSIX = os.name == "posix"
_KEPT_STDERR = 4096
_SHOWN_STDERR = 200
_KILL_GRACE = 5.0
"""Seconds a killed process has to be gone; only one stuck in the kernel takes longer."""
_EXIT_POLL = 0.05
"""Seconds between looks at the process where the system cannot say that it ended."""

# Standard error is for people and usually shows what is wrong, but a program may print there what
# it was about to send: JSON, what follows words like "token", and long runs of key-like characters.
_SECRETS = (
    (re.compile(r"[{\[].*"), "***"),
    (re.compile(r"(?i)(\w*(?:token|secret|passw(?:or)?d|key)\W*[:=]\W*|bearer\s+)\S+"), r"\1***"),
    (re.compile(r"(?=[A-Za-z_+-]*[0-9])[A-Za-z0-9_+-]{8,}|[A-Za-z0-9_+-]{24,}"), "***"),
)
_WORD = re.compile(r"[^\s\"'{}:,]{4,}")

_TIMED_OUT = "timed out"
_TOO_MUCH = "printed more than 64 KiB; give one that prints only the JSON"


class _Outcome(NamedTuple):
    output: bytes = b""
    errors: bytes = b""
    returncode: int = 0
    problem: str | None = None


def command_output(argv: Sequence[str], *, timeout: float, source: str) -> bytes:
    """Run a program without a shell and return what it printed to its standard output.

    It reads nothing. What it printed counts as soon as it ends; a process it started and left
    behind may hold its output open and is left alone. One that is not done in time, or that prints
    too much, is killed with all it started (POSIX) or alone (Windows).

    Args:
        argv: The program and its arguments.
        timeout: Seconds for the whole run.
        source: What to call the command in error messages.

    Raises:
        IpcConfigError: If it cannot be started, fails, takes too long or prints more than 64 KiB.
            The message never shows what it printed to its standard output.
    """
    deadline = Deadline.after(timeout)
    run = _run_with_pipes if _POSIX else _run_with_files
    output, errors, returncode, problem = run(argv, deadline, source)
    if problem is _TIMED_OUT:
        problem = (
            f"did not end within {timeout:g} s; "
            "check what it waits for, or allow it a longer timeout"
        )
    elif problem is None and returncode != 0:
        shown = _last_line(errors, output)
        problem = f"failed with {_exit_status(returncode)}{shown}; run it by hand to see why"
    if problem is not None:
        raise IpcConfigError(f"The {source} {problem}.", field="command", source=source)
    return output


def _start(
    argv: Sequence[str], source: str, output: int | IO[bytes], errors: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32":
        # A GUI program has no console to share.
        flags = subprocess.CREATE_NO_WINDOW  # pragma: no cover
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            # A session of its own is a process group of its own, which can be killed as a whole.
            start_new_session=_POSIX,
            creationflags=flags,
        )
    except OSError as error:
        problem = "was not found; install it or give its full path"
        if not isinstance(error, FileNotFoundError):
            reason = error.strerror or type(error).__name__
            problem = f"cannot be started ({reason}); check that it is a program"
        raise IpcConfigError(f"The {source} {problem}.", field="command", source=source) from error


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """See to it that the process has ended and its pipes are closed, whatever happens inside."""
    try:
        yield process
    finally:
        # While it has not been waited for, its id is still its own: no stranger can be hit.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if _POSIX:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_GRACE)
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


def _run_with_pipes(argv: Sequence[str], deadline: Deadline, source: str) -> _Outcome:
    process = _start(argv, source, subprocess.PIPE, subprocess.PIPE)
    output, errors = bytearray(), bytearray()
    with (
        _ended(process),
        selectors.DefaultSelector() as selector,
        _exit_signal(process) as ended,
    ):
        assert process.stdout is not None  # both were asked for
        assert process.stderr is not None
        buffers: dict[IO[bytes], bytearray] = {process.stdout: output, process.stderr: errors}
        for pipe in buffers:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
        if ended is not None:
            selector.register(ended, selectors.EVENT_READ)
        while True:
            # Asked before reading: what an ended process wrote is all in the pipes by then.
            process.poll()
            for pipe in list(buffers):
                if not _drain(pipe, buffers[pipe]):
                    selector.unregister(pipe)
                    del buffers[pipe]
            del errors[:-_KEPT_STDERR]
            if len(output) > MAX_OUTPUT:
                return _Outcome(problem=_TOO_MUCH)
            if process.returncode is not None:
                return _Outcome(bytes(output), bytes(errors), process.returncode)
            left = deadline.remaining()
            if left == 0.0:
                return _Outcome(problem=_TIMED_OUT)
            if ended is None:
                left = _EXIT_POLL if left is None else min(left, _EXIT_POLL)
            selector.select(left)


def _drain(pipe: IO[bytes], buffer: bytearray) -> bool:
    """Take a bounded piece of what is there; return False at the end of the pipe."""
    try:
        piece = os.read(pipe.fileno(), MAX_OUTPUT + 1)
    except BlockingIOError:
        return True
    buffer += piece
    return bool(piece)


@contextlib.contextmanager
def _exit_signal(process: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """Yield a descriptor that becomes readable when the process ends; None if there is none."""
    descriptor: int | None = None
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            descriptor = os.pidfd_open(process.pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _run_with_files(argv: Sequence[str], deadline: Deadline, source: str) -> _Outcome:
    # Where pipes cannot be waited for, reading them takes threads, which whoever inherited a pipe
    # can hold up for ever. Files need none.
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        _ended(_start(argv, source, output, errors)) as process,
    ):
        while True:
            left = deadline.remaining()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT_POLL if left is None else min(left, _EXIT_POLL))
            if os.fstat(output.fileno()).st_size > MAX_OUTPUT:
                return _Outcome(problem=_TOO_MUCH)
            if process.returncode is not None:
                output.seek(0)
                errors.seek(max(0, os.fstat(errors.fileno()).st_size - _KEPT_STDERR))
                return _Outcome(output.read(MAX_OUTPUT), errors.read(), process.returncode)
            if left == 0.0:
                return _Outcome(problem=_TIMED_OUT)


def _exit_status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"


def _last_line(errors: bytes, output: bytes) -> str:
    """Return the last line of standard error as it may be shown, in parentheses, or nothing."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines()]
    line = next((line for line in reversed(lines) if line), "")
    # Whatever also went to standard output may be the token, whatever it looks like.
    for word in set(_WORD.findall(output.decode(errors="replace"))):
        line = line.replace(word, "***")
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    line = "".join(character if character.isprintable() else "?" for character in line)
    if len(line) > _SHOWN_STDERR:
        line = line[:_SHOWN_STDERR] + "..."
    return f" ({line})" if line else ""

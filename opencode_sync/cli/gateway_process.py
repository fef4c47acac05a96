"""A gateway in a process of its own, for as long as a ``with`` block lasts."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import opencode_sync
from opencode_sync.cli.errors import CommandError, ExitCode
from opencode_sync.deadline import Deadline
from opencode_sync.printable import printable

__all__ = ["GatewayProcess", "gateway_command"]

_KEPT_LINES = 20
_SHOWN_CHARACTERS = 300
_KILL_TIMEOUT = 5.0
"""Seconds. What the system needs to bury a killed process, with plenty to spare."""


def gateway_command(directory: Path) -> tuple[list[str], Path]:
    """Return the command of a gateway that keeps all it writes in one directory.

    Args:
        directory: Where the session store and the runtime file go.

    Returns:
        The command, and where its runtime file will be.
    """
    runtime_file = directory / "gateway.json"
    return [
        *_this_package(),
        "gateway",
        "--backend=embedded",
        f"--database={directory / 'sessions.db'}",
        f"--runtime-file={runtime_file}",
        "--until-stdin-ends",
    ], runtime_file


def _this_package() -> list[str]:
    # -m would also search the current folder, where a stray typer.py may lie; -P forbids that.
    # Only where the package itself is found in the current folder it has to be searched.
    root = Path(opencode_sync.__file__).resolve().parent.parent
    safe_path = [] if root == Path.cwd().resolve() else ["-P"]
    return [sys.executable, *safe_path, "-m", "opencode_sync"]


class GatewayProcess:
    """Starts a gateway on entering the block, and ends it on leaving, whatever happened inside.

    Not thread-safe: one thread starts it, waits for it and ends it.
    """

    def __init__(
        self, command: Sequence[str], runtime_file: Path, *, stop_timeout: float = 10.0
    ) -> None:
        """Remember what to start.

        Args:
            command: Program and arguments.
            runtime_file: What the gateway writes once clients can connect.
            stop_timeout: Seconds it gets to end by itself once told to.
        """
        self._command = list(command)
        self._runtime_file = runtime_file
        self._stop_timeout = stop_timeout
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        # The reader puts each line, and None at the end of the output. It never blocks there.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.killed = False
        """Whether it had to be killed, for it did not end when told to."""

    @property
    def pid(self) -> int:
        """The id of the process; 0 before the start."""
        return 0 if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            # Nothing is written there: the system closes it even if this process is killed, and
            # that tells the gateway to end.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        try:
            # Ends when the process does, for then its output does; stop() waits for that.
            self._reader = threading.Thread(
                target=self._read,
                args=(self._process.stdout,),
                name="opencode-sync-demo-output",
                daemon=True,
            )
            self._reader.start()
        except BaseException:
            self._reader = None
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until clients can find the gateway.

        Args:
            timeout: Seconds it may take.

        Raises:
            CommandError: it ended first, or took too long; the text quotes its last words.
        """
        deadline = Deadline.after(timeout)
        while not self._runtime_file.exists():
            try:
                # The gateway says a line once it is ready, after it has written the file.
                line = self._lines.get(timeout=deadline.remaining())
            except queue.Empty:
                raise CommandError(
                    f"the gateway was not ready within {timeout:g} s; {self._last_words()}",
                    ExitCode.FAILED,
                ) from None
            if line is None:
                code = self._ended()
                raise CommandError(
                    f"the gateway ended with exit code {code} before it was ready; "
                    f"{self._last_words()}",
                    ExitCode.FAILED,
                )
            self._last_lines.append(line)

    def stop(self) -> None:
        """Tell the gateway to end, wait, and kill it if it does not. More than once is fine."""
        process = self._process
        if process is None:
            return
        try:
            process.terminate()  # does nothing to a process that has ended
            process.wait(self._stop_timeout)
        except subprocess.TimeoutExpired:
            self.killed = True
        finally:
            # Also when Ctrl-C cut the wait short: nothing may stay behind.
            process.kill()
            process.wait(_KILL_TIMEOUT)
            assert process.stdin is not None
            process.stdin.close()
            if self._reader is not None:
                self._reader.join(_KILL_TIMEOUT)
            elif process.stdout is not None:
                process.stdout.close()

    def _ended(self) -> int | None:
        # The end of the output comes a moment before the end of the process.
        assert self._process is not None
        try:
            return self._process.wait(_KILL_TIMEOUT)
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self) -> str:
        words = [line for line in self._last_lines if line]
        if not words:
            return "it said nothing"
        return f"its last words: {printable(words[-1], _SHOWN_CHARACTERS)}"

    # Runs on the reader thread.
    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

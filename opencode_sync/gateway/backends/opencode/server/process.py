"""An OpenCode server of our own: started, waited for, watched, and ended with all it started.

``OwnedServer.start`` runs ``opencode serve`` under a guard (``guard``), which ends the server
even when this process is killed. Where there can be no guard (Windows, a frozen program
without an interpreter) the server is a plain child, ended by ``stop`` and at interpreter exit.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import socket
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_result,
    sleep_using_event,
    wait_exponential,
)

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import IpcError
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import no_server, one_line, server_error
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.server.child import Child, StartError, start_child
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = [
    "START_TIMEOUT",
    "OwnedServer",
    "find_executable",
    "port_is_taken",
    "port_of",
    "usable_url",
]

START_TIMEOUT = 20.0
"""Seconds a server gets to become healthy, if its caller does not allow less."""

_PROBE_TIMEOUT = 1.0
"""Seconds for one question whether it is healthy. OpenCode accepts connections a moment before it
can answer, and a request sent in that moment is never answered: ask again, on a new connection."""

_LISTENING = re.compile(r"listening on (https?://\S+)")
_TAIL_LINES = 40
_LINE_BYTES = 4096


def find_executable(executable: str | Path | None, environ: Mapping[str, str]) -> str:
    """Return the absolute path of the program to start.

    Args:
        executable: A path or a command's name; None for ``opencode``.
        environ: Its PATH is searched.

    Raises:
        BackendError: NO_SERVER, with how to install it.
    """
    wanted = os.fspath(executable) if executable is not None else "opencode"
    found = shutil.which(wanted, path=environ.get("PATH", os.defpath))
    if found is None:
        named = os.path.dirname(wanted)
        where = "is not a program that can be run" if named else "is not on PATH"
        remedy = "give the path of one that is" if named else "add its folder to PATH"
        raise no_server(
            f"OpenCode cannot be started: {wanted!r} {where}; install it with "
            f"`npm install -g opencode-ai`, or {remedy}"
        )
    return os.path.abspath(found)


def usable_url(printed: str) -> str:
    """Return the URL a server printed as one that can be called.

    It prints IPv6 addresses without their brackets, and the wildcard address as such.
    """
    scheme, _, address = printed.rstrip("/").partition("://")
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Output:
    """Empties one of the server's output pipes for as long as it is open, keeping the last lines.

    A pipe nobody reads would block the server once it is full.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.listening: Future[str | None] = Future()
        """The first URL it says it listens on; None when it ended without one."""
        self._lock = threading.Lock()  # guards _tail
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._stream = stream
        # Daemon: at interpreter exit the server is ended first, and with it the pipe.
        self._thread = threading.Thread(
            target=self._empty, name=f"opencode-sync-server-{name}", daemon=True
        )
        self._thread.start()

    def _empty(self) -> None:
        with self._stream:
            while line := self._stream.readline(_LINE_BYTES):
                with self._lock:
                    self._tail.append(line)
                if not self.listening.done():
                    match = _LISTENING.search(line.decode(errors="replace"))
                    if match:
                        self.listening.set_result(usable_url(match[1]))
        if not self.listening.done():
            self.listening.set_result(None)

    def tail(self) -> str:
        """Return its last words as one line, "" if it said nothing."""
        with self._lock:
            words = b" ".join(self._tail)
        return one_line(words.decode(errors="replace")[-400:])

    def join(self, deadline: Deadline) -> bool:
        self._thread.join(deadline.remaining())
        return not self._thread.is_alive()


class OwnedServer:
    """A server that we started, and that ends with us.

    Made by ``start``. Every method may be called by any thread. Forgetting the last reference to it
    ends the server, too.
    """

    def __init__(self, child: Child, *, command: str, username: str, password: str) -> None:
        self._child = child
        self._username = username
        self._password = password
        self._stdout = _Output(child.stdout, f"{child.pid}-stdout")
        self._stderr = _Output(child.stderr, f"{child.pid}-stderr")
        self._ending = threading.Event()
        self.command = command
        """Its command line; holds no secret."""
        self.base_url = ""
        """Where it listens; set once it does."""
        # Runs at interpreter exit as well. Must not refer to self, which would keep it alive.
        self._finalizer = weakref.finalize(self, child.end, Deadline(None))

    @classmethod
    def start(
        cls,
        *,
        executable: str,
        port: int,
        directory: Path,
        environ: Mapping[str, str],
        username: str,
        deadline: Deadline,
    ) -> OwnedServer:
        """Start it; it is not ready before ``wait_until_ready`` returned.

        Args:
            executable: The program's absolute path.
            port: Where it listens; 0 for any free port.
            directory: Its working directory, hence its default project.
            environ: Its whole environment, apart from the password.
            username: For HTTP Basic.
            deadline: For starting the process alone.

        Raises:
            BackendError: SERVER_ERROR: the process cannot be started.
        """
        command = [executable, "serve", "--port", str(port), "--hostname", "127.0.0.1"]
        # Without one, any program on this machine could read keys and run commands through it.
        # In the environment, because command lines can be read by every user.
        password = secrets.token_urlsafe(32)
        environment = {
            **environ,
            "OPENCODE_SERVER_USERNAME": username,
            "OPENCODE_SERVER_PASSWORD": password,
        }
        try:
            child = start_child(command, environment, directory, deadline)
        except StartError as error:
            raise server_error(
                f"OpenCode cannot be started with {executable} in {directory}: {error}"
            ) from error
        logger.info("Started OpenCode, process {pid}", pid=child.pid)
        return cls(child, command=shlex.join(command), username=username, password=password)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._child.pid

    def __repr__(self) -> str:
        return f"OwnedServer(pid={self.pid}, base_url={self.base_url!r})"

    def wait_until_ready(self, deadline: Deadline) -> OpenCodeHttp:
        """Wait until it says where it listens and answers there; returns a client for it.

        Raises:
            BackendError: SERVER_ERROR: it ended, or the deadline came first. It still has to be
                stopped.
        """
        try:
            url = self._stdout.listening.result(deadline.remaining())
        except FutureTimeoutError:
            raise server_error(
                f"OpenCode (process {self.pid}) did not say in time where it "
                f"listens{self._last_words()}"
            ) from None
        if url is None:
            # Its output ends a moment before the rest of the news is there.
            moment = deadline.earlier(Deadline.after(1.0))
            self._stderr.join(moment)
            self._child.wait(moment)
            raise server_error(
                f"OpenCode ended before it listened{self._how_it_ended()}{self._last_words()}"
            )
        self.base_url = url
        http = OpenCodeHttp(url, username=self._username, password=self._password)
        try:
            self._wait_until_healthy(http, deadline)
        except BaseException:
            http.close()
            raise
        return http

    def _wait_until_healthy(self, http: OpenCodeHttp, deadline: Deadline) -> None:
        def give_up(state: RetryCallState) -> bool:
            left = deadline.remaining()
            # Without time for another proper question, the last answer is the better reason.
            too_late = left is not None and left <= state.upcoming_sleep
            return too_late or self._ending.is_set() or self.exit_code() is not None

        retrying = Retrying(
            retry=retry_if_result(lambda healthy: not healthy) | retry_if_exception(_may_pass),
            wait=wait_exponential(multiplier=0.05, max=0.5),
            stop=give_up,
            sleep=sleep_using_event(self._ending),
        )
        try:
            retrying(
                lambda: http.is_healthy(
                    deadline=deadline.earlier(Deadline.after(_PROBE_TIMEOUT)), fresh=True
                )
            )
        except RetryError as error:
            problem = error.last_attempt.exception()
            reason = problem.message if isinstance(problem, IpcError) else "it is not healthy"
            raise server_error(
                f"OpenCode (process {self.pid}) listens at {self.base_url} but did not get "
                f"ready{self._how_it_ended()}: {reason}{self._last_words()}"
            ) from problem

    # While it runs, and afterwards...

    def exit_code(self) -> int | None:
        """Return None while it runs, else its exit code; negative is the signal that ended it."""
        return self._child.exit_code()

    def obituary(self, *, within: Deadline = NOW) -> str | None:
        """Return how it ended and its last words, None if it still runs at that deadline."""
        if not self._child.wait(within):
            return None
        # Its errors alone: what it printed last was where it listened.
        words = self._stderr.tail()
        words = f"; its last words: {words}" if words else ""
        return f"OpenCode (process {self.pid}) has ended{self._how_it_ended()}{words}"

    def _how_it_ended(self) -> str:
        code = self.exit_code()
        if code is None:
            return ""
        return f" with exit code {code}" if code >= 0 else f" by signal {-code}"

    def _last_words(self) -> str:
        words = self._stderr.tail() or self._stdout.tail()
        return f"; its last words: {words}" if words else ""

    def stop(self, deadline: Deadline) -> bool:
        """End it and all it started; returns whether that was done in time. Idempotent.

        Asks first, then forces. Wakes a thread in ``wait_until_ready``.
        """
        self._ending.set()
        ended = self._child.end(deadline)
        if ended:
            self._finalizer.detach()
            # On Linux nobody is left to hold the pipes open; elsewhere a process that the server
            # had detached may, and then these threads end with it.
            grace = deadline.earlier(Deadline.after(1.0))
            for output in (self._stdout, self._stderr):
                if not output.join(grace):
                    logger.warning(
                        "A process that OpenCode {pid} started still holds its output open",
                        pid=self.pid,
                    )
        return ended


def _may_pass(error: BaseException) -> bool:
    """Whether asking again can help: not when the password is refused or the program is wrong."""
    return isinstance(error, BackendError) and error.code != ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR


def port_of(base_url: str) -> int:
    """Return the port that a URL leads to."""
    parts = urlsplit(base_url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def port_is_taken(port: int) -> bool:
    """Return whether something listens on this loopback port."""
    with socket.socket() as probe:
        if os.name == "posix":  # or connections that just ended would count, too
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False

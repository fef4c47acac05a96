"""Which OpenCode server is in use: the one given by URL, a discovered one, or one of our own.

One server is bound at a time and a binding changes as a whole, so that each call works with one
server from its beginning to its end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.auth.keys import KeyChanges
from opencode_sync.gateway.backends.opencode.errors import no_server, server_error
from opencode_sync.gateway.backends.opencode.events.hub import EventHub
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, OutcomeUnknownError
from opencode_sync.gateway.backends.opencode.server.discovery import discover
from opencode_sync.gateway.backends.opencode.server.process import (
    START_TIMEOUT,
    OwnedServer,
    find_executable,
    port_is_taken,
    port_of,
)
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["Binding", "Servers"]

_HEALTH_TIMEOUT = 5.0
"""Seconds a server in use gets to say that it is healthy."""

_CLOSE_TIMEOUT = 5.0

_READER_NAME = "opencode-sync-gateway-reading"
_MOST_READERS = 16
"""How many may ask at a time; who comes then waits for one of these."""

_END_TIMEOUT = 1.0
"""Seconds to wait for them; they end at once, unless one is connecting just now."""

_STARTS = 3
"""Times that a start is tried: of two servers that start at once in one home, OpenCode 1.18 may end
one with "database is locked"."""

_START_APART = 0.5
"""Seconds at most between two tries, so that two do not meet again."""


@dataclass(frozen=True)
class Binding:
    """A server in use, or ready for it."""

    http: OpenCodeHttp
    pid: int = 0
    """0 when unknown."""
    command: str = ""
    """Without secrets; "" when unknown."""
    owned: OwnedServer | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    """What it was started with, secrets included; None unless it is ours."""
    keys: KeyChanges = field(default_factory=KeyChanges, repr=False, compare=False)
    """Which of its instances do not know a key yet."""
    events: EventHub = field(init=False, repr=False, compare=False)
    """What it publishes, for all who want it."""
    readers: WorkerPool = field(init=False, repr=False, compare=False)
    """Threads that ask it what its events do not say, while nobody's request waits for that."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", EventHub(self.http))
        object.__setattr__(self, "readers", WorkerPool(_READER_NAME, limit=_MOST_READERS))

    @property
    def info(self) -> ipc_pb2.IpcServerInfo:
        """A fresh message about it."""
        return ipc_pb2.IpcServerInfo(
            pid=self.pid,
            port=port_of(self.http.base_url),
            base_url=self.http.base_url,
            name="opencode",
            command=self.command,
            owned=self.owned is not None,
        )

    def works(self, deadline: Deadline) -> bool:
        """Return whether it says that it is healthy.

        Raises:
            BackendError: AUTH_ERROR: it refuses the password, which is no illness of its own.
        """
        try:
            return self.http.is_healthy(deadline=deadline.earlier(Deadline.after(_HEALTH_TIMEOUT)))
        except BackendError as error:
            if error.code == ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR:
                raise
            logger.debug("The OpenCode server in use does not work: {}", error.message)
            return False

    def raise_if_ended(self, deadline: Deadline, cause: BackendError | None = None) -> None:
        """Raise with its last words if it is ours and has ended.

        A moment is allowed for the news to arrive: its port closes before its death is known.

        Raises:
            OutcomeUnknownError: it has, and may have acted on the request, as ``cause`` says.
            BackendError: NO_SERVER: it has ended.
        """
        if self.owned is None:
            return
        obituary = self.owned.obituary(within=deadline.earlier(Deadline.after(0.5)))
        if obituary is not None:
            if isinstance(cause, OutcomeUnknownError):
                raise OutcomeUnknownError(
                    f"{obituary}; whether it acted on the request before is unknown; spawn a "
                    f"server, and look"
                ) from cause
            raise no_server(f"{obituary}; spawn a server to go on") from cause

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        deadline: Deadline,
        body: object = None,
        *,
        fresh: bool = False,
    ) -> Any:
        """Return what it answers, as ``OpenCodeHttp.call`` does; if it has ended, say how."""
        try:
            return self.http.call(
                method, path, deadline=deadline, query=query, body=body, fresh=fresh
            )
        except BackendError as error:
            lost = isinstance(error, OutcomeUnknownError)
            if lost or error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER:
                self.raise_if_ended(deadline, error)
            raise

    def misshapen(self, call: str, expected: str) -> BackendError:
        """Return the error for an answer that is JSON and not what was asked for."""
        return server_error(
            f"OpenCode at {self.http.base_url} answered {call} with JSON that is not {expected}; "
            f"this gateway knows OpenCode 1.18"
        )

    def release(self, deadline: Deadline) -> bool:
        """Let go of it; a server of ours ends. Returns whether that was done in time."""
        self.events.close()  # and with them all that the readers do
        if not self.readers.close(deadline.earlier(Deadline.after(_END_TIMEOUT))):
            logger.debug("A thread that asks OpenCode what is so ends when its request has ended")
        self.http.close()
        return self.owned is None or self.owned.stop(deadline)


class Servers:
    """Finds, starts, binds and ends servers. Every method may be called by any thread."""

    def __init__(
        self,
        configured: Binding | None,
        *,
        username: str,
        password: str | None,
        directory: Path | None,
        executable: str | Path | None,
        environ: Mapping[str, str] | None,
    ) -> None:
        """Do no I/O; the arguments are ``OpenCodeBackend``'s.

        Args:
            configured: The server given by URL: in use whenever there is none of our own.
            username: For HTTP Basic.
            password: Of discovered servers.
            directory: Where spawned servers work; None for the current directory.
            executable: What to spawn; None for ``opencode``.
            environ: A spawned server's whole environment; None for this process's. A discovered
                one has to have the same home and configuration.
        """
        self.configured = configured
        self._username = username
        self._password = password
        self._directory = directory
        self._executable = executable
        self._environ = environ
        # Held while a server is looked for, started or stopped, I/O included: two requests at once
        # must not yield two servers. Taken before _lock, never while holding it.
        self._change = threading.Lock()
        self._lock = threading.Lock()  # guards the next three; no I/O while holding it
        self._binding = configured
        self._starting: OwnedServer | None = None
        self._closed = False

    # What is in use...

    def current(self) -> Binding | None:
        """Return the server in use, None if there is none."""
        with self._lock:
            if self._closed:
                raise _closed()
            return self._binding

    def bound(self) -> Binding:
        """Return the server in use.

        Raises:
            BackendError: NO_SERVER: there is none.
        """
        binding = self.current()
        if binding is None:
            raise no_server(
                "No OpenCode server connected; discover a running one, spawn one, or start the "
                "gateway with --spawn, --discover or --opencode-url"
            )
        return binding

    # Changing it...

    def discover(self, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        """See ``OpenCodeBackend.discover_server``."""
        with self._changing(deadline):
            current = self.current()
            if current is not None and current.works(deadline):
                return current.info
            if self.configured is not None:
                # Somebody named the server to use: no other will do.
                if current is self.configured or not self.configured.works(deadline):
                    return None
                self._bind(self.configured, deadline)
                return self.configured.info
            found = discover(
                username=self._username,
                password=self._password,
                deadline=deadline,
                environ=os.environ if self._environ is None else self._environ,
            )
            if found is None:
                return None
            binding = Binding(found.http, found.pid, found.command)
            self._bind(binding, deadline)
            return binding.info

    def spawn(self, port: int | None, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        """See ``OpenCodeBackend.spawn_server``."""
        if port is not None and not 0 <= port <= 65535:  # OpenCode itself would clamp it
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                f"port must be from 1 to 65535, or absent for any free port, but it is {port}",
            )
        deadline = deadline.earlier(Deadline.after(START_TIMEOUT))
        with self._changing(deadline):
            current = self.current()
            if current is not None and current.owned is not None:
                if current.works(deadline):
                    return current.info
                # It ended or hangs; either way it must be gone before another takes its place.
                self._bind(self.configured, deadline)
            starting = Retrying(
                retry=retry_if_exception(_is_locked_out),
                stop=stop_after_attempt(_STARTS),
                wait=wait_random(0, _START_APART),
                reraise=True,
            )
            binding = starting(self._start, port or 0, deadline)
            self._bind(binding, deadline)
            return binding.info

    def _start(self, port: int, deadline: Deadline) -> Binding:
        environ = dict(os.environ if self._environ is None else self._environ)
        server = OwnedServer.start(
            executable=find_executable(self._executable, environ),
            port=port,
            directory=self._directory or Path.cwd(),
            environ=environ,
            username=self._username,
            deadline=deadline,
        )
        try:
            with self._lock:
                if self._closed:
                    raise _closed()
                self._starting = server
            http = server.wait_until_ready(deadline)
        except BaseException as error:
            server.stop(Deadline.after(_CLOSE_TIMEOUT))
            if port and isinstance(error, BackendError) and port_is_taken(port):
                raise server_error(
                    f"OpenCode cannot listen on port {port}: it is taken; stop what listens "
                    f"there, or ask for another port, or for none to get a free one"
                ) from error
            raise
        finally:
            with self._lock:
                self._starting = None
        return Binding(http, server.pid, server.command, server, environ)

    def stop(self, deadline: Deadline) -> bool:
        """See ``OpenCodeBackend.stop_server``."""
        with self._changing(deadline):
            binding = self.bound()
            if binding.owned is None:
                raise server_error(
                    f"the OpenCode server at {binding.http.base_url} was not started by this "
                    f"gateway, so it is left running; stop it where it was started"
                )
            if not binding.owned.stop(deadline):
                return False  # still bound, to be tried again
            self._bind(self.configured, deadline)
            return True

    def close(self) -> None:
        """End a server of ours, within about 5 seconds; let go of any other. Idempotent."""
        deadline = Deadline.after(_CLOSE_TIMEOUT)
        with self._lock:
            self._closed = True
            binding, self._binding = self._binding, None
            starting = self._starting
        if starting is not None:  # this also wakes the thread that waits for it
            starting.stop(deadline)
        if binding is not None and not binding.release(deadline):
            logger.error("OpenCode (process {}) did not end in time", binding.pid)
        if self.configured is not None:
            self.configured.release(deadline)

    @contextmanager
    def _changing(self, deadline: Deadline) -> Iterator[None]:
        left = deadline.remaining()
        if not self._change.acquire(timeout=-1 if left is None else left):
            raise server_error(
                "another request is still looking for, starting or stopping the OpenCode server; "
                "try again"
            )
        try:
            yield
        finally:
            self._change.release()

    def _bind(self, binding: Binding | None, deadline: Deadline) -> None:
        """Use this one from now on and let go of the one before. Caller holds ``_change``."""
        with self._lock:
            closed = self._closed
            previous, self._binding = self._binding, None if closed else binding
        if closed:  # whoever closed has released what was in use, and did not see this one
            previous = binding
        if previous is not None and previous is not self.configured:
            previous.release(deadline)
        elif previous is not None and previous is not binding:
            previous.events.disconnect("another OpenCode server is in use now; subscribe again")
        if closed:
            raise _closed()


_LOCKED_OUT = ("database is locked", "); params:")
"""Last words of a server that started together with another of the same home. The second end what
OpenCode says of a statement that failed: two make the tables of a new home at once, and one finds
them there."""


def _is_locked_out(error: BaseException) -> bool:
    return isinstance(error, BackendError) and any(each in error.message for each in _LOCKED_OUT)


def _closed() -> BackendError:
    return no_server("the gateway is closing; start it again to go on")

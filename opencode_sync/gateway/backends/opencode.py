"""The backend that keeps its sessions in a real OpenCode server, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError, check_session_id
from opencode_sync.gateway.backends.opencode_errors import no_server, server_error
from opencode_sync.gateway.backends.opencode_http import (
    OpenCodeHttp,
    OutcomeUnknownError,
    RefusedError,
    quote_id,
)
from opencode_sync.gateway.backends.opencode_mapping import Oddities, read_session, read_sessions
from opencode_sync.gateway.backends.opencode_servers import Binding, Servers
from opencode_sync.wire import ipc_pb2, oc_session_pb2

__all__ = ["OpenCodeBackend"]

_START_TIMEOUT = 30.0
"""Seconds for ``start``: a search, a spawn, and room to spare."""

_LONGEST_ID = 100
"""Characters of a path's part that OpenCode's router takes."""


class OpenCodeBackend(Backend):
    """Sessions live in an OpenCode server. Every method may be called by any thread.

    Which server: one that ``spawn_server`` started, while it runs; else the one at ``url``; else
    the one that ``discover_server`` found. A server that was spawned here ends with this backend,
    or with this process, however that ends; any other server is left running, always.
    """

    name = "opencode"

    def __init__(
        self,
        url: str | None = None,
        *,
        username: str = "opencode",
        password: str | None = None,
        directory: Path | str | None = None,
        executable: str | Path | None = None,
        spawn: bool = False,
        discover: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Do no I/O.

        Args:
            url: A running server's address, ``"http://127.0.0.1:4096"``; no password in it.
            username: For HTTP Basic.
            password: Of the server at ``url`` or a discovered one. A spawned server gets a random
                one of its own.
            directory: Only this project's sessions are seen, and new ones are made there; None
                leaves it to the server: the project of its own working directory.
            executable: What to spawn, a path or a command; None for ``opencode`` on PATH.
            spawn: Have ``start`` spawn a server; with ``discover``, if that finds none.
            discover: Have ``start`` look for a running server.
            environ: A spawned server's whole environment; None for this process's own.

        Raises:
            IpcArgumentError: the URL or the user name cannot be used.
        """
        # As OpenCode's own working directory would read, which has no symbolic links in it.
        self._directory = None if directory is None else Path(directory).resolve()
        self._discover_at_start = discover
        self._spawn_at_start = spawn
        self._started = threading.Event()
        configured = None
        if url is not None:
            configured = Binding(OpenCodeHttp(url, username=username, password=password))
        self._servers = Servers(
            configured,
            username=username,
            password=password or None,
            directory=self._directory,
            executable=executable,
            environ=environ,
        )

    def __repr__(self) -> str:
        return f"<OpenCodeBackend: {self.description}>"

    @property
    def description(self) -> str:
        """``"OpenCode at http://127.0.0.1:4096"``, or that there is none."""
        try:
            binding = self._servers.current()
        except BackendError:
            return "OpenCode, closed"
        return f"OpenCode at {binding.http.base_url}" if binding else "OpenCode, none connected"

    # The backend's own life...

    def start(self) -> None:
        """Check the server at ``url``, or discover or spawn one, as the constructor was told.

        Raises:
            BackendError: there is no healthy server of the kind asked for.
        """
        if self._started.is_set():
            return
        deadline = Deadline.after(_START_TIMEOUT)
        configured = self._servers.configured
        if configured is not None:
            if not configured.http.is_healthy(deadline=deadline, fresh=True):
                raise server_error(
                    f"OpenCode at {configured.http.base_url} says that it is not healthy; look at "
                    f"its log, or restart it"
                )
        elif not (self._discover_at_start and self.discover_server(deadline=deadline)):
            if self._spawn_at_start:
                self.spawn_server(None, deadline=deadline)
            elif self._discover_at_start:
                raise no_server(
                    "no running OpenCode server of this user was found; start one with "
                    "`opencode serve`, or have the gateway spawn one"
                )
        self._started.set()

    def close(self) -> None:
        """End a server of ours, within about 5 seconds; leave any other running. Idempotent."""
        self._servers.close()

    # The server...

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        """Return the server in use if it works; else find a running one and use that.

        With a ``url`` no other server is looked for.

        Raises:
            BackendError: AUTH_ERROR: the server in use refuses the password. NOT_IMPLEMENTED:
                looking for one needs a package that is not installed.
        """
        return self._servers.discover(deadline)

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        """Start a server of our own and use it; if one of ours works already, return that.

        Args:
            port: 1 to 65535; None or 0 for any free one.
            deadline: Also bounded by 20 seconds from here.

        Raises:
            BackendError: NO_SERVER: OpenCode is not installed. SERVER_ERROR: it did not start.
                INVALID_MESSAGE: there is no such port.
        """
        return self._servers.spawn(port, deadline)

    def stop_server(self, *, deadline: Deadline) -> bool:
        """End the server that was spawned here; returns whether it ended in time.

        Raises:
            BackendError: NO_SERVER: none is in use. SERVER_ERROR: it is not ours.
        """
        return self._servers.stop(deadline)

    def check_health(self, *, deadline: Deadline) -> bool:
        """Return whether the server in use says that it is healthy.

        Raises:
            BackendError: NO_SERVER: none is in use, or ours has ended. AUTH_ERROR: it refuses the
                password.
        """
        binding = self._servers.bound()
        if binding.works(deadline):
            return True
        binding.raise_if_ended(deadline)
        return False

    # Sessions...

    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        """Return all sessions, the most recently updated first.

        Raises:
            BackendError: as ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        # Without a limit of -1 it would be the first 100, with nothing to say so.
        answer = self._call("GET", "/session", {"limit": "-1", **self._where()}, deadline)
        if not isinstance(answer, list):
            raise self._misshapen("GET /session", "a list of sessions")
        odd = Oddities()
        sessions = read_sessions(answer, odd)
        _log(odd)
        return sessions

    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        """Create a session. None has OpenCode find a title; "" is one, and so is any other text.

        Raises:
            BackendError: as ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        body = {} if title is None else {"title": title}
        answer = self._call("POST", "/session", self._where(), deadline, body)
        odd = Oddities()
        session = read_session(answer, odd)
        if session is None:
            raise self._misshapen("POST /session", "a session")
        _log(odd)
        return session

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        """Delete a session and those below it; returns False when there is none of this id.

        Raises:
            BackendError: INVALID_MESSAGE: no session can have this id. Others as
                ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        path = f"/session/{quote_id(check_session_id(session_id))}"
        try:
            answer = self._call("DELETE", path, {}, deadline)
        except RefusedError as error:
            if error.refusal.is_not_found:
                return False
            # OpenCode does not even look at longer ones, and says so without a word of its own.
            too_long = len(session_id) > _LONGEST_ID
            if too_long and error.refusal.status in (404, 414, 431):
                return False
            raise
        if answer is not True:
            raise self._misshapen("DELETE /session/{id}", "true")
        return True

    def _where(self) -> dict[str, str]:
        return {} if self._directory is None else {"directory": str(self._directory)}

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        deadline: Deadline,
        body: object = None,
    ) -> Any:
        binding = self._servers.bound()
        try:
            return binding.http.call(method, path, deadline=deadline, query=query, body=body)
        except BackendError as error:
            lost = isinstance(error, OutcomeUnknownError)
            if lost or error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER:
                binding.raise_if_ended(deadline, error)
            raise

    def _misshapen(self, call: str, expected: str) -> BackendError:
        return server_error(
            f"{self.description} answered {call} with JSON that is not {expected}; this gateway "
            f"knows OpenCode 1.18"
        )


def _log(odd: Oddities) -> None:
    if odd:
        logger.debug("OpenCode's sessions held what the schema cannot carry: {}", dict(odd))

"""The life of the OpenCode backend: which server it is for, and which project of it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.gateway.backends.opencode.errors import no_server, server_error
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.project import Project, check_directory
from opencode_sync.gateway.backends.opencode.runs.prompts import Prompts
from opencode_sync.gateway.backends.opencode.server.servers import Binding, Servers
from opencode_sync.logger import logger
from opencode_sync.wire import ext_operations_pb2, ipc_pb2

__all__ = ["OpenCodeLife"]

_START_TIMEOUT = 30.0
"""Seconds for ``start``: a search, a spawn, and room to spare."""

_VERSION_TIMEOUT = 5.0


class OpenCodeLife(Backend):
    """All of ``OpenCodeBackend`` but what is done with sessions, models and credentials."""

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
        config_file: Path | None = None,
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
            environ: A spawned server's whole environment; None for this process's own. A discovered
                one has to have the same home and configuration. Also where ``sync_auth_keys`` looks
                for keys.
            config_file: What ``get_config`` and ``update_config`` are about; None for
                ``config.json`` in the user's configuration folder.

        Raises:
            IpcArgumentError: the URL or the user name cannot be used.
        """
        # As OpenCode's own working directory would read, which has no symbolic links in it.
        resolved = None if directory is None else Path(directory).resolve()
        self._directory = None if resolved is None else str(resolved)
        self._discover_at_start = discover
        self._spawn_at_start = spawn
        self._started = threading.Event()
        self._environ = environ
        self._config = AppConfigStore(config_file)
        self._prompts = Prompts()
        configured = None
        if url is not None:
            configured = Binding(OpenCodeHttp(url, username=username, password=password))
        self._servers = Servers(
            configured,
            username=username,
            password=password or None,
            directory=resolved,
            executable=executable,
            environ=environ,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.description}>"

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
                    "no running OpenCode server of this user, home and configuration was found; "
                    "start one with `opencode serve`, or have the gateway spawn one"
                )
        self._started.set()

    def close(self) -> None:
        """Abort what runs for us, and end a server of ours, within about 7 seconds. Idempotent.

        Any other server is left running.
        """
        self._prompts.close()
        self._servers.close()

    # The server...

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        """Return the server in use if it works; else find a running one and use that.

        With a ``url`` no other server is looked for. One that was started with another home or
        configuration is passed over.

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

    def backend_info(self, *, deadline: Deadline) -> ext_operations_pb2.IpcBackendInfo:
        """Return what is known of the server; its version is "" if it does not say one in time."""
        info = super().backend_info(deadline=deadline)
        try:
            binding = self._servers.current()
            if binding is not None:
                info.server_version = _version(binding, deadline)
        except BackendError as error:
            logger.debug("The server does not say its version: {}", error.message)
        return info

    # Projects...

    def in_directory(self, directory: str) -> Self:
        """Return a view of this backend for the project in a folder; all but that is shared.

        The view is started and closed with this backend.

        Raises:
            BackendError: INVALID_MESSAGE: it is not absolute, or there is no such folder.
        """
        checked = check_directory(directory, self._servers.current())
        view = copy.copy(self)
        view._directory = checked
        return view

    def _project(self) -> Project:
        """Return what calls are about; raises NO_SERVER when there is no server."""
        return Project(self._servers.bound(), self._directory)


def _version(binding: Binding, deadline: Deadline) -> str:
    soon = deadline.earlier(Deadline.after(_VERSION_TIMEOUT))
    answer = binding.call("GET", "/global/health", {}, soon)
    version = answer.get("version") if isinstance(answer, dict) else None
    return clean(version) if isinstance(version, str) else ""

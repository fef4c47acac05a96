"""The backend that keeps its sessions in a real OpenCode server, over HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.backends import opencode_credentials as credentials
from opencode_sync.gateway.backends.base import Backend, BackendError, check_session_id
from opencode_sync.gateway.backends.opencode_agents import read_agents
from opencode_sync.gateway.backends.opencode_checks import providers
from opencode_sync.gateway.backends.opencode_errors import no_server, server_error
from opencode_sync.gateway.backends.opencode_http import (
    OpenCodeHttp,
    RefusedError,
    quote_id,
)
from opencode_sync.gateway.backends.opencode_mapping import Oddities, read_session, read_sessions
from opencode_sync.gateway.backends.opencode_prompt import Prompt, Prompts, refresh_keys
from opencode_sync.gateway.backends.opencode_servers import Binding, Servers
from opencode_sync.wire import (
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_message_pb2,
    oc_session_pb2,
)

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
            environ: A spawned server's whole environment; None for this process's own. Also where
                ``sync_auth_keys`` looks for keys.
            config_file: What ``get_config`` and ``update_config`` are about; None for
                ``config.json`` in the user's configuration folder.

        Raises:
            IpcArgumentError: the URL or the user name cannot be used.
        """
        # As OpenCode's own working directory would read, which has no symbolic links in it.
        self._directory = None if directory is None else Path(directory).resolve()
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
        """Abort what runs for us, and end a server of ours, within about 7 seconds. Idempotent.

        Any other server is left running.
        """
        self._prompts.close()
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

    # Prompts...

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None,
        deadline: Deadline,
    ) -> oc_message_pb2.OcMessage:
        """Send a prompt, wait until its run has ended, and return the run's last message.

        A run that the model's provider failed is an answer, too: its ``error`` says why. Prompts of
        one session that come through here run one after another; those that other programs send to
        it meanwhile may run in between.

        Args:
            session_id: Which conversation it belongs to.
            text: At most 8,000,000 bytes.
            model_id: A model of that provider, without the provider's name.
            provider_id: A connected provider.
            agent: One that ``list_agents`` lists; None or "" leaves it to OpenCode.
            deadline: When the run is aborted.

        Raises:
            BackendError: INVALID_MESSAGE: a field is blank, too long, or names nothing there is.
                SERVER_ERROR: the deadline came, or OpenCode failed. NO_SERVER: none is in use, or
                it went away.
        """
        prompt = Prompt(session_id, text, model_id, provider_id, agent)
        return self._prompts.send(self._servers.bound(), prompt, deadline)

    def list_agents(self, *, deadline: Deadline) -> list[oc_agent_pb2.OcAgentInfo]:
        """Return all agents, hidden ones and those for subtasks included.

        Raises:
            BackendError: as ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        answer = self._call("GET", "/agent", self._where(), deadline)
        if not isinstance(answer, list):
            raise self._misshapen("GET /agent", "a list of agents")
        odd = Oddities()
        agents = read_agents(answer, odd)
        _log(odd)
        return agents

    # Providers and their credentials...

    def connected_providers(self, *, deadline: Deadline) -> list[str]:
        """Return the ids of the providers that OpenCode can use.

        Raises:
            BackendError: as ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        binding = self._servers.bound()
        if refresh_keys(binding, self._instance(binding, deadline), None, deadline):
            answer = binding.call("GET", "/config/providers", self._where(), deadline)
            known = providers(answer)
            if known is not None:
                return list(known)
        else:
            # What an instance has not read yet is only in here: 6 MB of every provider there is.
            answer = binding.call("GET", "/provider", self._where(), deadline)
            connected = answer.get("connected") if isinstance(answer, dict) else None
            if isinstance(connected, list):
                return [each for each in connected if isinstance(each, str)]
        raise binding.misshapen("the question for its providers", "a list of providers")

    def set_auth(
        self, provider_id: str, auth: oc_auth_pb2.OcAuth, *, deadline: Deadline
    ) -> oc_auth_pb2.OcAuth:
        """Have OpenCode keep a provider's credentials; returns them with the secrets emptied.

        No run is disturbed by it. The next prompt to that provider uses them, unless another run is
        going on in the same directory, which keeps what OpenCode has read there before; see
        ``opencode_keys``. OpenCode itself checks neither the credentials nor the provider's id.

        Raises:
            BackendError: INVALID_MESSAGE: the id or the credentials cannot be right. Others as
                ``OpenCodeHttp.call`` says; NO_SERVER when none is in use.
        """
        return credentials.set_auth(self._servers.bound(), provider_id, auth, deadline)

    def get_auth(self, provider_id: str, *, deadline: Deadline) -> oc_auth_pb2.OcAuth | None:
        """Return a provider's credentials with the secrets masked, None if OpenCode has none.

        Those that were set, or logged in with, count; not keys in variables or OpenCode's
        configuration. They are read from OpenCode's own file.

        Raises:
            BackendError: NOT_IMPLEMENTED: the server is no process of this user on this machine.
                SERVER_ERROR: the file cannot be read. INVALID_MESSAGE: no provider has this id.
                NO_SERVER: no server is in use.
        """
        return credentials.get_auth(self._servers.bound(), provider_id)

    def oauth_status(
        self, provider_id: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcOAuthStatusResponse:
        """Return how OpenCode is logged in to a provider; raises as ``get_auth`` does."""
        return credentials.oauth_status(self._servers.bound(), provider_id)

    def sync_auth_keys(
        self, *, skip_oauth_providers: bool, deadline: Deadline
    ) -> ipc_pb2.IpcAuthSyncResponse:
        """Have OpenCode keep the API keys in the environment and the project's ``.env`` file.

        Raises:
            BackendError: AUTH_SYNC_FAILED: the ``.env`` file cannot be read. NO_SERVER: no server
                is in use. What goes wrong with one provider is in the answer.
        """
        return credentials.sync_keys(
            self._servers.bound(),
            environ=os.environ if self._environ is None else self._environ,
            dotenv=(self._directory or Path.cwd()) / ".env",
            skip_oauth_providers=skip_oauth_providers,
            deadline=deadline,
        )

    # The application's settings...

    def get_config(self, *, deadline: Deadline) -> ipc_pb2.IpcGetConfigResponse:
        """Return the application's settings; see ``AppConfigStore``."""
        return self._config.get()

    def update_config(
        self, config_json: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcUpdateConfigResponse:
        """Replace the application's settings; see ``AppConfigStore``."""
        return self._config.update(config_json, deadline=deadline)

    # Helpers...

    def _where(self) -> dict[str, str]:
        return {} if self._directory is None else {"directory": str(self._directory)}

    def _instance(self, binding: Binding, deadline: Deadline) -> str:
        """Return the directory that calls are about."""
        if self._directory is not None:
            return str(self._directory)
        answer = binding.call("GET", "/path", {}, deadline)
        directory = answer.get("directory") if isinstance(answer, dict) else None
        if not isinstance(directory, str):
            raise binding.misshapen("GET /path", "its directories")
        return directory

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        deadline: Deadline,
        body: object = None,
    ) -> object:
        return self._servers.bound().call(method, path, query, deadline, body)

    def _misshapen(self, call: str, expected: str) -> BackendError:
        return server_error(
            f"{self.description} answered {call} with JSON that is not {expected}; this gateway "
            f"knows OpenCode 1.18"
        )


def _log(odd: Oddities) -> None:
    if odd:
        logger.debug("OpenCode's answer held what the schema cannot carry: {}", dict(odd))

"""The operations of ``IpcClient`` as blocking calls."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from opencode_sync import operations
from opencode_sync.cancel import CancelToken
from opencode_sync.extended import ExtendedOperations
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthSyncResponse,
    IpcGetConfigResponse,
    IpcOAuthStatusResponse,
    IpcServerInfo,
    IpcUpdateConfigResponse,
)
from opencode_sync.wire.oc_agent_pb2 import OcAgentInfo
from opencode_sync.wire.oc_auth_pb2 import OcAuth
from opencode_sync.wire.oc_message_pb2 import OcMessage
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["BlockingOperations"]


class BlockingOperations(ExtendedOperations):
    """Each operation: make the request, wait for its answer. ``IpcClient`` says how."""

    def health_check(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Return whether the backend answers and its OpenCode server is healthy.

        Raises nothing for a backend that is unreachable, slow or unhealthy: that is False. Wrong
        use of the client, and a cancelled token, still raise.
        """
        return self._run(operations.health_check(), timeout, cancel)

    def check_server_health(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Ask the backend for the health of its OpenCode server; raises what goes wrong."""
        return self._run(operations.check_health(), timeout, cancel)

    def discover_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> IpcServerInfo | None:
        """Look for a running OpenCode server and use it; None when there is none."""
        return self._run(operations.discover_server(), timeout, cancel)

    def spawn_server(
        self,
        port: int | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcServerInfo:
        """Start an OpenCode server and use it.

        Args:
            port: Where it shall listen; None for any free port.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.spawn_server(port), timeout, cancel)

    def stop_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Stop the OpenCode server in use; returns whether it stopped."""
        return self._run(operations.stop_server(), timeout, cancel)

    def list_sessions(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Sequence[OcSessionInfo]:
        """Return all sessions of the project, the one updated last first.

        Args:
            directory: The project folder; None for the client's, or else the backend's own.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.list_sessions(directory), timeout, cancel)

    def create_session(
        self,
        title: str | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcSessionInfo:
        """Create a session and return it.

        Args:
            title: Its title; None lets OpenCode choose one.
            directory: The project folder; None for the client's, or else the backend's own.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the session may be created all the same.
        """
        return self._run(operations.create_session(title, directory), timeout, cancel)

    def delete_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> bool:
        """Delete a session; returns False when there is none with this id.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the session may be deleted all the same.
        """
        return self._run(operations.delete_session(session_id), timeout, cancel)

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcMessage:
        """Send a text to the model and return its answer, once the whole of it is there.

        That takes seconds to minutes, so the default time-out is the option
        ``default_prompt_timeout``. Other calls of this client go on meanwhile.

        An answer can be one that failed, because the model's provider refused the key for example:
        ``message_error`` of ``opencode_sync.types`` tells, ``message_text`` gives the text. Where
        tools were used this is the last message of the run alone.

        Args:
            session_id: The session's id, as ``list_sessions`` gives it.
            text: What to say; not blank, at most 8,000,000 bytes in UTF-8.
            model_id: The model, such as ``"claude-sonnet-4-5"``.
            provider_id: Its provider, such as ``"anthropic"``.
            agent: An agent's name, as ``list_agents`` gives it; None for OpenCode's default.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait, and the run where the backend can do that.
        """
        request = operations.send_message(
            session_id, text, model_id=model_id, provider_id=provider_id, agent=agent
        )
        return self._run(request, timeout, cancel)

    def list_agents(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Sequence[OcAgentInfo]:
        """Return all agents of the project, those that OpenCode keeps to itself (hidden) too.

        Args:
            directory: The project folder; None for the client's, or else the backend's own.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.list_agents(directory), timeout, cancel)

    def get_provider_status(
        self,
        *,
        directory: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Sequence[str]:
        """Return the ids of the model providers that can be used.

        Args:
            directory: The project folder; None for the client's, or else the backend's own.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.get_provider_status(directory), timeout, cancel)

    def set_auth(
        self,
        provider_id: str,
        auth: OcAuth,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcAuth:
        """Store the credentials of a provider in OpenCode; returns them without their secrets.

        Args:
            provider_id: The provider, such as ``"anthropic"``.
            auth: ``OcAuth(api=OcApiAuth(key=...))``, or with ``oauth`` or ``well_known`` set. Their
                ``type`` may be left empty.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the credentials may be stored all the same.
        """
        return self._run(operations.set_auth(provider_id, auth), timeout, cancel)

    def get_auth(
        self,
        provider_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcAuth:
        """Return the credentials of a provider, with their secrets masked.

        Nothing is set in it (``WhichOneof("auth")`` is None) when OpenCode has none.

        Args:
            provider_id: The provider, such as ``"anthropic"``.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.get_auth(provider_id), timeout, cancel)

    def get_oauth_status(
        self,
        provider_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcOAuthStatusResponse:
        """Return how a provider is authenticated: ``status`` is one of ``OAuthStatusType``.

        Args:
            provider_id: The provider, such as ``"anthropic"``.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.get_oauth_status(provider_id), timeout, cancel)

    def sync_auth_keys(
        self,
        skip_oauth_providers: bool = True,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcAuthSyncResponse:
        """Have the backend copy the API keys that it finds to OpenCode, provider by provider.

        It looks in its own environment, not in yours.

        Returns what became of each in one of ``synced``, ``failed``, ``skipped`` and
        ``validation_failed``; a key that could not be copied raises nothing.

        Args:
            skip_oauth_providers: Whether to leave providers alone that have an OAuth login.
            timeout: Seconds for the whole call; None for the option's default. The backend is told
                a second less, so that it can still say what it did.
            cancel: Ends the wait; keys may be copied all the same.
        """
        return self._run(operations.sync_auth_keys(skip_oauth_providers), timeout, cancel)

    def get_config(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> IpcGetConfigResponse:
        """Return the configuration of the backend's own application, not OpenCode's.

        It is two JSON documents as text: ``app_config_json`` and ``models_config_json``.
        """
        return self._run(operations.get_config(), timeout, cancel)

    def update_config(
        self,
        config: str | Mapping[str, Any],
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcUpdateConfigResponse:
        """Replace the application document of the configuration; what is left out is gone.

        A document that the backend does not accept raises nothing and changes nothing: the answer
        then has ``success`` False and the reason in ``error``.

        Args:
            config: The whole document: JSON as text, or a mapping that is written as JSON.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the document may be replaced all the same.
        """
        return self._run(operations.update_config(config), timeout, cancel)

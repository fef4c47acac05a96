"""The backend that keeps its sessions in a real OpenCode server, over HTTP."""

from __future__ import annotations

import os
from pathlib import Path

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import EventSink, Subscription
from opencode_sync.gateway.backends.opencode import agents as opencode_agents
from opencode_sync.gateway.backends.opencode import models as opencode_models
from opencode_sync.gateway.backends.opencode import questions as opencode_questions
from opencode_sync.gateway.backends.opencode import sessions as opencode_sessions
from opencode_sync.gateway.backends.opencode import subscriptions as opencode_subscriptions
from opencode_sync.gateway.backends.opencode.auth import credentials
from opencode_sync.gateway.backends.opencode.life import OpenCodeLife
from opencode_sync.gateway.backends.opencode.runs.prompts import Prompt
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import (
    ext_event_pb2,
    ext_operations_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_message_pb2,
    oc_session_pb2,
)

__all__ = ["OpenCodeBackend"]


class OpenCodeBackend(OpenCodeLife):
    """Sessions live in an OpenCode server. Every method may be called by any thread.

    Which server: one that ``spawn_server`` started, while it runs; else the one at ``url``; else
    the one that ``discover_server`` found. A server that was spawned here ends with this backend,
    or with this process, however that ends; any other server is left running, always.

    What each operation raises besides what it says itself: as ``OpenCodeHttp.call``; NO_SERVER when
    no server is in use; INVALID_MESSAGE for the id of a session that does not exist.
    """

    # Sessions...

    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        """Return all sessions of the project, the most recently updated first."""
        return opencode_sessions.list_sessions(self._project(), deadline)

    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        """Create a session. None has OpenCode find a title; "" is one, and so is any other text."""
        return opencode_sessions.create_session(self._project(), title, deadline)

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        """Delete a session and those below it; returns False when there is none of this id."""
        return opencode_sessions.delete_session(self._servers.bound(), session_id, deadline)

    def get_session(self, session_id: str, *, deadline: Deadline) -> oc_session_pb2.OcSessionInfo:
        """Return one session, of whichever project."""
        return opencode_sessions.get_session(self._servers.bound(), session_id, deadline)

    def update_session(
        self, session_id: str, *, title: str | None, archived: bool | None, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        """Change what is not None, and return the session as it is then.

        OpenCode 1.18 keeps a zero as the time of a session that was taken out of the archive. Its
        own programs and this gateway read that as "not archived".

        Raises:
            BackendError: INVALID_MESSAGE: there is no such session, or nothing to change.
        """
        return opencode_sessions.update_session(
            self._servers.bound(), session_id, title=title, archived=archived, deadline=deadline
        )

    def list_messages(
        self, session_id: str, *, limit: int, deadline: Deadline
    ) -> list[oc_message_pb2.OcMessage]:
        """Return a session's messages, the oldest first.

        Of a prompt that OpenCode cannot show (see ``history``) there is only its id.
        """
        return opencode_sessions.list_messages(self._servers.bound(), session_id, limit, deadline)

    def abort_session(self, session_id: str, *, deadline: Deadline) -> bool:
        """Abort what runs in a session and below it, whoever began it."""
        return opencode_sessions.abort_session(self._servers.bound(), session_id, deadline)

    # Prompts, and what runs ask...

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None,
        deadline: Deadline,
        cancellation: Cancellation | None = None,
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
            cancellation: Aborts the run as well.

        Raises:
            BackendError: INVALID_MESSAGE: a field is blank, too long, or names nothing there is.
                SERVER_ERROR: the deadline came, or OpenCode failed. NO_SERVER: none is in use, or
                it went away.
        """
        prompt = Prompt(session_id, text, model_id, provider_id, agent)
        return self._prompts.send(self._servers.bound(), prompt, deadline, cancellation)

    def prompt(
        self,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        """Run a prompt to its end, as ``Backend.prompt`` says; prompts of a session take turns."""
        return self._prompts.run(
            self._servers.bound(), request, sink, deadline=deadline, cancellation=cancellation
        )

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Subscription:
        """Have the events that ``request`` asks for go to ``sink``, from ``sink.opened`` on.

        Without a session they are those of the project, or of all projects if this backend has no
        folder. Those of the server's own life come only if they are asked for by their type.

        With ``request.current`` they begin with what is so now, which is read after the sink was
        opened: some seconds are its limit. Without session and folder that is about the folders of
        ``events.current.known_folders``.
        """
        return opencode_subscriptions.subscribe(self._project(), request, sink, deadline)

    def reply_permission(
        self, request: ext_operations_pb2.IpcReplyPermissionRequest, *, deadline: Deadline
    ) -> None:
        """Answer a permission question.

        Its project is the one in the request; else the one where it was seen to be asked; else this
        backend's.

        Raises:
            BackendError: INVALID_MESSAGE: no such question waits there.
        """
        opencode_questions.reply_permission(self._project(), request, deadline)

    def reply_question(
        self, request: ext_operations_pb2.IpcReplyQuestionRequest, *, deadline: Deadline
    ) -> None:
        """Answer a question of the model's, or dismiss it; as ``reply_permission``."""
        opencode_questions.reply_question(self._project(), request, deadline)

    # Agents, models, providers and their credentials...

    def list_agents(self, *, deadline: Deadline) -> list[oc_agent_pb2.OcAgentInfo]:
        """Return all agents, hidden ones and those for subtasks included."""
        return opencode_agents.list_agents(self._project(), deadline)

    def list_models(self, *, deadline: Deadline) -> ext_operations_pb2.IpcModelList:
        """Return the models of the providers that can be used; what may be a key is left out."""
        return opencode_models.list_models(self._project(), deadline)

    def connected_providers(self, *, deadline: Deadline) -> list[str]:
        """Return the ids of the providers that OpenCode can use."""
        return opencode_models.connected_providers(self._project(), deadline)

    def set_auth(
        self, provider_id: str, auth: oc_auth_pb2.OcAuth, *, deadline: Deadline
    ) -> oc_auth_pb2.OcAuth:
        """Have OpenCode keep a provider's credentials; returns them with the secrets emptied.

        No run is disturbed by it. The next prompt to that provider uses them, unless another run is
        going on in the same directory, which keeps what OpenCode has read there before; see
        ``auth/keys``. OpenCode itself checks neither the credentials nor the provider's id.

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
            dotenv=Path(self._directory or ".").absolute() / ".env",
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

"""What a gateway asks of whatever keeps the sessions.

A backend is started once, used from many worker threads at the same time, and closed once. Each
operation gets a deadline and must not outlive it by much: the worker that runs it is one of a
bounded number. What a backend cannot do it says by ``BackendError``, whose text reaches the
client's user as it is: one sentence that names the problem and the remedy, and no secret. Any other
exception is a bug; the client is told only that there was one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Protocol, Self

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcError
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

__all__ = [
    "Backend",
    "BackendError",
    "EventSink",
    "Subscription",
    "WouldWait",
    "check_session_id",
]


class BackendError(IpcError):
    """A backend cannot start, or cannot do what was asked; its message reaches people.

    Attributes:
        code: An ``IpcErrorCode`` of the schema.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class WouldWait(Exception):
    """A backend cannot do at once what it as a rule can; see ``Backend.quick``."""


class EventSink(Protocol):
    """Where the events of one subscription go. Called by one thread at a time; must not block."""

    def opened(self) -> None:
        """From here on no event is passed over. Comes before the first event."""

    def event(self, event: ext_event_pb2.IpcEvent) -> None:
        """One event. It is shared with other sinks: read it, do not change it."""

    def ended(self, reason: str) -> None:
        """There will be no more, and why. Comes once at most; not after ``Subscription.close``."""


class Subscription(Protocol):
    """A subscription that goes on until it is closed, or its sink is told of the end."""

    def close(self) -> None:
        """End it: once this returns the sink is not called any more. More than once is fine."""


class Backend(ABC):
    """Keeps sessions on behalf of a gateway's clients.

    ``start`` and ``close`` are called by the gateway's owner; every other method by any number of
    worker threads at once.
    """

    name: str
    """Which kind this is: ``"embedded"`` or ``"opencode"``."""

    quick: frozenset[str] = frozenset()
    """Operations, by their payloads' names, that this backend as a rule does without waiting.

    They are tried on the thread that reads a client's requests, with the deadline ``NOW``. There
    they must not wait for a lock that is held while something is waited for, for another program,
    or for more of a disk than a page. One that would have to raises ``WouldWait``; it is then
    called again by a worker, with the usual deadline.
    """

    @property
    @abstractmethod
    def description(self) -> str:
        """What people are told they talk to: ``"OpenCode at http://127.0.0.1:4096"``. No secret."""

    @abstractmethod
    def start(self) -> None:
        """Get ready; called before any operation. A second call does nothing.

        Raises:
            BackendError: it cannot work here; the text says why and what to do.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything, within a bounded time. More than once, or unstarted, is fine."""

    @abstractmethod
    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        """Find a running server and use it from now on; None when there is none."""

    @abstractmethod
    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        """Start a server, wait until it is healthy, and use it from now on.

        Args:
            port: Where it has to listen; None leaves the choice to the server.
            deadline: When to give up.
        """

    @abstractmethod
    def stop_server(self, *, deadline: Deadline) -> bool:
        """Stop the server in use, if it is ours; returns whether it ended."""

    @abstractmethod
    def check_health(self, *, deadline: Deadline) -> bool:
        """Return whether the server in use works."""

    @abstractmethod
    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        """Return all sessions, the most recently updated first."""

    def list_size(self) -> int:
        """Return about how many bytes all sessions have, if that is cheap to know; else 0."""
        return 0

    @abstractmethod
    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        """Create a session; None leaves the title to the backend."""

    @abstractmethod
    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        """Delete a session; returns False when there is none of this id.

        Raises:
            BackendError: INVALID_MESSAGE for an id that no session can have.
        """

    # What needs a model, a provider or a place for settings, which not every backend has...

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

        Args:
            session_id: Which conversation it belongs to.
            text: The prompt.
            model_id: A model of that provider, without the provider's name.
            provider_id: Whose model it is.
            agent: None leaves it to the backend.
            deadline: When to abort the run.
            cancellation: Aborts the run as well.

        Raises:
            BackendError: INVALID_MESSAGE for a field that is blank or names nothing there is.
        """
        raise self._missing("send_message")

    def list_agents(self, *, deadline: Deadline) -> list[oc_agent_pb2.OcAgentInfo]:
        """Return all agents."""
        raise self._missing("list_agents")

    def connected_providers(self, *, deadline: Deadline) -> list[str]:
        """Return the ids of the providers whose models can be used."""
        raise self._missing("get_provider_status")

    def set_auth(
        self, provider_id: str, auth: oc_auth_pb2.OcAuth, *, deadline: Deadline
    ) -> oc_auth_pb2.OcAuth:
        """Keep a provider's credentials; returns them with the secrets emptied."""
        raise self._missing("set_auth")

    def get_auth(self, provider_id: str, *, deadline: Deadline) -> oc_auth_pb2.OcAuth | None:
        """Return a provider's credentials with the secrets masked, None if there are none."""
        raise self._missing("get_auth")

    def oauth_status(
        self, provider_id: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcOAuthStatusResponse:
        """Return how one is logged in to a provider."""
        raise self._missing("get_oauth_status")

    def sync_auth_keys(
        self, *, skip_oauth_providers: bool, deadline: Deadline
    ) -> ipc_pb2.IpcAuthSyncResponse:
        """Keep the API keys that the environment holds.

        Args:
            skip_oauth_providers: Whether to leave those alone that one is logged in to.
            deadline: For all of them.
        """
        raise self._missing("sync_auth_keys")

    def get_config(self, *, deadline: Deadline) -> ipc_pb2.IpcGetConfigResponse:
        """Return the client application's settings."""
        raise self._missing("get_config")

    def update_config(
        self, config_json: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcUpdateConfigResponse:
        """Replace the client application's settings; what is wrong with them is in the answer."""
        raise self._missing("update_config")

    # This project's extensions...

    def in_directory(self, directory: str) -> Self:
        """Return a view of this backend for the project in a folder; the rest is shared.

        Args:
            directory: An absolute path where the server runs.
        """
        raise self._missing("a project folder of the client's choice")

    def backend_info(self, *, deadline: Deadline) -> ext_operations_pb2.IpcBackendInfo:
        """Return what is known of this backend and its server; the gateway adds its own version."""
        return ext_operations_pb2.IpcBackendInfo(backend=self.name, description=self.description)

    def get_session(self, session_id: str, *, deadline: Deadline) -> oc_session_pb2.OcSessionInfo:
        """Return one session.

        Raises:
            BackendError: INVALID_MESSAGE for an id that no session has.
        """
        raise self._missing("get_session")

    def update_session(
        self, session_id: str, *, title: str | None, archived: bool | None, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        """Change what is not None, and return the session as it is then."""
        raise self._missing("update_session")

    def list_messages(
        self, session_id: str, *, limit: int, deadline: Deadline
    ) -> list[oc_message_pb2.OcMessage]:
        """Return the newest ``limit`` messages of a session, 0 for all; the oldest first."""
        raise self._missing("list_messages")

    def abort_session(self, session_id: str, *, deadline: Deadline) -> bool:
        """Abort what runs in a session; returns whether nothing runs any more."""
        raise self._missing("abort_session")

    def list_models(self, *, deadline: Deadline) -> ext_operations_pb2.IpcModelList:
        """Return the models that can be used."""
        raise self._missing("list_models")

    def reply_permission(
        self, request: ext_operations_pb2.IpcReplyPermissionRequest, *, deadline: Deadline
    ) -> None:
        """Answer a permission question.

        Raises:
            BackendError: INVALID_MESSAGE: there is no such question, or it was answered before.
        """
        raise self._missing("reply_permission")

    def reply_question(
        self, request: ext_operations_pb2.IpcReplyQuestionRequest, *, deadline: Deadline
    ) -> None:
        """Answer a question of the model's; raises as ``reply_permission`` does."""
        raise self._missing("reply_question")

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Subscription:
        """Have the events that ``request`` asks for go to ``sink``, from ``sink.opened`` on.

        Returns once the sink was opened. Until the deadline the backend may wait for its server to
        confirm. With ``request.current`` the first events tell what is so already.
        """
        raise self._missing("subscribe")

    def prompt(
        self,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        """Run a prompt to its end. Of the sink only ``event`` is called, and not after the return.

        Args:
            request: What is asked; ``timeout_seconds`` is in the deadline already.
            sink: Gets the events that ``request.events`` asks for.
            deadline: When to abort the run.
            cancellation: Aborts the run as well.

        Returns:
            The run's messages, and why it failed, if it did.

        Raises:
            BackendError: no run was begun, for a reason that has nothing to do with the prompt
                (NO_SERVER), or a field cannot be right (INVALID_MESSAGE).
        """
        raise self._missing("prompt")

    def _missing(self, operation: str) -> BackendError:
        return BackendError(
            ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
            f"{operation} is not served by this gateway with its {self.name} backend, which has no "
            f"models, agents or providers; start the gateway with --backend opencode",
        )


_SESSION_ID = re.compile(r"ses[A-Za-z0-9_-]*\Z")
_SHOWN_CHARACTERS = 40


def check_session_id(session_id: str) -> str:
    """Return the id if a session can have it.

    Raises:
        BackendError: INVALID_MESSAGE, naming the field and what is wrong with it.
    """
    if _SESSION_ID.match(session_id):
        return session_id
    if not session_id:
        problem = "it is empty"
    else:
        shown = ascii(session_id[:_SHOWN_CHARACTERS])
        problem = f"{shown}{'...' if len(session_id) > _SHOWN_CHARACTERS else ''} is not one"
    raise BackendError(
        ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
        f'session_id must be an id such as "ses_" followed by letters, digits, "_" or "-", but '
        f"{problem}; use an id that list_sessions or create_session returned",
    )

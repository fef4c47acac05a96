"""What a ``FakeIpcClient`` keeps: sessions, messages, agents, credentials, all of it in memory.

The same calls give the same ids and times in every run: ids count up, and the clock begins with
2026 and moves on a second whenever something is written.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, Final, Self

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError, check_session_id
from opencode_sync.wire import ext_operations_pb2, ipc_pb2, oc_auth_pb2
from opencode_sync.wire.oc_agent_pb2 import OcAgentInfo
from opencode_sync.wire.oc_message_pb2 import OcMessage
from opencode_sync.wire.oc_model_pb2 import OcModelInfo
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["DIRECTORY", "FakeStore"]

DIRECTORY: Final = "/project"
"""Where sessions are whose creator named no folder."""

_BEGIN: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z in Unix milliseconds
_SECOND: Final = 1000
_MASKED: Final = "***"
_SERVER_PORT: Final = 4096

OnChange = Callable[[str, OcSessionInfo], None]


class FakeStore(Backend):
    """Keeps everything in dictionaries. One thread at a time; its owner has the lock."""

    name = "fake"
    description = "a fake backend in memory"

    def __init__(self, on_change: OnChange) -> None:
        """Make an empty store.

        Args:
            on_change: Told what has become of a session: ``"session.created"`` and so on.
        """
        self.healthy = True
        self.sessions: dict[str, OcSessionInfo] = {}
        self.messages: dict[str, list[OcMessage]] = {}
        self.agents = [OcAgentInfo(name="build", mode="primary", native=True)]
        self.models = [OcModelInfo(id="model", provider_id="fake", name="Fake Model")]
        self.providers = ["fake"]
        self.directory = ""
        self._auths: dict[str, oc_auth_pb2.OcAuth] = {}
        self._config = {"app": "{}"}
        self._numbers = itertools.count(1)
        self._clock = itertools.count(_BEGIN, _SECOND)
        self._on_change = on_change

    def new_id(self, kind: str) -> str:
        """Return an id nobody has: ``ses_`` and 26 digits."""
        return f"{kind}_{next(self._numbers):026d}"

    def now(self) -> int:
        """Return the time, in Unix milliseconds, and move on."""
        return next(self._clock)

    def in_directory(self, directory: str) -> Self:
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)  # everything that is kept is shared
        view.directory = directory
        return view

    # Life and server

    def start(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to free."""

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        return self._server(_SERVER_PORT, owned=False)

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        return self._server(port or _SERVER_PORT, owned=True)

    def stop_server(self, *, deadline: Deadline) -> bool:
        return True

    def check_health(self, *, deadline: Deadline) -> bool:
        return self.healthy

    def _server(self, port: int, *, owned: bool) -> ipc_pb2.IpcServerInfo:
        return ipc_pb2.IpcServerInfo(
            pid=1,
            port=port,
            base_url=f"http://127.0.0.1:{port}",
            name="opencode",
            command="opencode serve",
            owned=owned,
        )

    # Sessions

    def list_sessions(self, *, deadline: Deadline) -> list[OcSessionInfo]:
        found = [each for each in self.sessions.values() if self.directory in ("", each.directory)]
        return sorted(found, key=lambda each: (each.time.updated, each.id), reverse=True)

    def create_session(self, title: str | None, *, deadline: Deadline) -> OcSessionInfo:
        return self.add_session(title)

    def add_session(self, title: str | None, **fields: Any) -> OcSessionInfo:
        """Create a session with more fields than a client can give."""
        session_id, now = self.new_id("ses"), self.now()
        given = {
            "id": session_id,
            "project_id": "global",
            "directory": self.directory or DIRECTORY,
            "title": f"New session {int(session_id[4:])}" if title is None else title,
            "version": "1.0.0",
            "time": {"created": now, "updated": now},
        }
        session = OcSessionInfo(**given | fields)
        self.sessions[session.id] = session
        self.messages[session.id] = []
        self._on_change("session.created", session)
        return session

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        session = self.sessions.pop(check_session_id(session_id), None)
        if session is None:
            return False
        self.messages.pop(session_id, None)
        self._on_change("session.deleted", session)
        return True

    def get_session(self, session_id: str, *, deadline: Deadline) -> OcSessionInfo:
        return self._found(session_id)

    def update_session(
        self, session_id: str, *, title: str | None, archived: bool | None, deadline: Deadline
    ) -> OcSessionInfo:
        session = self._found(session_id)
        if title is not None:
            session.title = title
        if archived:
            session.time.archived = self.now()
        elif archived is not None:
            session.time.ClearField("archived")
        self._on_change("session.updated", session)
        return session

    def list_messages(self, session_id: str, *, limit: int, deadline: Deadline) -> list[OcMessage]:
        self._found(session_id)
        return self.messages[session_id][-limit:]

    def add_messages(self, session_id: str, *messages: OcMessage) -> None:
        """Have been said in a session, if that is still there."""
        if session_id in self.sessions:
            self.messages[session_id].extend(messages)
            self.sessions[session_id].time.updated = self.now()
            self._on_change("session.updated", self.sessions[session_id])

    def _found(self, session_id: str) -> OcSessionInfo:
        session = self.sessions.get(check_session_id(session_id))
        if session is None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                f"session_id: {self.description} has no session {session_id[:100]}; use an id that "
                "list_sessions or create_session returned",
            )
        return session

    # Agents, models, providers

    def list_agents(self, *, deadline: Deadline) -> list[OcAgentInfo]:
        return self.agents

    def list_models(self, *, deadline: Deadline) -> ext_operations_pb2.IpcModelList:
        first: dict[str, str] = {}
        for model in self.models:
            first.setdefault(model.provider_id, model.id)
        return ext_operations_pb2.IpcModelList(models=self.models, default_models=first)

    def connected_providers(self, *, deadline: Deadline) -> list[str]:
        return self.providers

    def set_auth(
        self, provider_id: str, auth: oc_auth_pb2.OcAuth, *, deadline: Deadline
    ) -> oc_auth_pb2.OcAuth:
        self._auths[provider_id] = auth
        return _without_secrets(auth, "")

    def get_auth(self, provider_id: str, *, deadline: Deadline) -> oc_auth_pb2.OcAuth | None:
        auth = self._auths.get(provider_id)
        return None if auth is None else _without_secrets(auth, _MASKED)

    def oauth_status(
        self, provider_id: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcOAuthStatusResponse:
        auth = self._auths.get(provider_id)
        kind = None if auth is None else auth.WhichOneof("auth")
        return ipc_pb2.IpcOAuthStatusResponse(
            status={
                "api": ipc_pb2.OAUTH_STATUS_TYPE_API_KEY,
                "oauth": ipc_pb2.OAUTH_STATUS_TYPE_CONFIGURED,
                "well_known": ipc_pb2.OAUTH_STATUS_TYPE_WELL_KNOWN,
            }.get(kind or "", ipc_pb2.OAUTH_STATUS_TYPE_NOT_CONFIGURED)
        )

    def sync_auth_keys(
        self, *, skip_oauth_providers: bool, deadline: Deadline
    ) -> ipc_pb2.IpcAuthSyncResponse:
        synced = [ipc_pb2.IpcProviderSyncResult(provider=each) for each in self.providers]
        return ipc_pb2.IpcAuthSyncResponse(synced=synced)

    # Settings

    def get_config(self, *, deadline: Deadline) -> ipc_pb2.IpcGetConfigResponse:
        models = json.dumps({"providers": self.providers})
        return ipc_pb2.IpcGetConfigResponse(
            app_config_json=self._config["app"], models_config_json=models
        )

    def update_config(
        self, config_json: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcUpdateConfigResponse:
        try:
            accepted = isinstance(json.loads(config_json), dict)
        except ValueError:
            accepted = False
        if not accepted:
            return ipc_pb2.IpcUpdateConfigResponse(success=False, error="it is no JSON object")
        self._config["app"] = config_json
        return ipc_pb2.IpcUpdateConfigResponse(success=True)


def _without_secrets(auth: oc_auth_pb2.OcAuth, instead: str) -> oc_auth_pb2.OcAuth:
    shown = oc_auth_pb2.OcAuth()
    shown.CopyFrom(auth)
    kind = shown.WhichOneof("auth")
    if kind == "api":
        shown.api.key = instead
    elif kind == "oauth":
        shown.oauth.access = shown.oauth.refresh = instead
    elif kind == "well_known":
        shown.well_known.token = instead
    return shown

"""A client without a backend, for tests of what the commands make of its answers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Self

from opencode_sync.cli.connection import Link, State
from opencode_sync.wire import ipc_pb2, oc_session_pb2


def session(number: int, title: str = "A title", *, updated: int = 0, **fields: Any) -> Any:
    """A session whose id ends in ``number``."""
    made = oc_session_pb2.OcSessionInfo(
        id=f"ses_{number:026}", title=title, directory="/home/me/project", version="1", **fields
    )
    made.time.updated = updated
    return made


class FakeClient:
    """Keeps sessions in a dictionary; raises ``failure`` instead of answering, if there is one."""

    def __init__(self) -> None:
        self.sessions: dict[str, Any] = {}
        self.healthy = True
        self.connect_failure: BaseException | None = None
        self.failure: BaseException | None = None
        self.connected = False
        self.agents: list[Any] = []
        self.connected_providers: list[str] = []
        self.oauth: dict[str, Any] = {}
        self.synced: Any = ipc_pb2.IpcAuthSyncResponse()
        self.config: Any = ipc_pb2.IpcGetConfigResponse()
        self.refusal: str | None = None
        self.asked: list[tuple[Any, ...]] = []
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        if self.connect_failure is not None:
            raise self.connect_failure
        self.connected = True
        return self

    def __exit__(self, *details: object) -> None:
        self.connected = False

    def _note(self, *call: Any) -> None:
        assert self.connected, "an operation on a client that is not connected"
        self.asked.append(call)
        if self.failure is not None:
            raise self.failure

    def health_check(self) -> bool:
        return self.connected and self.failure is None

    def check_server_health(self) -> bool:
        self._note("check_server_health")
        return self.healthy

    def list_sessions(self) -> list[Any]:
        self._note("list_sessions")
        return list(self.sessions.values())

    def create_session(self, title: str | None = None) -> Any:
        self._note("create_session", title)
        made = session(next(self._numbers), "Untitled" if title is None else title)
        self.sessions[made.id] = made
        return made

    def delete_session(self, session_id: str) -> bool:
        self._note("delete_session", session_id)
        return self.sessions.pop(session_id, None) is not None

    def list_agents(self) -> list[Any]:
        self._note("list_agents")
        return self.agents

    def get_provider_status(self) -> list[str]:
        self._note("get_provider_status")
        return self.connected_providers

    def get_oauth_status(self, provider_id: str) -> Any:
        self._note("get_oauth_status", provider_id)
        return self.oauth.get(provider_id) or ipc_pb2.IpcOAuthStatusResponse(
            status=ipc_pb2.OAUTH_STATUS_TYPE_NOT_CONFIGURED
        )

    def sync_auth_keys(self, skip_oauth_providers: bool = True) -> Any:
        self._note("sync_auth_keys", skip_oauth_providers)
        return self.synced

    def get_config(self) -> Any:
        self._note("get_config")
        return self.config

    def update_config(self, config: Any) -> Any:
        self._note("update_config", config)
        return ipc_pb2.IpcUpdateConfigResponse(
            success=self.refusal is None, error=self.refusal or None
        )


class FakeLinks:
    """Opens links to one fake client and remembers what it was asked for."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.opened: list[tuple[Path | None, float | None]] = []
        self.failure: Exception | None = None

    def open(self, config_file: Path | None, timeout: float | None) -> Link:
        self.opened.append((config_file, timeout))
        if self.failure is not None:
            raise self.failure
        return Link(self.client, "ws://127.0.0.1:4096/")  # type: ignore[arg-type]

    def state(self) -> State:
        return State(open_link=self.open)

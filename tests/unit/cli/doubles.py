"""A client without a backend, for tests of what the commands make of its answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from opencode_sync.cli.checks import Check
from opencode_sync.cli.connection import Link, State
from opencode_sync.wire import ext_operations_pb2, ipc_pb2, oc_session_pb2


def session(number: int, title: str = "A title", *, updated: int = 0, **fields: Any) -> Any:
    """A session whose id ends in ``number``."""
    made = oc_session_pb2.OcSessionInfo(
        id=f"ses_{number:026}", title=title, directory="/home/me/project", version="1", **fields
    )
    made.time.updated = updated
    return made


def tokens(**counts: int) -> Any:
    """Tokens of a run."""
    names = ("input", "output", "reasoning", "cache_read", "cache_write")
    each = {name: counts.get(name, 0) for name in names}
    return SimpleNamespace(**each, total=sum(each.values()))


def result(text: str = "", **fields: Any) -> Any:
    """What a run came to."""
    made = {
        "session_id": "ses_1",
        "text": text,
        "messages": [],
        "tool_calls": [],
        "tokens": tokens(),
        "cost": 0.0,
        "structured": None,
        "finish": "stop",
        "retries": [],
    }
    return SimpleNamespace(**(made | fields))


class FakeStream:
    """Yields what it was given; raises the exceptions and calls the functions among it."""

    def __init__(self, items: Iterable[Any], outcome: Any = None) -> None:
        self._items = iter(items)
        self._outcome = outcome
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.closed = True

    def __next__(self) -> Any:
        item = next(self._items)
        if isinstance(item, BaseException):
            raise item
        return self.__next__() if callable(item) and item() is None else item

    def result(self) -> Any:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


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
        self.streams: list[FakeStream] = []
        self.opened_streams: list[FakeStream] = []
        self.messages: list[Any] = []
        self.idle = True
        self.models: Any = ext_operations_pb2.IpcModelList()
        self.info: Any = ext_operations_pb2.IpcBackendInfo()
        self.info_failure: BaseException | None = None
        self.too_late: BaseException | None = None
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

    def get_session(self, session_id: str) -> Any:
        self._note("get_session", session_id)
        return self.sessions[session_id]

    def update_session(self, session_id: str, **changes: Any) -> Any:
        self._note("update_session", session_id, changes)
        found = self.sessions[session_id]
        if "title" in changes:
            found.title = changes["title"]
        if changes.get("archived"):
            found.time.archived = 1_000
        return found

    def list_messages(self, session_id: str, *, limit: int | None = None) -> list[Any]:
        self._note("list_messages", session_id, limit)
        return self.messages

    def abort_session(self, session_id: str) -> bool:
        self._note("abort_session", session_id)
        return self.idle

    def list_models(self) -> Any:
        self._note("list_models")
        return self.models

    def get_backend_info(self) -> Any:
        self._note("get_backend_info")
        if self.info_failure is not None:
            raise self.info_failure
        return self.info

    def _next_stream(self) -> FakeStream:
        self.opened_streams.append(self.streams.pop(0))
        return self.opened_streams[-1]

    def stream_prompt(self, session_id: str, text: str, **options: Any) -> FakeStream:
        self._note("stream_prompt", session_id, text, options)
        return self._next_stream()

    def events(self, **options: Any) -> FakeStream:
        self._note("events", options)
        return self._next_stream()

    def reply_permission(self, permission_id: str, reply: str, **options: Any) -> None:
        self._note("reply_permission", permission_id, reply, options)
        if self.too_late is not None:
            raise self.too_late

    def reply_question(self, question_id: str, answers: Any, **options: Any) -> None:
        self._note("reply_question", question_id, answers, options)
        if self.too_late is not None:
            raise self.too_late


class FakeLinks:
    """Opens links to one fake client and remembers what it was asked for."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.opened: list[tuple[Path | None, float | None]] = []
        self.directories: list[Path | None] = []
        self.launched: list[tuple[Path, Any]] = []
        self.launched_info: Any = ext_operations_pb2.IpcBackendInfo()
        self.failure: Exception | None = None
        self.gateway_runs = True
        self.checks: list[Check] = []

    def open(
        self, config_file: Path | None, timeout: float | None, directory: Path | None = None
    ) -> Link:
        self.opened.append((config_file, timeout))
        self.directories.append(directory)
        if self.failure is not None:
            raise self.failure
        return Link(self.client, "ws://127.0.0.1:4096/")  # type: ignore[arg-type]

    @contextmanager
    def launch(self, directory: Path, *, options: Any) -> Iterator[Any]:
        self.launched.append((directory, options))
        assert not self.client.connected, "the gateway's client was left open"
        self.client.info = self.launched_info
        with self.client as client:
            yield client

    def state(self) -> State:
        return State(
            open_link=self.open,
            is_backend_there=lambda config_file: self.gateway_runs or config_file is not None,
            launch=self.launch,
            checks=self.checks,
        )


def typed(*lines: str | BaseException) -> Callable[[str], str]:
    """What somebody types, in the place of ``read_line``: exceptions are raised; then the end."""
    left = iter(lines)

    def read(prompt: str) -> str:
        line = next(left, None)
        if line is None:
            raise EOFError
        if isinstance(line, BaseException):
            raise line
        return line

    return read

"""Sessions in a SQLite file: no OpenCode, no network, nothing lost that was answered."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import platformdirs

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.backends.base import (
    Backend,
    BackendError,
    EventSink,
    Subscription,
    check_session_id,
)
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.session_events import SessionEvents
from opencode_sync.gateway.backends.session_file import SessionFile
from opencode_sync.gateway.backends.session_ids import SessionIds
from opencode_sync.wire import ext_event_pb2, ipc_pb2, oc_session_pb2

__all__ = ["EmbeddedBackend", "default_database"]

_COLUMNS = "id, project_id, directory, title, version, created, updated"
_INSERT = f"INSERT INTO session ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT = f"SELECT {_COLUMNS}, archived FROM session ORDER BY updated DESC, id DESC"
_SELECT_ONE = f"SELECT {_COLUMNS}, archived FROM session WHERE id = ?"
_RENAME = "UPDATE session SET title = ? WHERE id = ?"
_ARCHIVE = "UPDATE session SET archived = ? WHERE id = ?"
_DELETE = "DELETE FROM session WHERE id = ?"

_SELECT_ANY = "SELECT 1 FROM session LIMIT 1"

_ROWS_AT_ONCE = 2000

_Row = tuple[str, str, str, str, str, int, int, int | None]


def default_database() -> Path:
    """Return where the sessions are kept unless told otherwise."""
    return platformdirs.user_data_path("opencode-sync") / "sessions.db"


def _package_version() -> str:
    try:
        return metadata.version("opencode-sync-sdk")
    except metadata.PackageNotFoundError:
        return "0"


class EmbeddedBackend(Backend):
    """The session store built into the gateway. Has no model, so it cannot chat.

    Args:
        database: The SQLite file; None means ``default_database()``. Its folder is made if missing.
        directory: What new sessions name as their directory; None means the current one.
        config: Keeps the application's settings; None means those of this user.
    """

    name = "embedded"

    # Nothing that commits, or whose size its user decides.
    quick = frozenset({"check_health", "discover_server"})

    def __init__(
        self,
        database: Path | str | None = None,
        *,
        directory: Path | str | None = None,
        config: AppConfigStore | None = None,
    ) -> None:
        path = Path(database) if database is not None else default_database()
        self._file = SessionFile(path)
        self._directory = str(Path(directory or ".").absolute())
        self._version = _package_version()
        self._ids = SessionIds()
        self._events = SessionEvents(_session_info)
        self._config = config if config is not None else AppConfigStore()

    @property
    def description(self) -> str:
        return f"the embedded session store {self._file.path}"

    def __repr__(self) -> str:
        return f"EmbeddedBackend({str(self._file.path)!r})"

    # Life

    def start(self) -> None:
        self._file.open()
        self._events.start()

    def close(self) -> None:
        self._events.close()
        self._file.close()

    # The server's part: the store is its own server, always there

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        return self._server_info()

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        if port is not None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
                f"port: the embedded session store does not listen on a port such as {port}; leave "
                f"the port out, or start the gateway with --backend opencode",
            )
        return self._server_info()

    def stop_server(self, *, deadline: Deadline) -> bool:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
            "the embedded session store is part of the gateway and ends with it; stop the gateway",
        )

    def check_health(self, *, deadline: Deadline) -> bool:
        if deadline is NOW:
            self._file.readers.glance(_SELECT_ANY)
        else:
            with self._file.readers.reading(deadline) as reader:
                reader.execute(_SELECT_ANY).fetchone()
        return not self._file.damaged

    def _server_info(self) -> ipc_pb2.IpcServerInfo:
        return ipc_pb2.IpcServerInfo(
            pid=os.getpid(), name=self.name, command="opencode-sync gateway"
        )

    # Sessions

    def list_size(self) -> int:
        return self._file.size()

    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        sessions: list[oc_session_pb2.OcSessionInfo] = []
        with (
            self._file.readers.reading(deadline) as reader,
            closing(reader.execute(_SELECT)) as cursor,
        ):
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                if deadline.passed():
                    raise self._file.refused(
                        "took too long to read; delete sessions you do not need"
                    )
                sessions.extend(map(_session_info, rows))
        return sessions

    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        session_id, now = self._ids.next()
        if title is None:
            made = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds")
            title = f"New session - {made.replace('+00:00', 'Z')}"
        row = (session_id, "global", self._directory, title, self._version, now, now, None)

        def apply(writer: sqlite3.Connection) -> list[_Row]:
            writer.execute(_INSERT, row[:-1])
            return [row]

        self._change("session.created", apply, deadline)
        return _session_info(row)

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        values = (check_session_id(session_id),)

        def apply(writer: sqlite3.Connection) -> list[_Row]:
            rows = list(writer.execute(_SELECT_ONE, values))
            writer.execute(_DELETE, values)
            return rows

        return bool(self._change("session.deleted", apply, deadline))

    def get_session(self, session_id: str, *, deadline: Deadline) -> oc_session_pb2.OcSessionInfo:
        with self._file.readers.reading(deadline) as reader:
            row = reader.execute(_SELECT_ONE, (check_session_id(session_id),)).fetchone()
        return self._found(session_id, row)

    def update_session(
        self, session_id: str, *, title: str | None, archived: bool | None, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        check_session_id(session_id)
        if title is None and archived is None:
            raise _invalid("title and archived are both absent; give at least one of them")

        def apply(writer: sqlite3.Connection) -> list[_Row]:
            if title is not None:
                writer.execute(_RENAME, (title, session_id))
            if archived is not None:
                moment = time.time_ns() // 1_000_000 if archived else None
                writer.execute(_ARCHIVE, (moment, session_id))
            return list(writer.execute(_SELECT_ONE, (session_id,)))

        changed = self._change("session.updated", apply, deadline)
        return self._found(session_id, changed[0] if changed else None)

    def _change(
        self, kind: str, apply: Callable[[sqlite3.Connection], list[_Row]], deadline: Deadline
    ) -> list[_Row]:
        """Have a change on the disk and tell of it; returns the sessions that it was about."""
        rows: list[_Row] = []

        def committed() -> None:
            for row in rows:
                self._events.committed(kind, row)

        self._file.change(lambda writer: rows.extend(apply(writer)), deadline, committed)
        self._events.deliver()
        return rows

    def _found(self, session_id: str, row: _Row | None) -> oc_session_pb2.OcSessionInfo:
        if row is None:
            raise _invalid(
                f"session_id: {self.description} has no session {session_id[:100]}; use an id that "
                f"list_sessions or create_session returned"
            )
        return _session_info(row)

    # Events

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Subscription:
        """Have what is changed through this backend go to ``sink``, from ``sink.opened`` on.

        Nothing is ever at work here, so there is nothing that ``request.current`` would tell.
        """
        types = EventTypes(request.types)
        if not request.HasField("session_id"):
            return self._events.subscribe(types, None, sink)
        session_id = check_session_id(request.session_id)
        return self._events.subscribe(
            types,
            session_id,
            sink,
            check=lambda: self.get_session(session_id, deadline=deadline),
        )

    # The application's settings

    def get_config(self, *, deadline: Deadline) -> ipc_pb2.IpcGetConfigResponse:
        return self._config.get()

    def update_config(
        self, config_json: str, *, deadline: Deadline
    ) -> ipc_pb2.IpcUpdateConfigResponse:
        return self._config.update(config_json, deadline=deadline)


def _invalid(message: str) -> BackendError:
    return BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, message)


def _session_info(row: _Row) -> oc_session_pb2.OcSessionInfo:
    session_id, project_id, directory, title, version, created, updated, archived = row
    return oc_session_pb2.OcSessionInfo(
        id=session_id,
        project_id=project_id,
        directory=directory,
        title=title,
        version=version,
        time=oc_session_pb2.OcSessionTime(created=created, updated=updated, archived=archived),
    )

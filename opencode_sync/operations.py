"""One definition per operation: what to send, what must come back, and what may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from opencode_sync.errors import IpcArgumentError
from opencode_sync.wire import ipc_pb2, oc_session_pb2

__all__ = [
    "Operation",
    "Request",
    "check_health",
    "create_session",
    "delete_session",
    "discover_server",
    "health_check",
    "list_sessions",
    "spawn_server",
    "stop_server",
]

R = TypeVar("R")

MAX_TEXT_BYTES = 64 * 1024 * 1024 - 1024
"""What fits into the largest message that backends take, with room for the rest of it."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[R]):
    """What the client has to know of an operation.

    Attributes:
        name: Its name in errors, metrics and logs, which is also its field in ``IpcClientMessage``.
        answer: The field of ``IpcServerMessage`` that answers it. Any other is a protocol error.
        result: Turns that field's value into what the caller gets. Pure; raises ``ValueError`` for
            a value that is no answer.
        idempotent: Whether doing it twice is as good as once, so that it may be repeated when the
            connection was lost before the answer came.
        needs_server: Whether the backend must be bound to an OpenCode server.
        failure: The result that stands for every failure, where callers want none raised.
    """

    name: str
    answer: str
    result: Callable[[Any], R]
    idempotent: bool
    needs_server: bool
    failure: R | None = None


@dataclass(frozen=True, slots=True)
class Request(Generic[R]):
    """One call of an operation: its message in wire form, all but the request id.

    The payload is encoded once, in the caller's thread, whatever number of times it is sent.
    """

    operation: Operation[R]
    body: bytes

    def encode(self, request_id: int) -> bytes:
        """Return the message under this id: field 1, which comes first, then the rest."""
        return b"\x08" + _varint(request_id) + self.body


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _request(operation: Operation[R], message: ipc_pb2.IpcClientMessage) -> Request[R]:
    return Request(operation, message.SerializeToString())


def _server_of_discovery(
    answer: ipc_pb2.IpcDiscoverServerResponse,
) -> ipc_pb2.IpcServerInfo | None:
    return answer.server if answer.HasField("server") else None


def _server_of_spawn(answer: ipc_pb2.IpcSpawnServerResponse) -> ipc_pb2.IpcServerInfo:
    if not answer.HasField("server"):
        raise ValueError("names no server")
    return answer.server


def _success(
    answer: ipc_pb2.IpcStopServerResponse | ipc_pb2.IpcDeleteSessionResponse,
) -> bool:
    return answer.success


def _healthy(answer: ipc_pb2.IpcCheckHealthResponse) -> bool:
    return answer.healthy


def _sessions(answer: oc_session_pb2.OcSessionList) -> Sequence[oc_session_pb2.OcSessionInfo]:
    return answer.sessions


def _session(answer: oc_session_pb2.OcSessionInfo) -> oc_session_pb2.OcSessionInfo:
    return answer


_DISCOVER_SERVER = Operation(
    "discover_server", "discover_server_response", _server_of_discovery, True, False
)
_SPAWN_SERVER = Operation("spawn_server", "spawn_server_response", _server_of_spawn, False, False)
_STOP_SERVER = Operation("stop_server", "stop_server_response", _success, False, False)
_CHECK_HEALTH = Operation("check_health", "check_health_response", _healthy, True, True)
_HEALTH_CHECK = replace(_CHECK_HEALTH, failure=False)
_LIST_SESSIONS = Operation("list_sessions", "session_list", _sessions, True, True)
_CREATE_SESSION = Operation("create_session", "session_info", _session, False, True)
_DELETE_SESSION = Operation("delete_session", "delete_session_response", _success, False, True)


def discover_server() -> Request[ipc_pb2.IpcServerInfo | None]:
    """Look for a running OpenCode server and bind the backend to it."""
    message = ipc_pb2.IpcClientMessage(discover_server=ipc_pb2.IpcDiscoverServerRequest())
    return _request(_DISCOVER_SERVER, message)


def spawn_server(port: int | None) -> Request[ipc_pb2.IpcServerInfo]:
    """Start an OpenCode server on ``port`` (None: any) and bind the backend to it."""
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int):
            raise IpcArgumentError(
                f"port is {port!r}; give a whole number from 1 to 65535, or None for any",
                field="port",
            )
        if not 1 <= port <= 65535:
            raise IpcArgumentError(
                f"port is {port}; give a number from 1 to 65535, or None for any", field="port"
            )
    message = ipc_pb2.IpcClientMessage(spawn_server=ipc_pb2.IpcSpawnServerRequest(port=port))
    return _request(_SPAWN_SERVER, message)


def stop_server() -> Request[bool]:
    """Stop the OpenCode server the backend is bound to."""
    message = ipc_pb2.IpcClientMessage(stop_server=ipc_pb2.IpcStopServerRequest())
    return _request(_STOP_SERVER, message)


def check_health() -> Request[bool]:
    """Ask whether the OpenCode server the backend is bound to is healthy."""
    message = ipc_pb2.IpcClientMessage(check_health=ipc_pb2.IpcCheckHealthRequest())
    return _request(_CHECK_HEALTH, message)


def health_check() -> Request[bool]:
    """Ask the same, and take every failure to get an answer for a no."""
    return Request(_HEALTH_CHECK, check_health().body)


def list_sessions() -> Request[Sequence[oc_session_pb2.OcSessionInfo]]:
    """List all sessions."""
    message = ipc_pb2.IpcClientMessage(list_sessions=ipc_pb2.IpcListSessionsRequest())
    return _request(_LIST_SESSIONS, message)


def create_session(title: str | None) -> Request[oc_session_pb2.OcSessionInfo]:
    """Create a session."""
    if title is not None:
        _check_text(title, "title", "or None for a title of OpenCode's own")
    message = ipc_pb2.IpcClientMessage(create_session=ipc_pb2.IpcCreateSessionRequest(title=title))
    return _request(_CREATE_SESSION, message)


def delete_session(session_id: str) -> Request[bool]:
    """Delete a session."""
    _check_text(session_id, "session_id", "as create_session and list_sessions give it")
    if not session_id.strip():
        raise IpcArgumentError(
            "session_id is blank; give the id of a session, as list_sessions shows it",
            field="session_id",
        )
    message = ipc_pb2.IpcClientMessage(
        delete_session=ipc_pb2.IpcDeleteSessionRequest(session_id=session_id)
    )
    return _request(_DELETE_SESSION, message)


def _check_text(value: object, field: str, remedy: str) -> None:
    if not isinstance(value, str):
        raise IpcArgumentError(
            f"{field} is of type {type(value).__name__}; give a str, {remedy}", field=field
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise IpcArgumentError(
            f"{field} holds a lone surrogate at position {error.start}, which is no character and "
            "cannot be sent; remove it, or decode the text with the right encoding",
            field=field,
        ) from None
    if size > MAX_TEXT_BYTES:
        raise IpcArgumentError(
            f"{field} has {size} bytes, and a message holds at most {MAX_TEXT_BYTES}; shorten it",
            field=field,
        )

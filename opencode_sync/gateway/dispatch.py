"""From a request to its answer: which payload is served by what, and which error fits.

Every request gets exactly one answer of here, whatever the backend does. What the backend says by
``BackendError`` goes to the client as it is; any other exception is a bug, of which the client is
told only that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError, EncodeError
from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.wire import ipc_pb2

__all__ = ["Dispatcher", "decode_request", "error_answer"]

_Handler = Callable[
    [Backend, ipc_pb2.IpcClientMessage, ipc_pb2.IpcServerMessage, Deadline],
    None,
]


def decode_request(message: bytes) -> ipc_pb2.IpcClientMessage | None:
    """Return the request in a message, or None when there is none."""
    try:
        return ipc_pb2.IpcClientMessage.FromString(message)
    except DecodeError:
        return None


def error_answer(request_id: int, code: int, message: str) -> bytes:
    """Return the encoded answer of a request that failed; id 0 stands for no request."""
    return ipc_pb2.IpcServerMessage(
        request_id=request_id,
        error=ipc_pb2.IpcErrorResponse(code=code, message=message),  # type: ignore[arg-type]
    ).SerializeToString()


class Dispatcher:
    """Answers requests with the help of a backend. Any thread may call any method.

    Args:
        backend: Does the work.
        request_timeout: Seconds the backend has for one request.
        max_message_size: Bytes an answer may have, encoded.
    """

    def __init__(self, backend: Backend, *, request_timeout: float, max_message_size: int) -> None:
        self._backend = backend
        self._request_timeout = request_timeout
        self._max_message_size = max_message_size
        # How large the newest list was, and what was created since; a guess, so it has no lock.
        self._list_size: int | None = None

    def expected_size(self, request: ipc_pb2.IpcClientMessage) -> int:
        """Return about how many bytes the answer of a request will have."""
        if request.WhichOneof("payload") == "list_sessions":
            size = self._list_size
            return self._backend.list_size() if size is None else size
        return request.ByteSize()  # a created session's title comes back

    def answer(self, request: ipc_pb2.IpcClientMessage) -> bytes:
        """Return the encoded answer; never raises."""
        operation = request.WhichOneof("payload")
        try:
            answer = self._encoded(self._answer(request, operation))
            if operation == "list_sessions":
                self._list_size = len(answer)
            elif operation == "create_session" and self._list_size is not None:
                self._list_size += len(answer)
            return answer
        except BackendError as error:
            return error_answer(request.request_id, error.code, error.message)
        except Exception:  # noqa: BLE001
            logger.bind(request_id=request.request_id, operation=operation).exception(
                "a request failed for a reason the gateway does not know"
            )
            return error_answer(
                request.request_id,
                ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR,
                f"{operation} failed inside the gateway; its log has the details",
            )

    def _answer(
        self, request: ipc_pb2.IpcClientMessage, operation: str | None
    ) -> ipc_pb2.IpcServerMessage:
        if operation is None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                "No payload in message",
            )
        if operation == "auth_handshake":
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,
                "Auth handshake already completed",
            )
        if request.request_id == 0:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                "request_id must not be 0, which stands for no request; count up from 2",
            )
        handler = _HANDLERS.get(operation)
        if handler is None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
                f"{operation} is not served by this gateway with its {self._backend.name} backend; "
                f"{_remedy(operation, self._backend)}",
            )
        answer = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        handler(self._backend, request, answer, Deadline.after(self._request_timeout))
        return answer

    def _encoded(self, answer: ipc_pb2.IpcServerMessage) -> bytes:
        try:
            encoded = answer.SerializeToString()
            size = len(encoded)
        except (EncodeError, ValueError):  # beyond what protobuf can hold at all
            encoded, size = b"", answer.ByteSize()
        if encoded and size <= self._max_message_size:
            return encoded
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
            f"the answer has {size} bytes, more than the {self._max_message_size} one message may "
            f"have; delete sessions you do not need",
        )


def _remedy(operation: str, backend: Backend) -> str:
    if operation == "send_message" and backend.name == "embedded":
        return "it has no model, so start the gateway with --backend opencode"
    return "use OpenCode's own interface for it"


def _discover_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.discover_server_response.SetInParent()
    server = backend.discover_server(deadline=deadline)
    if server is not None:
        answer.discover_server_response.server.CopyFrom(server)


def _spawn_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.spawn_server
    port = wanted.port if wanted.HasField("port") else None
    if port is not None and not 1024 <= port <= 65535:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            f"port must be from 1024 to 65535, but is {port}; leave it out to have one chosen",
        )
    server = backend.spawn_server(port, deadline=deadline)
    answer.spawn_server_response.server.CopyFrom(server)


def _check_health(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.check_health_response.healthy = backend.check_health(deadline=deadline)
    answer.check_health_response.SetInParent()


def _stop_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.stop_server_response.success = backend.stop_server(deadline=deadline)
    answer.stop_server_response.SetInParent()


def _list_sessions(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.session_list.SetInParent()
    answer.session_list.sessions.extend(backend.list_sessions(deadline=deadline))


def _create_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.create_session
    title = wanted.title if wanted.HasField("title") else None
    answer.session_info.CopyFrom(backend.create_session(title, deadline=deadline))


def _delete_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    session_id = request.delete_session.session_id
    success = backend.delete_session(session_id, deadline=deadline)
    answer.delete_session_response.success = success
    answer.delete_session_response.SetInParent()


_HANDLERS: Mapping[str, _Handler] = {
    "discover_server": _discover_server,
    "spawn_server": _spawn_server,
    "check_health": _check_health,
    "stop_server": _stop_server,
    "list_sessions": _list_sessions,
    "create_session": _create_session,
    "delete_session": _delete_session,
}

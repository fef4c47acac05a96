"""From a request to its answer: who serves it, how long that may take, and which error fits.

Every request gets exactly one answer of here, whatever the backend does. What the backend says by
``BackendError`` goes to the client as it is; any other exception is a bug, of which the client is
told only that there is one.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError, EncodeError
from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.gateway.handlers import HANDLERS
from opencode_sync.wire import ipc_pb2

__all__ = ["Dispatcher", "decode_request", "error_answer"]


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
        request_timeout: Seconds the backend has for one request...
        prompt_timeout: ...and for one that waits for a model; None for no difference.
        max_message_size: Bytes an answer may have, encoded.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        request_timeout: float,
        max_message_size: int,
        prompt_timeout: float | None = None,
    ) -> None:
        self._backend = backend
        self._request_timeout = request_timeout
        self._prompt_timeout = request_timeout if prompt_timeout is None else prompt_timeout
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
            answer = self._encoded(self._answer(request, operation), operation)
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
        handler = HANDLERS.get(operation)
        if handler is None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
                f"{operation} is not served by this gateway with its {self._backend.name} backend; "
                f"use OpenCode's own interface for it",
            )
        answer = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        handler(self._backend, request, answer, Deadline.after(self._seconds(request, operation)))
        return answer

    def _seconds(self, request: ipc_pb2.IpcClientMessage, operation: str) -> float:
        if operation == "send_message":
            return self._prompt_timeout
        if operation == "sync_auth_keys" and request.sync_auth_keys.timeout_secs:
            # The client's own choice, as long as it holds no thread of ours for hours.
            return min(request.sync_auth_keys.timeout_secs, self._prompt_timeout)
        return self._request_timeout

    def _encoded(self, answer: ipc_pb2.IpcServerMessage, operation: str | None) -> bytes:
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
            f"have; {_less(operation)}",
        )


def _less(operation: str | None) -> str:
    if operation == "send_message":
        return "ask the agent for a shorter answer, or to write it into a file"
    return "delete sessions you do not need"

"""From a request to its answer: who serves it, how long that may take, and which error fits.

Every request gets exactly one answer of here, whatever the backend does. What the backend says by
``BackendError`` goes to the client as it is; any other exception is a bug, of which the client is
told only that there is one. When a request was cancelled, its errors say that and nothing else,
but a result that there is goes out: it may be what was made until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError, EncodeError

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway.answer_sizes import AnswerSizes
from opencode_sync.gateway.backends.base import (
    Backend,
    BackendError,
    EventSink,
    Subscription,
    WouldWait,
)
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.handlers import HANDLERS
from opencode_sync.gateway.handlers_runs import RUN_HANDLERS, RunHandler, run_seconds
from opencode_sync.gateway.link import Link
from opencode_sync.gateway.pushes import EventEncoder, Pushes
from opencode_sync.logger import logger
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

    Of each request its wrapping was taken off before; ``directory`` is what that named, or "".

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
        self._sizes = AnswerSizes(backend.list_size)
        self._encode_event = EventEncoder()

    def expected_size(self, request: ipc_pb2.IpcClientMessage, directory: str = "") -> int:
        """Return about how many bytes the answer of a request will have."""
        return self._sizes.expected(request, directory)

    def answer_at_once(self, request: ipc_pb2.IpcClientMessage) -> bytes | None:
        """Return the encoded answer of a request that nobody has to wait for; None of any other.

        Never waits, and never raises. What is refused is left to ``answer``.
        """
        operation = request.WhichOneof("payload")
        if operation not in self._backend.quick or not request.request_id:
            return None
        answer = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        try:
            HANDLERS[operation](self._backend, request, answer, NOW)
            return self._encoded(answer, operation)
        except WouldWait:
            return None
        except Exception as error:  # noqa: BLE001
            return _encoded_error(request, self._error(request, error))

    def answer(self, request: ipc_pb2.IpcClientMessage, directory: str = "") -> bytes:
        """Return the encoded answer; never raises."""
        operation = request.WhichOneof("payload")
        try:
            answer = self._encoded(self._answer(request, operation, directory), operation)
        except Exception as error:  # noqa: BLE001
            return _encoded_error(request, self._error(request, error))
        self._sizes.note(request, directory, len(answer))
        return answer

    def run(
        self,
        request: ipc_pb2.IpcClientMessage,
        directory: str = "",
        *,
        cancellation: Cancellation,
        pushes: Pushes,
    ) -> bytes:
        """Return the encoded answer of a request that waits for a model; never raises.

        Once it returns nothing is pushed any more.
        """
        operation = request.WhichOneof("payload")
        answer = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        try:
            self._check(request, operation)
            handler: RunHandler = RUN_HANDLERS[operation]
            deadline = Deadline.after(run_seconds(request, self._prompt_timeout))
            backend = self._backend_for(directory)
            handler(backend, request, answer, deadline, cancellation, pushes)
            missed = pushes.shut()
            if answer.HasField("run_result"):
                answer.run_result.missed += missed
            return self._encoded(answer, operation)
        except Exception as error:  # noqa: BLE001
            pushes.shut()
            return _encoded_error(request, self._error(request, error, cancellation))

    def pushes(
        self, link: Link, request: ipc_pb2.IpcClientMessage, on_end: Callable[[str], object]
    ) -> Pushes:
        """Return where the events for a request go."""
        return Pushes(
            link,
            request.request_id,
            encode=self._encode_event,
            max_message_size=self._max_message_size,
            on_end=on_end,
        )

    def subscribe(
        self, request: ipc_pb2.IpcClientMessage, directory: str, sink: EventSink
    ) -> Subscription:
        """Begin a subscription.

        Raises:
            BackendError: there is none, and why.
        """
        try:
            self._check(request, "subscribe")
            return self._backend_for(directory).subscribe(
                request.subscribe, sink, deadline=Deadline.after(self._request_timeout)
            )
        except Exception as error:
            told = self._error(request, error)
            if told is error:
                raise
            raise told from error

    def _answer(
        self, request: ipc_pb2.IpcClientMessage, operation: str | None, directory: str
    ) -> ipc_pb2.IpcServerMessage:
        self._check(request, operation)
        handler = HANDLERS.get(operation or "")
        if handler is None:
            raise BackendError(
                ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
                f"{operation} is not served by this gateway with its {self._backend.name} backend; "
                f"use OpenCode's own interface for it",
            )
        answer = ipc_pb2.IpcServerMessage(request_id=request.request_id)
        deadline = Deadline.after(self._seconds(request, operation))
        handler(self._backend_for(directory), request, answer, deadline)
        return answer

    def _check(self, request: ipc_pb2.IpcClientMessage, operation: str | None) -> None:
        """Refuse what no backend has to see.

        Raises:
            BackendError: it is refused, and why.
        """
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

    def _backend_for(self, directory: str) -> Backend:
        return self._backend.in_directory(directory) if directory else self._backend

    def _seconds(self, request: ipc_pb2.IpcClientMessage, operation: str | None) -> float:
        if operation == "sync_auth_keys" and request.sync_auth_keys.timeout_secs:
            # The client's own choice, as long as it holds no thread of ours for hours.
            return min(request.sync_auth_keys.timeout_secs, self._prompt_timeout)
        return self._request_timeout

    def _error(
        self,
        request: ipc_pb2.IpcClientMessage,
        error: Exception,
        cancellation: Cancellation | None = None,
    ) -> BackendError:
        """Return what the client is told of whatever went wrong."""
        if not isinstance(error, BackendError):
            error = _hidden(request, error)
        if cancellation is not None and cancellation.cancelled:
            error = BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, cancellation.reason)
        return error

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
            f"have; {_LESS.get(operation, 'delete sessions you do not need')}",
        )


_LESS: Mapping[str | None, str] = {
    "send_message": "ask the agent for a shorter answer, or to write it into a file",
    "prompt": "the run has ended and its messages are kept: get the newest with list_messages and "
    "a limit, and ask the agent to write large results into files",
    "list_messages": "ask for fewer with a limit",
}


def _encoded_error(request: ipc_pb2.IpcClientMessage, error: BackendError) -> bytes:
    return error_answer(request.request_id, error.code, error.message)


def _hidden(request: ipc_pb2.IpcClientMessage, error: Exception) -> BackendError:
    """Log a bug, and return what the client is told of it."""
    operation = request.WhichOneof("payload")
    logger.bind(request_id=request.request_id, operation=operation).opt(exception=error).error(
        "a request failed for a reason the gateway does not know"
    )
    return BackendError(
        ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR,
        f"{operation} failed inside the gateway; its log has the details",
    )

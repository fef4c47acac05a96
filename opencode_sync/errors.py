"""Every error this package raises, and what a caller can do about each.

- ``IpcError``: the base of all of them; catch it to catch everything.

  - ``IpcConfigError``: where to connect is missing or wrong. Mend the setting it names.
  - ``IpcConnectionError``: no connection, or it was lost. Retry when ``request_sent`` is False.
  - ``IpcAuthenticationError``: the backend refused the handshake. Get a fresh token.
  - ``IpcProtocolError``: the peer broke the wire protocol. Check what listens on that port.
  - ``IpcTimeoutError`` (also ``TimeoutError``): no answer within the time allowed.
  - ``IpcCancelledError``: the caller cancelled the request.
  - ``IpcServerError``: the backend answered with an error code.

    - ``IpcUnsupportedOperationError``: this backend does not know the operation.
  - ``IpcPromptError``: a run of the agent failed.
  - ``IpcSlowConsumerError``: a stream was read too slowly, and events are missing. Read on.
  - ``IpcUsageError`` (also ``RuntimeError``): the call itself is wrong here and now.

    - ``IpcArgumentError`` (also ``ValueError``): an argument is wrong; names the field.

Each holds its context in attributes and pickles with them. None holds a live object, and none ever
carries a token or a key.
"""

from __future__ import annotations

from typing import Any

from opencode_sync.wire import ipc_pb2

__all__ = [
    "IpcArgumentError",
    "IpcAuthenticationError",
    "IpcCancelledError",
    "IpcConfigError",
    "IpcConnectionError",
    "IpcError",
    "IpcPromptError",
    "IpcProtocolError",
    "IpcServerError",
    "IpcSlowConsumerError",
    "IpcTimeoutError",
    "IpcUnsupportedOperationError",
    "IpcUsageError",
    "error_code_name",
]


def error_code_name(code: int) -> str:
    """Return the schema's name of an error code, or ``"code 77"`` for one it does not know."""
    try:
        name = ipc_pb2.IpcErrorCode.Name(code)
    except ValueError:
        return f"code {code}"
    return name.removeprefix("IPC_ERROR_CODE_")


def _restore(cls: type[IpcError], args: tuple[Any, ...], state: dict[str, Any]) -> IpcError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class IpcError(Exception):
    """Base of every error of this package."""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """The sentence for people, without the attributes."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses have keyword-only context, which the default protocol would drop.
        return _restore, (type(self), self.args, self.__dict__.copy())


class IpcConfigError(IpcError):
    """The settings that say where to connect are missing or wrong.

    Attributes:
        field: The setting at fault (``"port"``, ``"auth_token"``, an option's name), or None.
        source: Where it came from (``"environment"``, a path, an address), or None.
    """

    def __init__(
        self, message: str, *, field: str | None = None, source: str | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.source = source


class IpcConnectionError(IpcError):
    """There is no connection, or it was lost before the answer came.

    Attributes:
        endpoint: Where the connection went, as ``"ws://127.0.0.1:4096/"``; None if unknown.
        close_code: The WebSocket close code the peer gave, or None if it gave none.
        close_reason: The peer's reason text, "" if it gave none.
        request_sent: False only when the backend cannot have seen the request, so that sending it
            again is safe. True means that it may have acted.
        retry_in: Seconds until the client tries by itself to connect again, of a call that was
            refused because the connection is down; 0.0 when an attempt was under way, None when
            none was planned.
    """

    def __init__(
        self,
        message: str,
        *,
        endpoint: str | None = None,
        close_code: int | None = None,
        close_reason: str = "",
        request_sent: bool = False,
        retry_in: float | None = None,
    ) -> None:
        super().__init__(message)
        self.endpoint = endpoint
        self.close_code = close_code
        self.close_reason = close_reason
        self.request_sent = request_sent
        self.retry_in = retry_in


class IpcAuthenticationError(IpcError):
    """The backend did not accept the handshake: it refused the token, or closed instead.

    Attributes:
        endpoint: Where the connection went, as ``"ws://127.0.0.1:4096/"``; None if unknown.
    """

    def __init__(self, message: str, *, endpoint: str | None = None) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class IpcProtocolError(IpcError):
    """The peer sent what the wire protocol does not allow.

    Attributes:
        request_id: The request whose answer was wrong, or None.
        operation: That request's operation, or None.
    """

    def __init__(
        self, message: str, *, request_id: int | None = None, operation: str | None = None
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.operation = operation


class IpcTimeoutError(IpcError, TimeoutError):
    """No answer came in the time allowed.

    Attributes:
        request_id: The id the request had on the wire; 0 if it never got one.
        timeout: The seconds that were allowed.
        operation: What was waited for (``"list_sessions"``, ``"connect"``).
        request_sent: False only when the backend cannot have seen the request.
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: int = 0,
        timeout: float,
        operation: str,
        request_sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.timeout = timeout
        self.operation = operation
        self.request_sent = request_sent


class IpcCancelledError(IpcError):
    """The caller's own cancel token ended the wait.

    Attributes:
        request_id: The id the request had on the wire; 0 if it never got one.
        operation: What was cancelled.
        request_sent: False only when the backend cannot have seen the request.
    """

    def __init__(
        self, message: str, *, request_id: int = 0, operation: str, request_sent: bool = False
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.operation = operation
        self.request_sent = request_sent


class IpcServerError(IpcError):
    """The backend answered the request with an error.

    Attributes:
        request_id: The request's id.
        code: The error code as a number; codes newer than the schema are kept as they came.
        operation: The request's operation.
    """

    def __init__(self, message: str, *, request_id: int, code: int, operation: str) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.code = code
        self.operation = operation

    @property
    def code_name(self) -> str:
        """``"NO_SERVER"`` and the like; ``"code 77"`` for a code this schema does not know."""
        return error_code_name(self.code)


class IpcUnsupportedOperationError(IpcServerError):
    """The backend does not have this operation."""


class IpcPromptError(IpcError):
    """A run of the agent failed.

    Attributes:
        kind: What failed (``"provider_auth"``, ``"rate_limited"``, ``"aborted"``, ...).
        status: The model provider's HTTP status, or None.
        partial: What the run had produced until then, as a ``PromptResult``; or None.
        retryable: Whether the same prompt may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        status: int | None = None,
        partial: Any = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.partial = partial
        self.retryable = retryable


class IpcSlowConsumerError(IpcError):
    """Events are missing at this place of a stream, because it was read too slowly.

    The stream goes on: read on, and what came after the gap follows.

    Attributes:
        missed: How many events are missing.
    """

    def __init__(self, message: str, *, missed: int) -> None:
        super().__init__(message)
        self.missed = missed


class IpcUsageError(IpcError, RuntimeError):
    """The call is not allowed here and now: from this thread, in this process, in this number."""


class IpcArgumentError(IpcUsageError, ValueError):
    """An argument is wrong.

    Attributes:
        field: The argument's name.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field

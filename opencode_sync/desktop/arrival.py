"""Whether what was sent to the backend may have got there, by the error it ended with."""

from __future__ import annotations

from typing import Final

from opencode_sync.errors import (
    IpcCancelledError,
    IpcConnectionError,
    IpcServerError,
    IpcTimeoutError,
    IpcUsageError,
)
from opencode_sync.wire import ipc_pb2

__all__ = ["cannot_have_arrived"]

_REFUSALS: Final = frozenset(
    (
        ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
        ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
        ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR,
        ipc_pb2.IPC_ERROR_CODE_NO_SERVER,
    )
)
"""What is said before anything was done. Other errors may come in the middle of it."""


def cannot_have_arrived(error: BaseException) -> bool:
    """Return whether nothing can have come of a call that has ended with this error."""
    if isinstance(error, IpcConnectionError | IpcTimeoutError | IpcCancelledError):
        return not error.request_sent
    if isinstance(error, IpcServerError):
        return error.code in _REFUSALS
    return isinstance(error, IpcUsageError)

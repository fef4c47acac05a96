"""What callers are told when there is no connection, or no longer."""

from __future__ import annotations

import copy
from typing import Any, Final

from opencode_sync.call import Call
from opencode_sync.errors import IpcConnectionError, IpcTimeoutError
from opencode_sync.transport.base import TransportClosed

__all__ = ["closed_in_order", "fail_lost", "own_instance", "timeout_error"]

_GOOD_ORDER: Final = (None, 1000, 1001)  # close codes of a backend that ends on purpose


def timeout_error(timeout: float, why: str) -> IpcTimeoutError:
    """Return the error of an attempt that took too long."""
    return IpcTimeoutError(
        f"could not connect within {timeout:g} s: {why}", timeout=timeout, operation="connect"
    )


def closed_in_order(cause: Exception) -> bool:
    """Return whether a connection ended because its backend said goodbye, meaning it."""
    closed = cause.__cause__
    return isinstance(closed, TransportClosed) and closed.clean and closed.code in _GOOD_ORDER


def fail_lost(call: Call[Any], cause: Exception, text: str) -> None:
    """End a call whose connection is gone, with an exception of its own."""
    if not call.claim():
        return
    acted = "; the backend may have acted on it" if call.sent else "; it was never sent"
    connection = cause if isinstance(cause, IpcConnectionError) else IpcConnectionError("")
    error = IpcConnectionError(
        f"{call.operation} failed because {text}{acted}",
        endpoint=connection.endpoint,
        close_code=connection.close_code,
        close_reason=connection.close_reason,
        request_sent=call.sent,
    )
    error.__cause__ = cause
    call.fail(error)


def own_instance(error: BaseException) -> BaseException:
    """Return an instance for one caller: one shared by many grows a traceback at every raise."""
    return copy.copy(error)

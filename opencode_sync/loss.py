"""What callers are told when there is no connection, or no longer."""

from __future__ import annotations

import copy
from typing import Any, Final

from opencode_sync.call import Call
from opencode_sync.errors import IpcConnectionError, IpcTimeoutError
from opencode_sync.transport.base import TransportClosed

__all__ = ["closed_in_order", "down_error", "fail_lost", "own_instance", "timeout_error"]

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


def down_error(
    cause: Exception | None,
    because: str,
    *,
    closing: bool,
    connecting: bool,
    retry_in: float | None,
    sent: bool,
) -> IpcConnectionError:
    """Return the error of a call for which there is no connection.

    Args:
        cause: Why the last connection or attempt ended; None when there was none.
        because: The same as the end of a clause, or "".
        closing: Whether the client is being closed.
        connecting: Whether an attempt is under way.
        retry_in: Seconds until the next attempt; None when none is planned.
        sent: Whether the backend may have acted on the call.
    """
    if closing:
        text = "the client is being closed"
    elif connecting:
        text = f"the client is still connecting{because}"
    elif retry_in is not None:
        text = f"the connection is down{because}; the next attempt is in {retry_in:.1f} s"
    elif cause is not None:
        text = f"the client is not connected{because}; call connect() to connect again"
    else:
        text = "the client is not connected; call connect(), or use it in a with block"
    error = IpcConnectionError(text, request_sent=sent, retry_in=retry_in)
    error.__cause__ = cause
    return error


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

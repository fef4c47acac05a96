"""Errors that a test has a call fail with: an instance of its own for each call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from opencode_sync.errors import (
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcConnectionError,
    IpcError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
)
from opencode_sync.wire import ipc_pb2

__all__ = ["Failure", "check_failure", "instance_of"]

Failure = IpcError | type[IpcError]
"""An error as it shall be raised, or its class where the attributes do not matter."""

_TEXT: Final = "the test lets this call fail"
_SECONDS: Final = 30.0

_TYPICAL: Final[Mapping[type[IpcError], Callable[[str], IpcError]]] = {
    IpcAuthenticationError: lambda operation: IpcAuthenticationError(_TEXT, endpoint="memory:"),
    IpcCancelledError: lambda operation: IpcCancelledError(_TEXT, operation=operation),
    IpcConnectionError: lambda operation: IpcConnectionError(_TEXT, endpoint="memory:"),
    IpcPromptError: lambda operation: IpcPromptError(_TEXT, kind="api", status=500),
    IpcProtocolError: lambda operation: IpcProtocolError(_TEXT, operation=operation),
    IpcServerError: lambda operation: IpcServerError(
        _TEXT, request_id=0, code=ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, operation=operation
    ),
    IpcTimeoutError: lambda operation: IpcTimeoutError(
        _TEXT, timeout=_SECONDS, operation=operation, request_sent=True
    ),
    IpcUnsupportedOperationError: lambda operation: IpcUnsupportedOperationError(
        _TEXT, request_id=0, code=ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, operation=operation
    ),
    IpcUsageError: lambda operation: IpcUsageError(_TEXT),
}


def check_failure(error: object, attributes: Mapping[str, Any] | None = None) -> Failure:
    """Return what a call can fail with.

    Args:
        error: An error, or its class for a typical case.
        attributes: Which of the typical case are others.

    Raises:
        IpcArgumentError: it is no error of this package's, a class that needs more words, or has no
            such attribute.
    """
    if isinstance(error, IpcError):
        if not attributes:
            return error
        raise IpcArgumentError(
            f"{next(iter(attributes))} is given beside an instance; set it there, or give the "
            f"class {type(error).__name__} instead",
            field=next(iter(attributes)),
        )
    if isinstance(error, type) and issubclass(error, IpcError):
        if error in _TYPICAL:
            return _changed(error, attributes) if attributes else error
        problem = f"the class {error.__name__}, which has no typical case; give an instance"
    else:
        problem = f"{error!r:.60}; give an IpcError, or its class"
    raise IpcArgumentError(f"error is {problem}", field="error")


def instance_of(failure: Failure, operation: str) -> IpcError:
    """Return an error for one call: nobody gets one that somebody else has raised before."""
    if not isinstance(failure, IpcError):
        return _TYPICAL[failure](operation)
    made = copy.copy(failure)
    if getattr(made, "operation", None) == "":  # a typical case, made before there was a call
        vars(made)["operation"] = operation
    return made


def _changed(kind: type[IpcError], attributes: Mapping[str, Any]) -> IpcError:
    """Return the typical case with some attributes as they are given."""
    made = _TYPICAL[kind]("")
    for name, value in attributes.items():
        if name == "message":
            made.args = (value,)
        elif name in vars(made):
            vars(made)[name] = value
        else:
            raise IpcArgumentError(
                f"{name} is no attribute of {kind.__name__}; give some of "
                f"{', '.join(['message', *vars(made)])}",
                field=name,
            )
    return made

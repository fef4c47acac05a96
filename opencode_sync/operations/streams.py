"""The operations whose answers go on, and the one that ends another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import PUSHES, Operation, Request, make_request
from opencode_sync.operations.checks import (
    Folder,
    check_directory,
    check_flag,
    check_id,
    check_session_id,
)
from opencode_sync.wire import ext_event_pb2, ext_operations_pb2, ipc_pb2

__all__ = ["cancel", "subscribe"]


def _reason(answer: ext_event_pb2.IpcSubscriptionEnd) -> str:
    return answer.reason


def _found(answer: ext_operations_pb2.IpcCancelResponse) -> bool:
    return answer.found


_SUBSCRIBE: Final = Operation(
    "subscribe",
    "subscription_end",
    _reason,
    False,
    True,
    pushes=PUSHES,
    cancellable=True,
    scoped=True,
)
_CANCEL: Final = Operation("cancel", "cancel_response", _found, False, False)


def subscribe(
    types: Iterable[str],
    session_id: str | None,
    directory: Folder = None,
    *,
    current: bool = False,
) -> Request[str]:
    """Ask for events; the result is why there are no more."""
    if session_id is not None:
        check_session_id(session_id)
    check_flag(current, "current", "give True for what is so now as well, or False")
    request = ext_event_pb2.IpcSubscribeRequest(
        types=_checked_types(types), session_id=session_id, current=current
    )
    return make_request(
        _SUBSCRIBE, ipc_pb2.IpcClientMessage(subscribe=request), check_directory(directory)
    )


def cancel(request_id: int) -> Request[bool]:
    """End another request of this connection; the result is whether there was one."""
    request = ext_operations_pb2.IpcCancelRequest(request_id=request_id)
    return make_request(_CANCEL, ipc_pb2.IpcClientMessage(cancel=request))


def _checked_types(types: object) -> list[str]:
    if isinstance(types, str | bytes) or not isinstance(types, Iterable):
        raise IpcArgumentError(
            f"types is of type {type(types).__name__}; give a list of names, such as "
            '["session.updated", "message.*"]',
            field="types",
        )
    names = list(types)
    for name in names:
        check_id(name, "types", "the name of a kind of event", 'such as "session.updated"')
    return names

"""The wire's envelope as tests want it: which field a message belongs in, what a request is about.

All are pure functions, for any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message

from opencode_sync.errors import IpcArgumentError
from opencode_sync.wire import ipc_pb2

__all__ = [
    "ALIASES",
    "FIELDS",
    "OPERATIONS",
    "answer_field",
    "check_operation",
    "describe",
    "encode",
    "error_answer",
    "error_code",
    "unwrap",
]

ALIASES: Final[Mapping[str, str]] = {
    "check_server_health": "check_health",
    "events": "subscribe",
    "health_check": "check_health",
    "stream_prompt": "prompt",
}
"""Methods of the client whose operation has another name, the one in errors, metrics and spans.
Whatever takes the name of an operation takes these too."""

OPERATIONS: Final = frozenset(
    field.name for field in ipc_pb2.IpcClientMessage.DESCRIPTOR.oneofs_by_name["payload"].fields
) - {"auth_handshake", "scoped"}
"""All that a client can ask for."""

FIELDS: Final[Mapping[str, str]] = {
    field.message_type.full_name: field.name
    for field in ipc_pb2.IpcServerMessage.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None
}
"""Where an answer goes, by its type: no two fields have the same."""

_SHOWN: Final = 60


def check_operation(name: str) -> str:
    """Return the operation that is meant by its own name, or by that of a client's method.

    Raises:
        IpcArgumentError: there is none.
    """
    operation = ALIASES.get(name, name)
    if operation in OPERATIONS:
        return operation
    from opencode_sync.client import IpcClient  # light to import this module without

    methods = sorted(each for each in OPERATIONS | set(ALIASES) if hasattr(IpcClient, each))
    raise IpcArgumentError(
        f"operation is {ascii(name)[:_SHOWN]}, which a client has no method for; give one of "
        f"{', '.join(methods)}",
        field="operation",
    )


def answer_field(message: Message) -> str:
    """Return the field of ``IpcServerMessage`` that messages of this type go into.

    Raises:
        IpcArgumentError: there is none.
    """
    name = FIELDS.get(message.DESCRIPTOR.full_name) if isinstance(message, Message) else None
    if name is None:
        raise IpcArgumentError(
            f"message is of type {type(message).__name__}, which answers nothing; give one of "
            "opencode_sync.types or opencode_sync.wire that an operation returns",
            field="message",
        )
    return name


def encode(request_id: int, message: Message) -> bytes:
    """Return an answer or a push in wire form."""
    answer = ipc_pb2.IpcServerMessage(request_id=request_id)
    field = getattr(answer, answer_field(message))
    field.SetInParent()
    field.CopyFrom(message)
    return answer.SerializeToString()


def error_code(code: int | str) -> int:
    """Return an error code by its number, or by its name such as ``"NO_SERVER"``.

    Raises:
        IpcArgumentError: no code has this name.
    """
    if isinstance(code, int):
        return code
    known = ipc_pb2.IpcErrorCode.DESCRIPTOR.values_by_name
    number = known.get(f"IPC_ERROR_CODE_{code}")
    if number is None:
        names = [each.removeprefix("IPC_ERROR_CODE_") for each in known]
        raise IpcArgumentError(
            f"code is {ascii(code)[:_SHOWN]}; give a number, or one of {', '.join(names)}",
            field="code",
        )
    return int(number.number)


def error_answer(code: int | str, message: str) -> ipc_pb2.IpcErrorResponse:
    """Return the answer that says that a request failed."""
    answer = ipc_pb2.IpcErrorResponse(message=message)
    answer.code = error_code(code)  # type: ignore[assignment]  # an open enum
    return answer


def unwrap(message: ipc_pb2.IpcClientMessage) -> tuple[ipc_pb2.IpcClientMessage, str]:
    """Return the request that is meant, with the message's id, and its folder; "" for none."""
    if message.WhichOneof("payload") != "scoped":
        return message, ""
    inner = ipc_pb2.IpcClientMessage.FromString(message.scoped.request)
    inner.request_id = message.request_id
    return inner, message.scoped.directory


def describe(operation: str, fields: Mapping[str, Any], directory: str = "") -> str:
    """Return a request as a line for people: ``create_session(title='x')``."""
    shown = [f"{name}={_short(value)}" for name, value in fields.items()]
    if directory:
        shown.append(f"directory={_short(directory)}")
    return f"{operation}({', '.join(shown)})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

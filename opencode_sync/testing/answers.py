"""What a script may give as an answer, and the message that is sent for it.

All are pure functions, for any thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations import config, providers, replies, servers, sessions, streams
from opencode_sync.operations.base import PUSHES, Operation
from opencode_sync.prompts import PromptResult
from opencode_sync.testing.envelope import FIELDS
from opencode_sync.wire import ext_event_pb2, ext_prompt_pb2, ipc_pb2
from opencode_sync.wire.ext_prompt_pb2 import IpcPromptRequest, IpcRunResult
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage

__all__ = ["Answer", "Value", "as_answer", "is_text", "said", "wants_text"]

Value = Message | PromptResult | Sequence[Any] | bool | None
"""What a method of the client returns, the answer's message itself, or a ``str`` as what the model
says to a prompt."""

Answer = Value | Callable[[Any], Value]
"""An answer, or a function that makes one of the request's payload, on the backend's thread."""

_OPERATIONS: Final[Mapping[str, Operation[Any]]] = {
    each.name: each
    for module in (config, providers, replies, servers, sessions, streams)
    for each in vars(module).values()
    if isinstance(each, Operation)
}
"""All that answer with one message that does not depend on the call."""

_PROMPT: Final = "prompt"
_TEXT: Final = "text"
_MESSAGE_ID: Final = "msg_1"
_PART_ID: Final = "prt_1"
_STREAMS: Final = frozenset({_PROMPT, "subscribe"})


def as_answer(operation: str, value: object, request: Any = None) -> Message:
    """Return the message that answers an operation, or is a push of it.

    Args:
        operation: Its own name.
        value: The message, or what the client's method is to return.
        request: The payload that is answered, if it has come.

    Raises:
        IpcArgumentError: it is neither.
    """
    if isinstance(value, ext_event_pb2.IpcEvent):
        value = ext_event_pb2.IpcEventPush(event=value)
    payload = "run_result" if operation == _PROMPT else _answer_of(operation)
    wanted: type[Message] = type(getattr(ipc_pb2.IpcServerMessage(), payload))
    if isinstance(value, wanted):
        return value
    if operation == _PROMPT and isinstance(value, str | PromptResult):
        return _run_result(value, getattr(request, "session_id", ""))
    if operation in _OPERATIONS:
        result = _OPERATIONS[operation].result
        for made in _candidates(wanted, value):
            if _gives(result, made, value):
                return made
    if isinstance(value, Message):
        field = FIELDS.get(value.DESCRIPTOR.full_name)
        if field == "error" or (operation in _STREAMS and field in PUSHES):
            return value
    raise IpcArgumentError(
        f"message is of type {type(value).__name__}, which does not answer {operation}; give "
        f"{wanted.__name__}, or what the client's method returns",
        field="message",
    )


def said(text: str, request: Any) -> ext_event_pb2.IpcEventPush:
    """Return the push of a piece of what the model says.

    Args:
        text: The piece.
        request: The prompt.
    """
    delta = ext_event_pb2.IpcDelta(
        session_id=request.session_id,
        message_id=_MESSAGE_ID,
        part_id=_PART_ID,
        part_type=_TEXT,
        text=text,
    )
    event = ext_event_pb2.IpcEvent(
        type="message.part.delta", session_id=request.session_id, delta=delta
    )
    return ext_event_pb2.IpcEventPush(event=event)


def is_text(message: Message) -> bool:
    """Return whether a message is a push of what the model says."""
    return (
        isinstance(message, ext_event_pb2.IpcEventPush)
        and message.event.HasField("delta")
        and message.event.delta.part_type in (_TEXT, "")
    )


def wants_text(request: Message) -> bool:
    """Return whether a request is a prompt whose client reads a stream."""
    return (
        isinstance(request, IpcPromptRequest)
        and request.events == ext_prompt_pb2.IPC_RUN_EVENTS_ALL
    )


def _answer_of(operation: str) -> str:
    # ``unsubscribe`` is the wire's; the client has no operation for it.
    known = _OPERATIONS.get(operation)
    return f"{operation}_response" if known is None else known.answer


def _candidates(wanted: type[Message], value: object) -> Iterator[Message]:
    """Yield the message without anything in it, and with the value in each of its fields."""
    yield wanted()
    for field in wanted.DESCRIPTOR.fields:
        try:
            yield wanted(**{field.name: value})
        except (TypeError, ValueError):
            continue  # it is none of this field's


def _gives(result: Callable[[Any], object], made: Message, value: object) -> bool:
    """Return whether the client makes this value of a message."""
    try:
        got = result(made)
    except ValueError:
        return False
    if isinstance(value, bool) or value is None:
        return got is value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return isinstance(got, Sequence) and list(got) == list(value)
    return bool(got == value)


def _run_result(value: str | PromptResult, session_id: str) -> IpcRunResult:
    if isinstance(value, str):
        answer = OcAssistantMessage(
            id=_MESSAGE_ID, role="assistant", session_id=session_id, text=value
        )
        part = answer.parts.add().text
        part.id, part.type, part.text = _PART_ID, _TEXT, value
        part.session_id, part.message_id = session_id, _MESSAGE_ID
        messages = [OcMessage(assistant=answer)]
        return IpcRunResult(session_id=session_id, messages=messages, finish="stop")
    return IpcRunResult(
        session_id=value.session_id,
        user_message_id=value.user_message_id,
        messages=value.messages,
        structured_json="" if value.structured is None else json.dumps(value.structured),
        finish=value.finish,
        retries=[
            ext_event_pb2.IpcRetry(
                session_id=each.session_id, attempt=each.attempt, message=each.message
            )
            for each in value.retries
        ],
    )

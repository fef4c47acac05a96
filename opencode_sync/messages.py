"""What everybody asks of a message: its text, its tool calls, its cost, its tokens, its error.

All are pure functions, for any thread. Most take an ``OcMessage``, of the user's or of the model's;
for what only the model's messages have, the user's give the empty answer.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

from opencode_sync.errors import IpcArgumentError
from opencode_sync.times import to_datetime
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from opencode_sync.wire.oc_message_part_pb2 import OcPart, OcToolPart
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage, OcUserMessage

__all__ = [
    "MessageTokens",
    "ToolCall",
    "event_properties",
    "is_assistant",
    "message_cost",
    "message_error",
    "message_text",
    "message_tokens",
    "struct_to_dict",
    "tool_calls",
]

_EXACT: Final = 2.0**53
"""Up to here a double holds every whole number, and beyond it only some."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool, and what became of it.

    Attributes:
        id: The id of the message's part that holds it.
        name: The tool's: ``"bash"``, ``"read"``, ``"edit"``, ...
        status: ``"pending"``, ``"running"``, ``"completed"`` or ``"error"``; ``"unknown"`` where
            the backend did not say.
        input: The arguments that the model gave.
        output: What the model got to see, once completed; None before.
        error: Why it failed; None if it did not.
        title: What it does, for people; None where there is none.
        started: When, in UTC; None where the backend did not say.
        ended: When, in UTC; None while it runs.
        call_id: The model's id of the call, which permission questions name; "" where the backend
            did not say.
    """

    id: str
    name: str
    status: str
    input: dict[str, Any]
    output: str | None = None
    error: str | None = None
    title: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class MessageTokens:
    """The tokens of one message, or of several together.

    Attributes:
        input: Read by the model, without those from the cache.
        output: Written by the model, without its reasoning.
        cache_read: Read from the cache; 0 where the backend did not say.
        cache_write: Written to the cache; 0 where the backend did not say.
        reasoning: Spent on reasoning; 0 where the backend did not say.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """All together."""
        return self.input + self.output + self.cache_read + self.cache_write + self.reasoning

    def __add__(self, other: MessageTokens) -> MessageTokens:
        return MessageTokens(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
        )


def is_assistant(message: OcMessage) -> bool:
    """Return whether the message is the model's."""
    return _which(message) == "assistant"


def message_text(message: OcMessage) -> str:
    """Return the text of a message, without what OpenCode itself added to it.

    "" for a message without any, such as one that only calls tools.
    """
    either = _either(message)
    if either is None:
        return ""
    return either.text or "".join(part.text.text for part in either.parts if _is_written(part))


def tool_calls(message: OcMessage) -> list[ToolCall]:
    """Return the tool calls of a message, in their order."""
    either = _either(message)
    parts = [] if either is None else either.parts
    return [tool_call(part.tool) for part in parts if part.WhichOneof("part") == "tool"]


def message_cost(message: OcMessage) -> float:
    """Return what a message cost, in US dollars; 0.0 for the user's."""
    return message.assistant.cost if is_assistant(message) else 0.0


def message_tokens(message: OcMessage) -> MessageTokens:
    """Return the tokens of a message; all 0 for the user's."""
    if not is_assistant(message):
        return MessageTokens()
    if message.assistant.HasField("usage"):  # as OpenCode counts them, reasoning included
        usage = message.assistant.usage
        return MessageTokens(
            usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning
        )
    tokens = message.assistant.tokens
    return MessageTokens(tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)


def message_error(message: OcMessage) -> str | None:
    """Return why an answer failed, as one text for people; None if it did not.

    OpenCode reports failures of the model inside an answer that is otherwise a success, so whoever
    relies on an answer has to look. The error itself is ``message.assistant.error``.
    """
    if not is_assistant(message) or not message.assistant.HasField("error"):
        return None
    error = message.assistant.error
    kind = error.WhichOneof("error")
    if kind is None:
        return "the answer failed, and the backend did not say why"
    detail = getattr(error, kind)
    text: str = ": ".join(filter(None, (detail.name, detail.message))) or kind
    if kind == "api" and error.api.status:
        text = f"{text} (status {error.api.status})"
    return text


def event_properties(event: IpcEvent) -> dict[str, Any]:
    """Return what OpenCode itself says of an event, under OpenCode's own names.

    The names differ from kind to kind and from version to version of OpenCode; ``{}`` where the
    backend said nothing.

    Raises:
        IpcArgumentError: ``event`` is no ``IpcEvent``.
    """
    if not isinstance(event, IpcEvent):
        raise IpcArgumentError(
            f"event is of type {type(event).__name__}; give an IpcEvent, as client.events yields "
            "them",
            field="event",
        )
    if event.HasField("delta") and not event.properties_json:
        delta = event.delta
        return {
            "sessionID": delta.session_id,
            "messageID": delta.message_id,
            "partID": delta.part_id,
            "field": "text",
            "delta": delta.text,
        }
    try:
        properties = json.loads(event.properties_json or "{}")
    except (ValueError, RecursionError):
        return {}  # a text that is no JSON says nothing
    return properties if isinstance(properties, dict) else {}


def struct_to_dict(struct: Struct) -> dict[str, Any]:
    """Return a JSON object of the schema (a tool's input, for example) as plain Python.

    The wire has only floating-point numbers: those that are whole come back as ``int``, unless they
    are so large (above 2**53) that they may not be the number that was meant.

    Raises:
        IpcArgumentError: ``struct`` is no ``Struct``.
    """
    if not isinstance(struct, Struct):
        raise IpcArgumentError(
            f"struct is of type {type(struct).__name__}; give a google.protobuf Struct, such as "
            "the input of a tool's state",
            field="struct",
        )
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return struct_to_dict(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        whole = math.isfinite(number) and number.is_integer() and abs(number) <= _EXACT
        return int(number) if whole else number
    if kind in ("string_value", "bool_value"):
        return getattr(value, kind)
    return None


def _which(message: OcMessage) -> str | None:
    if not isinstance(message, OcMessage):
        raise IpcArgumentError(
            f"message is of type {type(message).__name__}; give an OcMessage, as send_message "
            "returns it",
            field="message",
        )
    kind: str | None = message.WhichOneof("message")
    return kind


def _either(message: OcMessage) -> OcUserMessage | OcAssistantMessage | None:
    kind = _which(message)
    if kind is None:
        return None
    return message.assistant if kind == "assistant" else message.user


def _is_written(part: OcPart) -> bool:
    return part.WhichOneof("part") == "text" and not part.text.synthetic


def tool_call(part: OcToolPart) -> ToolCall:
    """Return one part of a message as a tool call; for this package's own."""
    status = part.state.WhichOneof("state")
    if status is None:
        return ToolCall(part.id, part.name, "unknown", {}, call_id=part.call_id)
    state = getattr(part.state, status)
    return ToolCall(
        id=part.id,
        name=part.name,
        status=status,
        input=struct_to_dict(state.input),
        output=state.output if status == "completed" else None,
        error=state.error if status == "error" else None,
        title=getattr(state, "title", "") or None,
        started=_moment(state, "start"),
        ended=_moment(state, "end"),
        call_id=part.call_id,
    )


def _moment(state: Any, name: str) -> datetime | None:
    milliseconds = getattr(getattr(state, "time", None), name, 0)
    if not milliseconds:
        return None
    try:
        return to_datetime(milliseconds)
    except IpcArgumentError:
        return None  # outside the calendar, so nobody can have meant it

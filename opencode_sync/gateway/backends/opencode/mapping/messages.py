"""A message of OpenCode, ``{"info": {...}, "parts": [...]}``, as the schema's message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.gateway.backends.opencode.mapping.message_errors import message_error
from opencode_sync.gateway.backends.opencode.mapping.parts import TOKENS, fill_diffs, read_parts
from opencode_sync.gateway.backends.opencode.mapping.sessions import USAGE
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    flat,
    int64,
    json_text,
    number,
    obj,
    several,
    text,
    within,
)
from opencode_sync.wire import oc_message_pb2 as pb

__all__ = ["read_message", "read_messages", "text_of"]

_MODEL = Table(
    {"modelID": Field("model_id", text), "providerID": Field("provider_id", text)},
    left_out=frozenset({"variant"}),
)
_CREATED = Table({"created": Field("created", int64)})
_TIME = Table({"created": Field("created", int64), "completed": Field("completed", int64)})
_ASSISTANT = Table(
    {
        "id": Field("id", text),
        "sessionID": Field("session_id", text),
        "role": Field("role", text),
        "modelID": Field("model_id", within("model", text)),
        "providerID": Field("provider_id", within("model", text)),
        "tokens": Field("", several(Field("tokens", obj(TOKENS)), Field("usage", obj(USAGE)))),
        "cost": Field("cost", number),
        "error": Field("error", message_error),
        "parentID": Field("parent_id", text),
        "time": Field("", flat(_TIME)),
        "finish": Field("finish", text),
        "agent": Field("agent", text),
        "structured": Field("structured_json", json_text),
        "summary": Field("summary", flag),
    },
    left_out=frozenset({"mode", "path", "variant"}),
)
_USER = Table(
    {
        "id": Field("id", text),
        "sessionID": Field("session_id", text),
        "role": Field("role", text),
        "model": Field("model", obj(_MODEL)),
        "time": Field("", flat(_CREATED)),
        "agent": Field("agent", text),
        "system": Field("system", text),
    },
    # What the run changed is in "summary"; read_messages puts it where the schema has a place.
    left_out=frozenset({"summary", "tools", "format", "variant"}),
)


def read_message(document: object, odd: Oddities) -> pb.OcMessage | None:
    """Return one message, or None if this is none: of no role that is known, or without an id.

    Args:
        document: The JSON value.
        odd: Gets a count for everything that could not be carried.
    """
    info = document.get("info") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(info, dict):
        return None
    message = pb.OcMessage()
    target: pb.OcAssistantMessage | pb.OcUserMessage
    if info.get("role") == "assistant":
        target = message.assistant
        fill(target, _ASSISTANT, info, odd, "assistant")
    elif info.get("role") == "user":
        target = message.user
        fill(target, _USER, info, odd, "user")
    else:
        return None
    if not target.id:
        return None
    documents = document.get("parts", [])
    target.parts.extend(read_parts(documents, odd))
    written = text_of(documents)
    if written is not None:
        target.text = clean(written)
    return message


def read_messages(documents: Iterable[object], odd: Oddities) -> list[pb.OcMessage]:
    """Return the messages among these, in their order; what is no message is counted.

    Patch parts get the changes that OpenCode keeps with the prompt, if that is among the messages.
    """
    messages = []
    changes = {}
    for document in documents:
        message = read_message(document, odd)
        if message is None:
            odd["message"] += 1
            continue
        messages.append(message)
        if message.HasField("user"):
            changes[message.user.id] = _diffs_of(document)
        elif message.assistant.parent_id in changes:
            fill_diffs(message.assistant.parts, changes[message.assistant.parent_id])
    return messages


def _diffs_of(document: Any) -> object:
    summary = document["info"].get("summary")
    return summary.get("diffs") if isinstance(summary, dict) else None


def text_of(documents: object) -> str | None:
    """Return the text of a message's parts, None when it has none.

    What OpenCode wrote itself (``synthetic``) or shows nobody (``ignored``) does not count.
    """
    if not isinstance(documents, list):
        return None
    texts = [part["text"] for part in documents if _is_text(part)]
    return "".join(texts) if texts else None


def _is_text(part: Mapping[str, Any]) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
        and not part.get("synthetic")
        and not part.get("ignored")
    )

"""OpenCode's events as the schema's ``IpcEvent``: one table per type.

The reference schema (OcEvent) has a place for some of them; ``IpcEvent.detail`` has one for a few
others. Types without a table are carried by their JSON alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.mapping.message_errors import message_error
from opencode_sync.gateway.backends.opencode.mapping.messages import read_message
from opencode_sync.gateway.backends.opencode.mapping.parts import read_part
from opencode_sync.gateway.backends.opencode.mapping.sessions import read_session
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    flat,
    int32,
    int64,
    objects,
    text,
    within,
)
from opencode_sync.gateway.backends.opencode.mapping.tools import PERMISSION
from opencode_sync.wire import ext_event_pb2 as pb
from opencode_sync.wire import oc_event_pb2, oc_tool_pb2

__all__ = ["Context", "fill_event", "is_known"]


class Context(NamedTuple):
    """What the event itself does not say, and its message does."""

    part_type: str = ""
    """Of the part that a delta belongs to."""
    message_id: str = ""
    """Of the message that is being written in the session."""
    received: int = 0
    """Unix milliseconds."""


# The kinds of value that only events have...


def _message(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    # The parts come in events of their own.
    message = read_message({"info": value, "parts": []}, odd)
    if message is None:
        return False
    getattr(target, name).CopyFrom(message)
    return True


def _part(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, dict):
        return False
    text(target, "message_id", value.get("messageID"), odd, path)
    part = read_part(value, odd)
    if part is not None:  # else its type is unknown, and counted
        getattr(target, name).CopyFrom(part)
    return True


def _session(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    session = read_session(value, odd)
    if session is None:
        return False
    getattr(target, name).CopyFrom(session)
    return True


_REPLIES = {
    "once": oc_tool_pb2.ALLOW,
    "always": oc_tool_pb2.ALLOW_ALL,
    "reject": oc_tool_pb2.DENY,
}


def _reply(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, str) or value not in _REPLIES:
        return False
    setattr(target, name, _REPLIES[value])
    return True


def _whole(kind: Mapping[str, Field], left_out: Iterable[str] = ()) -> Table:
    return Table({"sessionID": Field("session_id", text), **kind}, frozenset(left_out))


# Events that the reference schema has: the field of OcEvent, and the table of the properties...


class _Known(NamedTuple):
    name: str
    table: Table


_CALL = Table({"messageID": Field("message_id", text), "callID": Field("call_id", text)})
_SESSION_INFO = Table({"info": Field("session", _session)}, frozenset({"sessionID"}))

_EVENTS: Mapping[str, _Known] = {
    "message.updated": _Known("message_updated", _whole({"info": Field("message", _message)})),
    "message.removed": _Known("message_removed", _whole({"messageID": Field("message_id", text)})),
    "message.part.updated": _Known(
        "message_part_updated", _whole({"part": Field("part", _part)}, left_out=("time",))
    ),
    "message.part.removed": _Known(
        "message_part_removed",
        _whole({"messageID": Field("message_id", text), "partID": Field("part_id", text)}),
    ),
    "session.created": _Known("session_created", _SESSION_INFO),
    "session.updated": _Known("session_updated", _SESSION_INFO),
    "session.deleted": _Known("session_deleted", _whole({}, left_out=("info",))),
    "permission.asked": _Known(
        "permission_asked",
        _whole(
            {
                key: Field(field.name, within("request", field.read))
                for key, field in PERMISSION.carried.items()
            }
        ),
    ),
    "permission.replied": _Known(
        "permission_replied",
        _whole({"requestID": Field("request_id", text), "reply": Field("reply", _reply)}),
    ),
}

# Events that only IpcEvent has: the field of its ``detail``...

_OPTION = Table({"label": Field("label", text), "description": Field("description", text)})
_ITEM = Table(
    {
        "header": Field("header", text),
        "question": Field("question", text),
        "options": Field("options", objects(_OPTION)),
        "multiple": Field("multiple", flag),
        "custom": Field("custom", flag),
    }
)


def _questions(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    if not isinstance(value, list):
        return False
    for each in value:
        if isinstance(each, dict):
            # An answer that is no option is welcome unless OpenCode says that it is not.
            fill(getattr(target, name).add(custom=True), _ITEM, each, odd, f"{path}[]")
        else:
            odd[f"{path}[]"] += 1
    return True


_DETAILS: Mapping[str, _Known] = {
    "message.part.delta": _Known(
        "delta",
        _whole(
            {
                "messageID": Field("message_id", text),
                "partID": Field("part_id", text),
                "delta": Field("text", text),
            },
            left_out=("field",),
        ),
    ),
    "session.error": _Known("session_error", _whole({"error": Field("error", message_error)})),
    "question.asked": _Known(
        "question",
        _whole(
            {
                "id": Field("id", text),
                "questions": Field("items", _questions),
                "tool": Field("", flat(_CALL)),
            }
        ),
    ),
}

# A session's status: two of its types are in the reference schema, one is a detail...

_STATUS = "session.status"
_RETRY = Table(
    {
        "attempt": Field("attempt", int32),
        "message": Field("message", text),
        "next": Field("next_at", int64),
    },
    frozenset({"type", "action"}),
)


def _fill_status(
    target: pb.IpcEvent, properties: Mapping[str, Any], context: Context, odd: Oddities
) -> None:
    status = properties.get("status")
    kind = status.get("type") if isinstance(status, dict) else None
    if isinstance(status, dict) and kind == "retry":
        target.retry.session_id = target.session_id
        fill(target.retry, _RETRY, status, odd, "session.status.retry")
        return
    event = oc_event_pb2.OcSessionStatusEvent(type=_STATUS, session_id=target.session_id)
    if kind == "idle":
        event.status.idle.status = kind
    elif kind == "busy":
        event.status.thinking.status = "thinking"
        event.status.thinking.message_id = clean(context.message_id)
    else:
        odd["session.status.type"] += 1
        return
    target.event.session_status.CopyFrom(event)


# What others call...


def is_known(kind: str) -> bool:
    """Return whether there is a table for a type of event."""
    return kind == _STATUS or kind in _EVENTS or kind in _DETAILS


def fill_event(
    target: pb.IpcEvent, properties: Mapping[str, Any], context: Context, odd: Oddities
) -> None:
    """Fill ``event`` or ``detail``, if there is a place for this type of event.

    Args:
        target: Its ``type`` and ``session_id`` are set.
        properties: The event's own.
        context: What they do not say.
        odd: Gets a count for everything that could not be carried.
    """
    if target.type == _STATUS:
        _fill_status(target, properties, context, odd)
    elif known := _EVENTS.get(target.type):
        event = getattr(target.event, known.name)
        event.type = target.type
        fill(event, known.table, properties, odd, target.type)
        if isinstance(event, oc_event_pb2.OcPermissionAskedEvent):
            event.request.timestamp = context.received
    elif known := _DETAILS.get(target.type):
        detail = getattr(target, known.name)
        detail.SetInParent()
        fill(detail, known.table, properties, odd, target.type)
        if isinstance(detail, pb.IpcDelta):
            detail.part_type = context.part_type

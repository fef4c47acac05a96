"""Tool calls and their permission questions in OpenCode's JSON as the schema's messages.

One table per status of a call, and one for the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flat,
    int64,
    listed,
    obj,
    several,
    struct,
    text,
    texts,
    within,
)

__all__ = ["PERMISSION", "tool_state"]

_TIME = Table(
    {"start": Field("start", int64), "end": Field("end", int64)},
    left_out=frozenset({"compacted"}),
)
_START = Table({"start": Field("start", int64)})

_STATES: Mapping[str, Table] = {
    "pending": Table(
        {
            "status": Field("status", text),
            "input": Field("input", struct),
            "raw": Field("raw", text),
        }
    ),
    "running": Table(
        {
            "status": Field("status", text),
            "input": Field("input", struct),
            "title": Field("title", text),
            "metadata": Field("metadata", struct),
            "time": Field("time", obj(_START)),
        }
    ),
    "completed": Table(
        {
            "status": Field("status", text),
            "input": Field("input", struct),
            "output": Field("output", text),
            "title": Field("title", text),
            "metadata": Field("metadata", struct),
            "time": Field("time", obj(_TIME)),
        },
        left_out=frozenset({"attachments"}),
    ),
    "error": Table(
        {
            "status": Field("status", text),
            "input": Field("input", struct),
            "error": Field("error", text),
            "title": Field("title", text),  # not in OpenCode's JSON; the schema has it
            "metadata": Field("metadata", struct),
            "time": Field("time", obj(_TIME)),
        }
    ),
}

_CALLER = Table({"messageID": Field("message_id", text), "callID": Field("call_id", text)})
PERMISSION = Table(
    {
        "id": Field("id", text),
        "permission": Field(
            "", several(Field("permission", text), Field("name", within("tool", text)))
        ),
        "patterns": Field("", several(Field("patterns", texts), Field("action", listed))),
        "always": Field("always", texts),
        "metadata": Field("input", within("tool", struct)),
        "tool": Field("", flat(_CALLER)),
    },
    left_out=frozenset({"sessionID"}),
)
"""A permission question, for ``OcPermissionRequest``. OpenCode does not say when it was asked."""

_ALWAYS_THERE = ("input", "metadata", "time")
"""Messages that the reference schema's readers insist on; OpenCode leaves some out of errors."""


def tool_state(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """A tool's state, told apart by its ``status``."""
    if not isinstance(value, dict):
        return False
    status = value.get("status")
    table = _STATES.get(status) if isinstance(status, str) else None
    if table is None or not isinstance(status, str):
        return False
    state: Message = getattr(getattr(target, name), status)
    state.SetInParent()
    fill(state, table, value, odd, f"{path}.{status}")
    if status in ("completed", "error"):
        for field in _ALWAYS_THERE:
            getattr(state, field).SetInParent()
    return True

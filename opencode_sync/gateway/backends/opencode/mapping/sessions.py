"""OpenCode's session JSON as the schema's messages: the tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flat,
    int32,
    int64,
    number,
    obj,
    objects,
    text,
)
from opencode_sync.wire import oc_session_pb2 as pb

__all__ = ["USAGE", "Oddities", "read_session", "read_sessions", "ruleset"]

_ACTIONS = {"allow": pb.ALLOW, "deny": pb.DENY, "ask": pb.ASK}


def _action(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    if not isinstance(value, str) or value not in _ACTIONS:
        return False
    setattr(target, name, _ACTIONS[value])
    return True


def ruleset(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """Permission rules: a bare array in JSON, a message around it in the schema."""
    message: Message = getattr(target, name)
    if not objects(_RULE)(message, "rules", value, odd, path):
        return False
    message.SetInParent()
    return True


def _archived(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    # A session that was taken out of the archive keeps a zero there; OpenCode has no other way.
    return (value == 0 and not isinstance(value, bool)) or int64(target, name, value, odd, path)


# The tables...

_TIME = Table(
    {
        "created": Field("created", int64),
        "updated": Field("updated", int64),
        "compacting": Field("compacting", int64),
        "archived": Field("archived", _archived),
    }
)
_DIFF = Table(
    {
        "file": Field("file", text),
        "before": Field("before", text),  # in JSON until OpenCode replaced both by "patch"
        "after": Field("after", text),
        "additions": Field("additions", int32),
        "deletions": Field("deletions", int32),
        "patch": Field("patch", text),
        "status": Field("status", text),
    }
)
_SUMMARY = Table(
    {
        "additions": Field("additions", int32),
        "deletions": Field("deletions", int32),
        "files": Field("files", int32),
        "diffs": Field("diffs", objects(_DIFF)),
    }
)
_SHARE = Table({"url": Field("url", text)})
_RULE = Table(
    {
        "permission": Field("permission", text),
        "pattern": Field("pattern", text),
        "action": Field("action", _action),
    }
)
_REVERT = Table(
    {
        "messageID": Field("message_id", text),
        "partID": Field("part_id", text),
        "snapshot": Field("snapshot", text),
        "diff": Field("diff", text),
    }
)
_CACHE = Table({"read": Field("cache_read", int64), "write": Field("cache_write", int64)})
USAGE = Table(
    {
        "input": Field("input", int64),
        "output": Field("output", int64),
        "reasoning": Field("reasoning", int64),
        "cache": Field("", flat(_CACHE)),
    },
    left_out=frozenset({"total"}),
)
"""All tokens of a message or a session."""
_MODEL = Table(
    {
        "id": Field("model_id", text),
        "providerID": Field("provider_id", text),
        "variant": Field("variant", text),
    }
)
_SESSION = Table(
    {
        "id": Field("id", text),
        "projectID": Field("project_id", text),
        "directory": Field("directory", text),
        "parentID": Field("parent_id", text),
        "summary": Field("summary", obj(_SUMMARY)),
        "share": Field("share", obj(_SHARE)),
        "title": Field("title", text),
        "version": Field("version", text),
        "time": Field("time", obj(_TIME)),
        "permission": Field("permission", ruleset),
        "revert": Field("revert", obj(_REVERT)),
        "cost": Field("cost", number),
        "tokens": Field("usage", obj(USAGE)),
        "agent": Field("agent", text),
        "model": Field("model", obj(_MODEL)),
        "slug": Field("slug", text),
    },
    left_out=frozenset({"path", "metadata", "workspaceID"}),
)


# What the backend calls...


def read_session(document: object, odd: Oddities) -> pb.OcSessionInfo | None:
    """Return one session, or None if this is none: not an object, or without an id.

    Args:
        document: The JSON value.
        odd: Gets a count for everything that could not be carried.
    """
    if not isinstance(document, dict):
        return None
    session = pb.OcSessionInfo()
    fill(session, _SESSION, document, odd, "session")
    return session if session.id else None


def read_sessions(documents: Iterable[object], odd: Oddities) -> list[pb.OcSessionInfo]:
    """Return the sessions among these, in their order; what is no session is counted."""
    sessions = []
    for document in documents:
        session = read_session(document, odd)
        if session is None:
            odd["session"] += 1
        else:
            sessions.append(session)
    return sessions

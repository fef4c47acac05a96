"""OpenCode's session JSON as the schema's messages: the tables, and the few rules they follow.

Reading never fails. Another version of OpenCode may add, drop or retype a field, and one odd value
must not hide a user's sessions: what cannot be carried is passed over and counted under its path.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import Message

from opencode_sync.wire import oc_session_pb2 as pb

__all__ = ["Oddities", "read_session", "read_sessions"]

Oddities = Counter[str]
"""How often each path held something that could not be carried (``"session.time.created"``)."""

# How one JSON value gets into one field: True if it did, False if it has the wrong type.
Read = Callable[[Message, str, Any, "Oddities", str], bool]


class Field(NamedTuple):
    """Where a JSON key goes."""

    name: str
    read: Read


class Table(NamedTuple):
    """One JSON object: the keys that are carried, and those known to have no place."""

    carried: Mapping[str, Field]
    left_out: frozenset[str] = frozenset()


# The kinds of value...


def _text(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    if not isinstance(value, str):
        return False
    # JSON can spell half of a surrogate pair, protobuf cannot carry it.
    setattr(target, name, value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return True


def _integer(bits: int) -> Read:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def read(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
        # bool is an int to Python; OpenCode types some times as float.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        setattr(target, name, min(max(int(value), low), high))
        return True

    return read


def _object(table: Table) -> Read:
    def read(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
        if not isinstance(value, dict):
            return False
        message: Message = getattr(target, name)
        message.SetInParent()  # it was there, even if all its fields are zero
        _fill(message, table, value, odd, path)
        return True

    return read


def _objects(table: Table) -> Read:
    def read(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
        if not isinstance(value, list):
            return False
        messages = getattr(target, name)
        for item in value:
            if isinstance(item, dict):
                _fill(messages.add(), table, item, odd, f"{path}[]")
            else:
                odd[f"{path}[]"] += 1
        return True

    return read


_ACTIONS = {"allow": pb.ALLOW, "deny": pb.DENY, "ask": pb.ASK}


def _action(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    if not isinstance(value, str) or value not in _ACTIONS:
        return False
    setattr(target, name, _ACTIONS[value])
    return True


def _ruleset(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    # A bare array in JSON, a message around it in the schema.
    ruleset: Message = getattr(target, name)
    if not _objects(_RULE)(ruleset, "rules", value, odd, path):
        return False
    ruleset.SetInParent()
    return True


_int32, _int64 = _integer(32), _integer(64)

# The tables...

_TIME = Table(
    {
        "created": Field("created", _int64),
        "updated": Field("updated", _int64),
        "compacting": Field("compacting", _int64),
        "archived": Field("archived", _int64),
    }
)
_DIFF = Table(
    {
        "file": Field("file", _text),
        "before": Field("before", _text),  # in JSON until OpenCode replaced both by "patch"
        "after": Field("after", _text),
        "additions": Field("additions", _int32),
        "deletions": Field("deletions", _int32),
    },
    left_out=frozenset({"patch", "status"}),
)
_SUMMARY = Table(
    {
        "additions": Field("additions", _int32),
        "deletions": Field("deletions", _int32),
        "files": Field("files", _int32),
        "diffs": Field("diffs", _objects(_DIFF)),
    }
)
_SHARE = Table({"url": Field("url", _text)})
_RULE = Table(
    {
        "permission": Field("permission", _text),
        "pattern": Field("pattern", _text),
        "action": Field("action", _action),
    }
)
_REVERT = Table(
    {
        "messageID": Field("message_id", _text),
        "partID": Field("part_id", _text),
        "snapshot": Field("snapshot", _text),
        "diff": Field("diff", _text),
    }
)
_SESSION = Table(
    {
        "id": Field("id", _text),
        "projectID": Field("project_id", _text),
        "directory": Field("directory", _text),
        "parentID": Field("parent_id", _text),
        "summary": Field("summary", _object(_SUMMARY)),
        "share": Field("share", _object(_SHARE)),
        "title": Field("title", _text),
        "version": Field("version", _text),
        "time": Field("time", _object(_TIME)),
        "permission": Field("permission", _ruleset),
        "revert": Field("revert", _object(_REVERT)),
    },
    left_out=frozenset(
        {"slug", "path", "cost", "tokens", "agent", "model", "metadata", "workspaceID"}
    ),
)


def _fill(
    target: Message, table: Table, source: Mapping[str, Any], odd: Oddities, path: str
) -> None:
    for key, value in source.items():
        field = table.carried.get(key)
        if field is None:
            if key not in table.left_out:
                odd[f"{path}.{key}"] += 1
        elif value is not None and not field.read(target, field.name, value, odd, f"{path}.{key}"):
            odd[f"{path}.{key}"] += 1


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
    _fill(session, _SESSION, document, odd, "session")
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

"""A message's parts in OpenCode's JSON as the schema's messages: one table per type of part."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    flat,
    int32,
    listed,
    number,
    obj,
    text,
)
from opencode_sync.gateway.backends.opencode.mapping.tools import tool_state
from opencode_sync.wire import oc_message_part_pb2 as pb

__all__ = ["TOKENS", "fill_diffs", "read_part", "read_parts"]

_LONGEST_TYPE = 40

_CACHE = Table({"read": Field("cache_read", int32), "write": Field("cache_write", int32)})
TOKENS = Table(
    {
        "input": Field("input", int32),
        "output": Field("output", int32),
        "cache": Field("", flat(_CACHE)),
    },
    left_out=frozenset({"total", "reasoning"}),
)
"""``input`` is without what came from the cache, ``output`` without reasoning, as OpenCode counts.
"""


def _error_words(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    # An object in JSON, one string in the schema.
    if not isinstance(value, dict):
        return False
    data = value.get("data")
    words = data.get("message") if isinstance(data, dict) else None
    for candidate in (words, value.get("name")):
        if isinstance(candidate, str):
            setattr(target, name, clean(candidate))
            return True
    return False


class _Part(NamedTuple):
    """One type of part: its field in the schema's OcPart, and its table."""

    name: str
    table: Table


def _part(name: str, fields: Mapping[str, Field], left_out: Iterable[str] = ()) -> _Part:
    common = {
        "id": Field("id", text),
        "sessionID": Field("session_id", text),
        "messageID": Field("message_id", text),
        "type": Field("type", text),
    }
    return _Part(name, Table({**common, **fields}, frozenset(left_out)))


_PARTS: Mapping[str, _Part] = {
    "text": _part(
        "text",
        {"text": Field("text", text), "synthetic": Field("synthetic", flag)},
        left_out=("ignored", "time", "metadata"),
    ),
    "reasoning": _part(
        "reasoning",
        {"text": Field("text", text), "summary": Field("summary", text)},
        left_out=("time", "metadata"),
    ),
    "tool": _part(
        "tool",
        {
            "callID": Field("call_id", text),
            "tool": Field("name", text),
            "state": Field("state", tool_state),
        },
        left_out=("metadata",),
    ),
    # Where it lies and what is in it come from several keys: _fill_file.
    "file": _part("file", {}, left_out=("mime", "filename", "url", "source")),
    # OpenCode names the files; what changed in them is asked for apart (/session/{id}/diff).
    "patch": _part("patch", {"files": Field("path", listed)}, left_out=("hash",)),
    "snapshot": _part("snapshot", {"snapshot": Field("snapshot_id", text)}),
    "agent": _part("agent", {"name": Field("agent_name", text)}, left_out=("source",)),
    # Its summary is the text of the assistant message that follows it.
    "compaction": _part("compaction", {}, left_out=("auto", "overflow", "tail_start_id")),
    # The child session's id is in the metadata of the "task" tool part that follows it.
    "subtask": _part(
        "subtask", {}, left_out=("prompt", "description", "agent", "model", "command")
    ),
    "step-start": _part("step_start", {"title": Field("title", text)}, left_out=("snapshot",)),
    "step-finish": _part(
        "step_finish",
        {
            "reason": Field("title", text),  # "stop", "tool-calls", ...: OpenCode has no title
            "tokens": Field("tokens", obj(TOKENS)),
            "cost": Field("cost", number),
        },
        left_out=("snapshot",),
    ),
    "retry": _part("retry", {"error": Field("error", _error_words)}, left_out=("attempt", "time")),
}


def read_part(document: object, odd: Oddities, path: str = "part") -> pb.OcPart | None:
    """Return one part, or None, counted, if it is of no type that the schema has.

    Args:
        document: The JSON value.
        odd: Gets a count for everything that could not be carried.
        path: What to count it under.
    """
    kind = document.get("type") if isinstance(document, dict) else None
    known = _PARTS.get(kind) if isinstance(kind, str) else None
    if known is None or not isinstance(document, dict):
        shown = f".type={one_line(kind, _LONGEST_TYPE)}" if isinstance(kind, str) else ""
        odd[f"{path}{shown}"] += 1
        return None
    part = pb.OcPart()
    target = getattr(part, known.name)
    target.SetInParent()
    fill(target, known.table, document, odd, f"{path}.{kind}")
    if isinstance(target, pb.OcFilePart):
        _fill_file(target, document)
    return part


def read_parts(documents: object, odd: Oddities, path: str = "part") -> list[pb.OcPart]:
    """Return the parts among these, in their order."""
    if not isinstance(documents, list):
        odd[f"{path}s"] += 1
        return []
    parts = (read_part(document, odd, path) for document in documents)
    return [part for part in parts if part is not None]


def fill_diffs(parts: Iterable[pb.OcPart], diffs: object) -> None:
    """Put into patch parts how their files changed.

    Args:
        parts: Of one message.
        diffs: What ``GET /session/{id}/diff`` lists for the prompt that the message answers:
            changes of the whole run, with paths from the project's root.
    """
    changes = [
        (each["file"], each["patch"])
        for each in (diffs if isinstance(diffs, list) else [])
        if isinstance(each, dict)
        and isinstance(each.get("file"), str)
        and isinstance(each.get("patch"), str)
    ]
    for part in parts:
        if part.WhichOneof("part") == "patch":
            paths = part.patch.path.replace("\\", "/").split("\n")
            part.patch.diff = clean(
                "\n".join(
                    patch
                    for file, patch in changes
                    if any(path == file or path.endswith(f"/{file}") for path in paths)
                )
            )


# A file's path and content...


def _fill_file(target: pb.OcFilePart, document: Mapping[str, Any]) -> None:
    """Fill the path (of its source, else of its URL, else its name) and the content.

    The content is what a ``data:`` URL holds, as text; if it is no text, the URL itself.
    """
    source, url, name = (document.get(key) for key in ("source", "url", "filename"))
    url = url if isinstance(url, str) else ""
    paths = (
        source.get("path") if isinstance(source, dict) else None,
        _path_of(url),
        name,
        url if not url.startswith("data:") else None,
    )
    target.path = clean(next((path for path in paths if isinstance(path, str) and path), ""))
    if url.startswith("data:"):
        target.content = clean(_text_of(url))


def _path_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url2pathname(parts.path) if parts.scheme == "file" else None


def _text_of(url: str) -> str:
    head, _, data = url.partition(",")
    content = unquote_to_bytes(data)
    try:
        if head.endswith(";base64"):
            content = base64.b64decode(content, validate=True)
        return content.decode()
    except (binascii.Error, UnicodeDecodeError):
        return url

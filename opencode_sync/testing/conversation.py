"""A recorded conversation as JSON: what the client asked and the backend said, in that order.

A file is one object, ``{"version": 1, "about": ..., "steps": [...]}``, with steps of three kinds:

- ``{"client": "create_session", "id": 3, "connection": 1, "directory": "/p", "fields": {...}}``:
  a request. Ids count the requests of the file; the folder is left out where there is none.
- ``{"backend": "session_info", "id": 3, "fields": {...}}``: an answer to it, or a push.
- ``{"end": {"code": 1001, "reason": ""}, "connection": 1}``: the backend ended a connection; the
  code is ``null`` where it said nothing.

Messages are in protobuf's JSON with the schema's own names. The backend's ids are numbered in the
order of their appearance (``ses_0001``), and secrets are masked. Times stay as they were, and so do
paths and what the model says, so that in these two recordings of one program differ.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.masking import map_strings

__all__ = [
    "PASSWORD",
    "TIMES",
    "End",
    "FromBackend",
    "FromClient",
    "IdNumbers",
    "Step",
    "load",
    "save",
]

_VERSION: Final = 1
_ABOUT: Final = "a conversation with an OpenCode backend, recorded by opencode_sync.testing"
_ID: Final = re.compile(r"\b(ses|msg|prt|per|que|evt|call|toolu)_[0-9A-Za-z]{8,}\b")

TIMES: Final = frozenset({"timeout_seconds", "timeout_secs"})
"""Fields of requests that say how long the caller waits, which is no part of what is asked."""

PASSWORD: Final = "OPENCODE_SERVER_PASSWORD"
"""The variable that holds a secret which is known without being told."""


@dataclass
class FromClient:
    """A request."""

    id: int
    operation: str
    connection: int
    directory: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class FromBackend:
    """An answer, or a push."""

    id: int
    payload: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class End:
    """The backend ended a connection."""

    connection: int
    code: int | None
    reason: str


Step = FromClient | FromBackend | End


class IdNumbers:
    """Gives the backend's ids short numbers, the same id the same number. For one thread.

    An id that the program under test names first stays as it is: it is the program's own, and will
    be the same when it is run again.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def in_request(self, text: str) -> str:
        """Return a text of the client's with the backend's ids in it replaced."""
        return _ID.sub(lambda match: self._known.setdefault(match[0], match[0]), text)

    def in_answer(self, text: str) -> str:
        """Return a text of the backend's with its ids replaced."""
        return _ID.sub(self._number, text)

    def _number(self, match: re.Match[str]) -> str:
        if match[0] not in self._known:
            self._counts[match[1]] += 1
            self._known[match[0]] = f"{match[1]}_{self._counts[match[1]]:04d}"
        return self._known[match[0]]


def replaced(value: Any, replacements: Mapping[str, str]) -> Any:
    """Return plain values with some texts in them replaced, the longest first."""

    def change(text: str) -> str:
        for old in sorted(replacements, key=len, reverse=True):
            text = text.replace(old, replacements[old])
        return text

    return map_strings(value, change) if replacements else value


def save(path: Path, steps: list[Step]) -> None:
    """Write a conversation, in one step: whoever reads the file sees all of it."""
    document = {"version": _VERSION, "about": _ABOUT, "steps": [_written(each) for each in steps]}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def load(path: Path) -> list[Step]:
    """Read a conversation.

    Raises:
        IpcArgumentError: the file cannot be read, or is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != _VERSION:
            raise ValueError(f"it is of version {document['version']!r:.20}, not {_VERSION}")
        return [_read(each) for each in document["steps"]]
    except FileNotFoundError:
        problem = "which does not exist; record it with Recorder"
    except OSError as error:
        problem = f"which cannot be read ({error.strerror or error})"
    except RecursionError:
        problem = "which is nested deeper than any recorded conversation; record it again"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"which is no recorded conversation ({error!r:.100}); record it again"
    raise IpcArgumentError(f"path is {str(path)!r}, {problem}", field="path") from None


def _written(step: Step) -> dict[str, Any]:
    if isinstance(step, FromClient):
        where = {"directory": step.directory} if step.directory else {}
        about = {"client": step.operation, "id": step.id, "connection": step.connection}
        return {**about, **where, "fields": step.fields}
    if isinstance(step, FromBackend):
        return {"backend": step.payload, "id": step.id, "fields": step.fields}
    return {"end": {"code": step.code, "reason": step.reason}, "connection": step.connection}


def _read(step: dict[str, Any]) -> Step:
    if "client" in step:
        return FromClient(
            int(step["id"]),
            str(step["client"]),
            int(step["connection"]),
            str(step.get("directory", "")),
            dict(step["fields"]),
        )
    if "backend" in step:
        return FromBackend(int(step["id"]), str(step["backend"]), dict(step["fields"]))
    code = step["end"]["code"]
    return End(
        int(step["connection"]), None if code is None else int(code), str(step["end"]["reason"])
    )

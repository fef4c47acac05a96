"""Inputs made of bytes: every decision is read from them, so an engine that knows bytes only can
steer, and shrink, what is structured."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "x",
    "\ud800",
    "\x00",
    "é漢🙂",
    "ses_1",
    "assistant",
    "text",
    "tool",
    "9" * 5000,
    "data:text/plain;base64,AAAA",
    "file:///tmp/x",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"id": 1},
    {"type": "x"},
    {"\ud800": "\udfff"},
)
"""What stands where something else should."""


class Chooser:
    """Reads decisions from bytes; when they are used up, each is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, limit: int) -> int:
        """Return a number from 0 to ``limit`` - 1."""
        size = 1 if limit <= 256 else 2
        taken = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken, "big") % limit

    def pick(self, choice: Sequence[T]) -> T:
        """Return one of these."""
        return choice[self.number(len(choice))]

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    @property
    def more(self) -> bool:
        """Whether bytes are left."""
        return self._at < len(self._data)


def changed_bytes(chooser: Chooser, seeds: Sequence[bytes]) -> bytes:
    """Return bytes as they are, or one of the seeds with changes."""
    kind = chooser.number(8)
    if kind == 0:
        return chooser.rest()
    data = bytearray(chooser.pick(seeds))
    for _ in range(chooser.number(6)):
        if not chooser.more:
            break
        place = chooser.number(max(1, len(data)))
        match chooser.number(7):
            case 0:
                data[place : place + 1] = bytes((chooser.number(256),))
            case 1:
                data[place:place] = bytes((chooser.number(256),))
            case 2:
                del data[place : place + 1 + chooser.number(8)]
            case 3:
                del data[place:]
            case 4:
                data += chooser.pick(seeds)
            case 5:
                data[place:place] = data[: chooser.number(16)]
            case 6:
                data[place : place + 1] = bytes(chooser.number(256) for _ in range(4))
    return bytes(data)


def _places(document: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    for key, value in items:
        found.append((document, key))
        _places(value, found)
    return found


def changed_json(chooser: Chooser, seeds: Sequence[Any]) -> Any:
    """Return one of the documents with values replaced, removed, doubled or buried."""
    document = [copy.deepcopy(chooser.pick(seeds))]
    for _ in range(chooser.number(5)):
        if not chooser.more:
            break
        places = _places(document, [])
        if not places:
            break
        holder, key = chooser.pick(places)
        match chooser.number(6):
            case 0 | 1:
                holder[key] = copy.deepcopy(chooser.pick(VALUES))
            case 2:
                del holder[key]
            case 3:
                holder[key] = [holder[key]] * (1 + chooser.number(3))
            case 4:
                if isinstance(holder, dict):
                    holder[chooser.pick(("id", "type", "", "x", "\ud800"))] = holder[key]
            case 5:
                buried = holder[key]
                for _ in range(chooser.pick((1, 10, 30, 200))):
                    buried = {"x": buried}
                holder[key] = buried
    return document[0] if document else None


def as_text(document: Any) -> str:
    """Return a document as JSON, or as near as Python comes to it."""
    return json.dumps(document)

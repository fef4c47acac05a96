"""How OpenCode's JSON objects become the schema's messages: tables, and the kinds of value in them.

Reading never fails. Another version of OpenCode may add, drop or retype a field, and one odd value
must not hide a user's data: what cannot be carried is passed over and counted under its path.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import Message

from opencode_sync.gateway.backends.opencode.mapping.struct import clean, fill_struct
from opencode_sync.logger import logger

__all__ = [
    "Field",
    "Oddities",
    "Read",
    "Table",
    "fill",
    "flag",
    "flat",
    "int32",
    "int64",
    "json_text",
    "listed",
    "log_oddities",
    "number",
    "obj",
    "objects",
    "several",
    "struct",
    "text",
    "texts",
    "within",
]

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


def fill(
    target: Message, table: Table, source: Mapping[str, Any], odd: Oddities, path: str
) -> None:
    """Put into a message what the table knows of a JSON object; null is as good as absent."""
    for key, value in source.items():
        field = table.carried.get(key)
        if field is None:
            if key not in table.left_out:
                odd[f"{path}.{key}"] += 1
        elif value is not None and not field.read(target, field.name, value, odd, f"{path}.{key}"):
            odd[f"{path}.{key}"] += 1


def log_oddities(odd: Oddities) -> None:
    """Tell those who look what an answer held that could not be carried."""
    if odd:
        logger.debug("OpenCode's answer held what the schema cannot carry: {}", dict(odd))


# The kinds of value...


def text(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    """A string."""
    if not isinstance(value, str):
        return False
    setattr(target, name, clean(value))
    return True


def flag(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        return False
    setattr(target, name, value)
    return True


def number(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    """A finite number, as a double."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        double = float(value)
    except OverflowError:
        return False
    if not math.isfinite(double):
        return False
    setattr(target, name, double)
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


int32, int64 = _integer(32), _integer(64)
"""A whole number; one beyond the field's range becomes the nearest that fits."""


def struct(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """Any JSON object, its keys as they are: a tool's input may well have one named ``apiKey``."""
    if not isinstance(value, dict):
        return False
    message = getattr(target, name)
    message.SetInParent()
    odd.update(f"{path}: {what}" for what in fill_struct(message, value))
    return True


def obj(table: Table) -> Read:
    """An object with a message of its own."""

    def read(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
        if not isinstance(value, dict):
            return False
        message: Message = getattr(target, name)
        message.SetInParent()  # it was there, even if all its fields are zero
        fill(message, table, value, odd, path)
        return True

    return read


def objects(table: Table) -> Read:
    """An array of objects."""

    def read(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
        if not isinstance(value, list):
            return False
        messages = getattr(target, name)
        for item in value:
            if isinstance(item, dict):
                fill(messages.add(), table, item, odd, f"{path}[]")
            else:
                odd[f"{path}[]"] += 1
        return True

    return read


def flat(table: Table) -> Read:
    """An object whose keys are fields of the message around it; the field's name is not used."""

    def read(target: Message, _name: str, value: Any, odd: Oddities, path: str) -> bool:
        if not isinstance(value, dict):
            return False
        fill(target, table, value, odd, path)
        return True

    return read


def within(message: str, kind: Read) -> Read:
    """A key of the object itself whose field is one level deeper, in ``message``."""

    def read(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
        return kind(getattr(target, message), name, value, odd, path)

    return read


def several(*fields: Field) -> Read:
    """A value that goes to more than one field; whether it could is the first one's to say."""

    def read(target: Message, _name: str, value: Any, odd: Oddities, path: str) -> bool:
        first, *others = fields
        known = first.read(target, first.name, value, odd, path)
        for field in others:
            field.read(target, field.name, value, Oddities(), path)  # counted by the first
        return known

    return read


def json_text(target: Message, name: str, value: Any, _odd: Oddities, _path: str) -> bool:
    """Any JSON value where the schema has a string: its text."""
    try:
        setattr(target, name, clean(json.dumps(value, ensure_ascii=False)))
    except RecursionError:  # some hundred levels
        return False
    return True


def texts(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """An array of strings."""
    if not isinstance(value, list):
        return False
    lines = [clean(item) for item in value if isinstance(item, str)]
    if len(lines) < len(value):
        odd[f"{path}[]"] += len(value) - len(lines)
    getattr(target, name).extend(lines)
    return True


def listed(target: Message, name: str, value: Any, odd: Oddities, path: str) -> bool:
    """An array of strings where the schema has one string: a line each."""
    if not isinstance(value, list):
        return False
    lines = [item for item in value if isinstance(item, str)]
    if len(lines) < len(value):
        odd[f"{path}[]"] += len(value) - len(lines)
    setattr(target, name, clean("\n".join(lines)))
    return True

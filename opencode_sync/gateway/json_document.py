"""JSON documents that people and programs write: read strictly, described in one table each.

What a document must look like is told by ``Object``, ``ListOf`` and ``Value``. Keys that a table
does not name are kept as they are: they belong to a newer version of whatever wrote the document.
What is wrong is said by ``DocumentError``, which names the field and never shows a text, because
it may be an address with a password in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "FLAG",
    "OPTIONAL_TEXT",
    "TEXT",
    "DocumentError",
    "ListOf",
    "Object",
    "Value",
    "check",
    "parse_json",
    "to_json",
]

REQUIRED: Final[Any] = object()
"""Stands for no default: the key has to be there."""

_MAX_DEPTH = 32
_SHOWN_CHARACTERS = 40


class DocumentError(ValueError):
    """What is wrong with a document, as the start of a sentence; names the field."""


@dataclass(frozen=True)
class Value:
    """One value.

    Args:
        words: What it must be (``"true or false"``).
        accepts: Tells whether a value is that.
        default: What stands in for a missing key.
    """

    words: str
    accepts: Callable[[Any], bool]
    default: Any = REQUIRED


@dataclass(frozen=True)
class Object:
    """An object; a missing one is taken for an empty one unless ``required``."""

    members: Mapping[str, Shape]
    required: bool = False


@dataclass(frozen=True)
class ListOf:
    """A list of objects, no two of which have the same text in ``unique``; may be missing."""

    item: Object
    unique: str | None = None


Shape = Value | Object | ListOf


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


TEXT = Value("a text", _is_text)
OPTIONAL_TEXT = Value("a text or null", lambda value: value is None or _is_text(value), None)
FLAG = Value("true or false", lambda value: isinstance(value, bool))


def parse_json(text: str) -> dict[str, Any]:
    """Return the JSON object in a text.

    Stricter than ``json.loads``: no NaN, no number beyond a double, no key twice, no half
    character, no depth that would exhaust the stack. What passes can be written as UTF-8.

    Raises:
        DocumentError: naming line and column where the parser knows them.
    """
    problem = None
    document: Any = None
    try:
        document = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except DocumentError as error:
        problem = str(error)
    except json.JSONDecodeError as error:
        # Not chained: the parser's error carries the whole document.
        problem = f"it is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except RecursionError:
        problem = f"it is nested more than {_MAX_DEPTH} deep"
    except ValueError:  # a whole number of thousands of digits
        problem = "it is not JSON: a number is too long"
    if problem is not None:
        raise DocumentError(problem)
    if not isinstance(document, dict):
        raise DocumentError(f"it must be a JSON object, but is {_kind(document)}")
    _check_contents(document)
    return document


def check(shape: Object, document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the document with its missing keys filled in, and the names of unknown keys.

    Raises:
        DocumentError: for the first field that is wrong, in the table's order.
    """
    unknown: list[str] = []
    return _checked_object(shape, document, "", unknown), unknown


def to_json(document: Mapping[str, Any]) -> str:
    """Return the document as text for people."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _checked_object(shape: Object, value: Any, where: str, unknown: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} must be an object, but is {_kind(value)}")
    checked: dict[str, Any] = {}
    for key, member in shape.members.items():
        name = _below(where, key)
        present = key in value
        if isinstance(member, Value):
            if not present and member.default is REQUIRED:
                raise DocumentError(f"{name} is missing; it must be {member.words}")
            found = value[key] if present else member.default
            if present and not member.accepts(found):
                raise DocumentError(f"{name} must be {member.words}, but is {_kind(found)}")
            checked[key] = found
        elif isinstance(member, Object):
            if not present and member.required:
                raise DocumentError(f"{name} is missing; it must be an object")
            checked[key] = _checked_object(member, value.get(key, {}), name, unknown)
        else:
            checked[key] = _checked_list(member, value.get(key, []), name, unknown)
    for key, found in value.items():
        if key not in shape.members:
            unknown.append(_below(where, key))
            checked[key] = found
    return checked


def _checked_list(shape: ListOf, value: Any, where: str, unknown: list[str]) -> list[Any]:
    if not isinstance(value, list):
        raise DocumentError(f"{where} must be a list, but is {_kind(value)}")
    seen: dict[Any, int] = {}
    items = []
    for index, item in enumerate(value):
        checked = _checked_object(shape.item, item, f"{where}[{index}]", unknown)
        if shape.unique is not None:
            first = seen.setdefault(checked[shape.unique], index)
            if first != index:
                raise DocumentError(
                    f"{where}[{index}].{shape.unique} is the same as that of {where}[{first}]"
                )
        items.append(checked)
    return items


def _check_contents(document: dict[str, Any]) -> None:
    """Refuse what JSON can say and what cannot be written again; by a stack of its own."""
    waiting: list[tuple[str, Any, int]] = [("", document, 1)]
    while waiting:
        where, value, depth = waiting.pop()
        if isinstance(value, str):
            if not _is_whole(value):
                raise DocumentError(f"{where} holds half a character (a lone surrogate)")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise DocumentError(f"{where} is a number too large")
        elif isinstance(value, dict | list):
            if depth > _MAX_DEPTH:
                raise DocumentError(f"it is nested more than {_MAX_DEPTH} deep")
            inner: Iterable[tuple[str, Any]]
            if isinstance(value, dict):
                for key in value:
                    if not _is_whole(key):
                        raise DocumentError(
                            f"the key {_shown(key)} holds half a character (a lone surrogate)"
                        )
                inner = ((_below(where, key), each) for key, each in value.items())
            else:
                inner = ((f"{where}[{index}]", each) for index, each in enumerate(value))
            waiting.extend((name, each, depth + 1) for name, each in inner)


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    collected: dict[str, Any] = {}
    for key, value in pairs:
        if key in collected:
            raise DocumentError(f"the key {_shown(key)} is there twice in one object")
        collected[key] = value
    return collected


def _no_constant(name: str) -> Any:
    raise DocumentError(f"it is not JSON: {name} is no JSON number")


def _below(where: str, key: str) -> str:
    name = key if key.isidentifier() and len(key) <= _SHOWN_CHARACTERS else _shown(key)
    return f"{where}.{name}" if where else name


def _shown(key: str) -> str:
    cut = "..." if len(key) > _SHOWN_CHARACTERS else ""
    return ascii(key[:_SHOWN_CHARACTERS]) + cut


def _kind(value: Any) -> str:
    """Return what a JSON value is, in words and without the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a text" if value.strip() else "an empty text"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 1e15 else "a large number"
    return "a list" if isinstance(value, list) else "an object"

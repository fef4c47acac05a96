"""As much as anybody reads of what may be of any size. What is left out is told."""

from __future__ import annotations

import json
from typing import Any, Final

from PySide6.QtCore import QCoreApplication

__all__ = ["json_excerpt", "shortened"]

_DEEPEST: Final = 40
"""Levels of lists and objects within each other."""

_LEAST: Final = 8
"""Characters that a value counts for at least, with its name and its line."""


def shortened(text: str, characters: int, lines: int | None = None) -> str:
    """Return the beginning of a text, and how much more there is.

    Args:
        text: Of any length.
        characters: How many of them at most.
        lines: Likewise; None for as many as there are.
    """
    begin = text[:characters]
    if lines is not None:
        begin = "\n".join(begin.split("\n", lines)[:lines])
    return begin if len(begin) == len(text) else f"{begin}... {_more(len(text) - len(begin))}"


def json_excerpt(value: Any, characters: int, *, indent: int | None = None) -> str:
    """Return a value as JSON, of which what is long is left out before it is written.

    Args:
        value: What JSON can say.
        characters: About how many of them at most.
        indent: As for ``json.dumps``.
    """
    return json.dumps(_Excerpt(characters).of(value, 0), indent=indent, ensure_ascii=False)


class _Excerpt:
    """Makes values smaller, together no larger than there is room."""

    def __init__(self, room: int) -> None:
        self._room = room

    def of(self, value: Any, depth: int) -> Any:
        self._room -= _LEAST
        if isinstance(value, str):
            short = shortened(value, max(self._room, 0))
            self._room -= len(short)
            return short
        if not isinstance(value, dict | list | tuple):
            return value
        if value and depth >= _DEEPEST:
            return "..."
        return self._object(value, depth) if isinstance(value, dict) else self._list(value, depth)

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, each in value.items():
            if self._room <= 0:
                made["..."] = _more_entries(len(value) - len(made))
                break
            made[self.of(str(name), depth)] = self.of(each, depth + 1)
        return made

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        made: list[Any] = []
        for each in value:
            if self._room <= 0:
                made.append(f"... {_more_entries(len(value) - len(made))}")
                break
            made.append(self.of(each, depth + 1))
        return made


def _more(count: int) -> str:
    return QCoreApplication.translate("excerpt", "({0} characters more)").format(count)


def _more_entries(count: int) -> str:
    return QCoreApplication.translate("excerpt", "({0} more)").format(count)

"""A long text of Markdown in pieces, so that what it grows by costs the same at any length."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Segments"]

_SOFT: Final = 1_500
"""Characters from which on a piece ends where Markdown allows it without a trace."""

_HARD: Final = 5_000
"""Characters at which it ends wherever it is."""

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_CONTINUES: Final = re.compile(r"[ \t]|[-*+>|]|\d+[.)]")
"""How lines begin that may belong to what is before a blank line: lists, quotations, tables."""

_TELLING: Final = 12
"""Characters of an unfinished line that are enough to know how it begins."""


class _Cut(NamedTuple):
    end: int
    closing: str
    """What has to be added to the piece that ends."""
    opening: str
    """What has to be put before the one that begins."""


class Segments:
    """Cuts a growing text. What was cut once stays as it is; only the last piece changes."""

    def __init__(self) -> None:
        self._settled: list[str] = []
        self._source = ""  # of the settled pieces
        self._opening = ""

    def update(self, text: str) -> list[str]:
        """Return the pieces of ``text``, each of them Markdown of its own."""
        if not text.startswith(self._source):
            self._settled, self._source, self._opening = [], "", ""
        position = len(self._source)
        while (cut := _find_cut(text, position, self._opening)) is not None:
            self._settled.append(self._opening + text[position : cut.end] + cut.closing)
            self._opening = cut.opening
            position = cut.end
        self._source = text[:position]
        last = text[position:]
        return [*self._settled, self._opening + last] if last.strip() else list(self._settled)


def _find_cut(text: str, start: int, opening: str) -> _Cut | None:
    """Return where the piece that begins at ``start`` ends; None while it does not."""
    if len(text) - start <= _SOFT:
        return None
    fence = opening  # the line that has opened the code block we are in; "" outside of one
    position, blank = start, False
    while position < len(text):
        end = text.find("\n", position)
        complete = end >= 0
        end = end + 1 if complete else len(text)
        if end - start > _HARD:
            return _forced(position if position > start else start + _HARD, fence)
        line = text[position:end]
        if blank and not fence and position - start >= _SOFT and line.strip():
            if not complete and len(line) < _TELLING:
                return None
            if not _CONTINUES.match(line):
                return _Cut(position, "", "")
        if complete:
            fence = _fence_after(line, fence)
        blank = not line.strip()
        position = end
    return None


def _forced(end: int, fence: str) -> _Cut:
    if not fence:
        return _Cut(end, "", "")
    mark = _FENCE.match(fence)
    return _Cut(end, f"\n{mark[1] if mark else ''}\n", fence)


def _fence_after(line: str, fence: str) -> str:
    """Return the fence that holds after a line."""
    mark = _FENCE.match(line)
    if mark is None:
        return fence
    if not fence:
        return line
    opened = _FENCE.match(fence)
    assert opened is not None  # or it had not been one
    closes = mark[1].startswith(opened[1]) and not line[mark.end() :].strip()
    return "" if closes else fence

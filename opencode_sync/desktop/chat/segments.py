"""A long text of Markdown in pieces, so that what it grows by costs the same at any length."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from opencode_sync.desktop.chat.budget import Budget

__all__ = ["Segments", "plain_pieces"]

_SOFT: Final = 1_500
"""Characters from which on a piece ends where Markdown allows it without a trace."""

_HARD: Final = 5_000
"""Characters at which it ends wherever it is."""

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_CONTINUES: Final = re.compile(r"[ \t]|[-*+>|]|\d+[.)]")
"""How lines begin that may belong to what is before a blank line: lists, quotations, tables."""

_TELLING: Final = 12
"""Characters of an unfinished line that are enough to know how it begins."""

_DEAREST: Final = 480
"""How much a piece may have of what takes Qt long: lines, changes of style, cells of tables.

What would have more ends there, wherever it is. Tables get their heading again.
"""

_CELL: Final = 4
"""How many lines take as long as the cell of a table."""

_WIDEST: Final = 24
"""Columns of a table whose heading is repeated."""

_MOST: Final = 400
"""Pieces of a text."""

_MARK: Final = re.compile(
    r"[`*_~]+|!?\[|www\.|://|@|[\u0590-\u05ff][\u0590-\u05ff\s]*|[\u0600-\u08ff][\u0600-\u08ff\s]*"
)
"""Where the style of a text changes, or its writing direction, or a link may begin."""

_RULE: Final = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
"""The line below the heading of a table."""

_BLANK: Final = re.compile(r"(?:[ \t]*\n)+")


def plain_pieces(text: str) -> list[str]:
    """Return a text that is no Markdown in pieces, each to be shown below the one before."""
    pieces: list[str] = []
    position = 0
    while len(text) - position > _HARD:
        end = text.rfind("\n", position, position + _HARD)
        cut = position + _HARD if end <= position else end
        pieces.append(text[position:cut])
        position = cut + (end > position)  # the line's end is where the piece ends
    return [*pieces, text[position:]] if text[position:] else pieces


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
        self.complete = True
        """Whether there was time for all of the text that was given last."""
        self.left_out = 0
        """Characters at its end for which there would have to be too many pieces."""

    def update(self, text: str, budget: Budget | None = None) -> list[str]:
        """Return the pieces of ``text``, each of them Markdown of its own.

        Args:
            text: All of it. What it begins with is usually what was given last.
            budget: When it is over, the first pieces are returned, at least one more than before.
        """
        if not text.startswith(self._source):
            self._settled, self._source, self._opening = [], "", ""
        position = len(self._source)
        self.complete, self.left_out = True, 0
        while self.complete and (cut := _find_cut(text, position, self._opening)) is not None:
            if len(self._settled) >= _MOST:
                self.left_out = len(text) - position
                break
            piece = self._opening + text[position : cut.end] + cut.closing
            if piece.strip():
                self._settled.append(piece)
            self._opening = cut.opening
            position = cut.end
            self.complete = budget is None or not budget.over
        self._source = text[:position]
        last = text[position:]
        if not self.complete or self.left_out or not last.strip():
            return list(self._settled)
        return [*self._settled, self._opening + last]


def _find_cut(text: str, start: int, opening: str) -> _Cut | None:
    """Return where the piece that begins at ``start`` ends; None while it does not."""
    nothing = _BLANK.match(text, start)
    if nothing is not None and not opening and nothing.end() - start > _SOFT:
        return _Cut(nothing.end(), "", "")
    state = _State(opening)
    position, blank = start, False
    while position < len(text):
        end = text.find("\n", position)
        complete = end >= 0
        end = end + 1 if complete else len(text)
        line = text[position : min(end, start + _HARD)]
        too_much = state.add(line)
        if too_much is not None:
            return state.forced(position if position > start else start + too_much)
        if end - start > _HARD:
            return state.forced(position if position > start else start + _HARD)
        if blank and not state.fence and position - start >= _SOFT and line.strip():
            if not complete and len(line) < _TELLING:
                return None
            if not _CONTINUES.match(line):
                return _Cut(position, "", "")
        if complete:
            state.end_line(line)
        blank = not line.strip()
        position = end
    return None


class _State:
    """In what a line of a piece is, and what it takes Qt to show the lines up to it."""

    def __init__(self, opening: str) -> None:
        """Begin a piece before which this is put."""
        self._spent = 0
        self._before = ""  # the line before
        self._table = ""  # its heading, while we are in one
        self._columns = 0
        self.fence = opening if _FENCE.match(opening) else ""
        """The line that has opened the code block we are in; "" outside of one."""
        if opening and not self.fence:
            for line in opening.splitlines(keepends=True):
                self.add(line)
                self.end_line(line)

    def add(self, line: str) -> int | None:
        """Count a line, finished or not.

        Returns:
            None, or where in the line it gets too much.
        """
        if self._table and "|" not in line:
            self._table = ""
        if self.fence:
            self._spent += 1
        elif self._table:
            self._spent += self._columns * _CELL
        else:
            self._spent += bool(line.strip())
            for mark in _MARK.finditer(line):
                self._spent += 1
                if self._spent > _DEAREST and mark.start():
                    return mark.start()
        # Code and tables are cut between lines.
        return len(line) if self._spent > _DEAREST else None

    def end_line(self, line: str) -> None:
        """Take note of what a finished line begins or ends."""
        self.fence = _fence_after(line, self.fence)
        if not self.fence and not self._table and _is_heading(self._before, line):
            self._table = self._before + line
            self._columns = len(line.strip().strip("|").split("|"))
            self._spent += 2 * self._columns * _CELL
        self._before = line

    def forced(self, end: int) -> _Cut:
        """Return a cut there, wherever that is."""
        if self.fence:
            mark = _FENCE.match(self.fence)
            return _Cut(end, f"\n{mark[1] if mark else ''}\n", self.fence)
        # Without their heading the rows are lines of text, which is better than hundreds of it.
        return _Cut(end, "", self._table if self._columns <= _WIDEST else "")


def _is_heading(above: str, line: str) -> bool:
    """Return whether a table begins with these two lines."""
    return "|" in above and "|" in line and _RULE.match(line) is not None


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

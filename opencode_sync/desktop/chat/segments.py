"""A long text in pieces, so that what it grows by costs the same at any length."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from opencode_sync.desktop.chat.budget import Budget
from opencode_sync.desktop.chat.scripts import script_changes

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

_DEAREST: Final = 480
"""How much a piece may have of what takes Qt long: lines, changes of style and script, cells.

What would have more ends there, wherever it is. Tables get their heading again.
"""

_CELL: Final = 4
"""How many lines take as long as the cell of a table."""

_WIDEST: Final = 24
"""Columns of a table whose heading is repeated."""

_CHANGE: Final = 2
"""How many lines take as long as a change of the script."""

_MOST: Final = 400
"""Pieces of a text."""

_PLAIN: Final = 2_000
"""Characters of a piece that is no Markdown: there is less to see of where it ends."""

_MARK: Final = re.compile(r"[`*_~]+|!?\[|www\.|://|@")
"""Where the style of a text changes, or a link may begin."""

_RULE: Final = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
"""The line below the heading of a table."""

_BLANK: Final = re.compile(r"(?:[ \t]*\n)+")


class _Cut(NamedTuple):
    end: int
    closing: str
    """What has to be added to the piece that ends."""
    opening: str
    """What has to be put before the one that begins."""


class Segments:
    """Cuts a growing text. What was cut once stays as it is; only the last piece changes."""

    def __init__(self, *, plain: bool = False) -> None:
        """Begin with no text.

        Args:
            plain: Whether it is shown as it was typed, and not as Markdown.
        """
        self._plain = plain
        self._settled: list[str] = []
        self._source = ""  # of the settled pieces
        self._opening = ""
        self.complete = True
        """Whether there was time for all of the text that was given last."""
        self.left_out = 0
        """Characters at its end for which there would have to be too many pieces."""

    def update(self, text: str, budget: Budget | None = None) -> list[str]:
        """Return the pieces of ``text``, each of them complete, to be shown below each other.

        Args:
            text: All of it. What it begins with is usually what was given last.
            budget: When it is over, the first pieces are returned, at least one more than before.
        """
        if not text.startswith(self._source):
            self._settled, self._source, self._opening = [], "", ""
        position = len(self._source)
        self.complete, self.left_out = True, 0
        while self.complete and (cut := self._find_cut(text, position)) is not None:
            if len(self._settled) >= _MOST:
                self.left_out = len(text) - position
                break
            piece = self._opening + text[position : cut.end] + cut.closing
            if self._plain:
                self._settled.append(piece.removesuffix("\n"))  # the next begins below it
            elif piece.strip():
                self._settled.append(piece)
            self._opening = cut.opening
            position = cut.end
            self.complete = budget is None or not budget.over
        self._source = text[:position]
        last = text[position:]
        if not self.complete or self.left_out or not (last if self._plain else last.strip()):
            return list(self._settled)
        return [*self._settled, self._opening + last]

    def _find_cut(self, text: str, start: int) -> _Cut | None:
        return _plain_cut(text, start) if self._plain else _find_cut(text, start, self._opening)


def _plain_cut(text: str, start: int) -> _Cut | None:
    """Return where a piece as it was typed ends: of a line if it can be, or of a word."""
    most = _much(text, start)
    if most is None:
        return None
    for mark in "\n ":
        end = text.rfind(mark, start, most)
        if end > start:
            return _Cut(end + 1, "", "")
    return _Cut(most, "", "")


def _much(text: str, start: int) -> int | None:
    """Return where it has as much as a piece may have; None when it ends before."""
    position, spent = start, 0
    for line in text[start : start + _PLAIN].splitlines(keepends=True):
        spent += 1
        for change in script_changes(line):
            spent += _CHANGE
            if spent > _DEAREST:
                return max(position + change, start + 1)
        position += len(line)
        if spent >= _DEAREST:
            break
    return position if position < len(text) else None


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
            dear = [(mark.start(), 1) for mark in _MARK.finditer(line)]
            dear += [(position, _CHANGE) for position in script_changes(line)]
            for position, cost in sorted(dear):
                self._spent += cost
                if self._spent > _DEAREST and position:
                    return position
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

"""Which messages of a long conversation are on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opencode_sync.desktop.chat.entry import Entry

__all__ = ["Stretch"]

_PAGE: Final = 20
"""Messages that are added at a time."""

_MOST: Final = 60
"""Messages that are on the page at once. Those at the other end go when more come."""


class Stretch:
    """Neighbours in a list that grows at its end, or is read again with more at its beginning."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: Sequence[Entry] = ()
        self._first = self._last = 0
        self._at_end = True

    @property
    def shown(self) -> Sequence[Entry]:
        """Those on the page."""
        return self._entries[self._first : self._last]

    @property
    def at_start(self) -> bool:
        """Whether there are none before them."""
        return self._first == 0

    @property
    def at_end(self) -> bool:
        """Whether there are none after them, and new ones join them."""
        return self._at_end

    def update(self, entries: Sequence[Entry], *, trim: bool) -> None:
        """Look at the list again.

        Args:
            entries: The list as it is now.
            trim: Whether the first of the page may go when new ones come.
        """
        begin = self._entries[self._first] if self._first < self._last else None
        length = self._last - self._first
        # A copy: what was shown is still known when the list itself has changed.
        self._entries = tuple(entries)
        count = len(self._entries)
        first = next((n for n, each in enumerate(self._entries) if each is begin), None)
        if first is None:
            self._first, self._last, self._at_end = max(0, count - _PAGE), count, True
        elif self._at_end:
            self._first, self._last = first, count
        else:
            self._first, self._last = first, min(count, first + length)
            self._at_end = self._last == count
        if trim and self._at_end:
            self._first = max(self._first, self._last - _MOST)

    def move_up(self) -> None:
        """Have earlier ones on the page."""
        self._first = max(0, self._first - _PAGE)
        self._last = min(self._last, self._first + _MOST)
        self._at_end = self._last == len(self._entries)

    def move_down(self) -> None:
        """Have later ones on the page."""
        self._last = min(len(self._entries), self._last + _PAGE)
        self._first = max(self._first, self._last - _MOST)
        self._at_end = self._last == len(self._entries)

    def move_to_end(self) -> None:
        """Have the last ones on the page."""
        if not self._at_end:
            self._last, self._at_end = len(self._entries), True
            self._first = max(0, self._last - _PAGE)

"""Which sessions are shown, in which order, and on which page. Knows no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Final

from opencode_sync.desktop.sessions.newer import Newer
from opencode_sync.desktop.sessions.record import SessionRecord

__all__ = ["PAGE_SIZE", "Listing", "SortOrder"]

PAGE_SIZE: Final = 10

_ID_WORD: Final = 5
"""Characters of a word that is looked for in ids, too: shorter ones are in most of them."""


class SortOrder(Enum):
    """What comes first. The values are kept in the settings."""

    UPDATED = "updated"
    """The session that changed last."""

    CREATED = "created"
    """The newest session."""

    TITLE = "title"
    """The first by the alphabet, numbers by their value; those without a title last."""


# By one attribute, which is fast; sessions that have the same stay as they came.
_KEYS: Final = {
    SortOrder.UPDATED: (attrgetter("updated"), True),
    SortOrder.CREATED: (attrgetter("created"), True),
    SortOrder.TITLE: (attrgetter("by_title"), False),
}


class Listing:
    """All sessions, of which those that match a search make pages. For one thread."""

    def __init__(self, order: SortOrder = SortOrder.UPDATED) -> None:
        self._records: dict[str, SessionRecord] = {}
        self._sorted: list[SessionRecord] = []
        self._matching: list[SessionRecord] = []
        self._order = order
        self._words: list[str] = []
        self._page = 0
        self._newer: Newer | None = None  # while the list is read

    # --- What is shown ---

    @property
    def total(self) -> int:
        """How many sessions there are."""
        return len(self._records)

    @property
    def matching(self) -> int:
        """How many the search has found; all without a search."""
        return len(self._matching)

    @property
    def searching(self) -> bool:
        """Whether there is a search."""
        return bool(self._words)

    @property
    def order(self) -> SortOrder:
        """What comes first."""
        return self._order

    @property
    def page(self) -> int:
        """The page that is shown, from 0 on."""
        return min(self._page, self.pages - 1)

    @property
    def pages(self) -> int:
        """How many pages there are; an empty one is one, too."""
        return max(1, -(-len(self._matching) // PAGE_SIZE))

    @property
    def rows(self) -> Sequence[SessionRecord]:
        """What the page shows."""
        first = self.page * PAGE_SIZE
        return self._matching[first : first + PAGE_SIZE]

    def get(self, session_id: str) -> SessionRecord | None:
        """Return a session that is there, on whichever page."""
        return self._records.get(session_id)

    def page_of(self, session_id: str) -> int | None:
        """Return the page that has a session; None when the search has not found it."""
        for position, record in enumerate(self._matching):
            if record.id == session_id:
                return position // PAGE_SIZE
        return None

    # --- Changes ---

    def begin_reading(self) -> None:
        """Keep what changes from now on: it is newer than what the backend is being asked for."""
        self._newer = Newer()

    def give_up_reading(self) -> None:
        """Keep no changes: the reading brings nothing."""
        self._newer = None

    def replace(self, records: Mapping[str, SessionRecord]) -> None:
        """Have these sessions and no others, but for what has changed since the reading began."""
        newer, self._newer = self._newer, None
        self._records = dict(records)
        if newer is not None:
            newer.apply_to(self._records)
        self._sort()

    def add(self, record: SessionRecord) -> None:
        """Have one more session, which was created here."""
        self._records[record.id] = record
        if self._newer is not None:
            self._newer.created(record)
        self._sort()

    def change(self, records: Iterable[SessionRecord]) -> list[SessionRecord]:
        """Exchange sessions, and return those that are listed; others may be another project's."""
        listed = []
        for record in records:
            if self._newer is not None:
                self._newer.changed(record)
            if record.id in self._records:
                self._records[record.id] = record
                listed.append(record)
        if listed:
            self._sort()
        return listed

    def remove(self, session_ids: Iterable[str]) -> bool:
        """Take sessions out; False when none of them was listed."""
        before = len(self._records)
        for session_id in session_ids:
            if self._newer is not None:
                self._newer.removed(session_id)
            self._records.pop(session_id, None)
        if len(self._records) == before:
            return False
        self._sort()
        return True

    def sort(self, order: SortOrder) -> None:
        """Have another order, and show its beginning."""
        self._order = order
        self._page = 0
        self._sort()

    def search(self, text: str) -> None:
        """Show the sessions whose title holds all of the words; "" shows all.

        Instead of the title a word of five characters or more may be in the id.
        """
        self._words = list(dict.fromkeys(text.casefold().split()))
        self._page = 0
        self._filter()

    def go_to(self, page: int) -> None:
        """Show another page, or the nearest that there is.

        A page that is not there yet is kept in mind until there are more sessions.
        """
        self._page = max(0, page)

    def _sort(self) -> None:
        key, is_descending = _KEYS[self._order]
        self._sorted = sorted(self._records.values(), key=key, reverse=is_descending)
        self._filter()

    def _filter(self) -> None:
        found = self._sorted
        for word in self._words:
            in_ids = len(word) >= _ID_WORD
            found = [
                record
                for record in found
                if word in record.searched or (in_ids and word in record.searched_id)
            ]
        self._matching = found

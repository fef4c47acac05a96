"""Which sessions are shown, in which order, and on which page. Knows no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Final

from opencode_sync.desktop.sessions.titles import title_key
from opencode_sync.types import OcSessionInfo

__all__ = ["PAGE_SIZE", "Listing", "SessionRecord", "SortOrder", "record_of", "records_of"]

PAGE_SIZE: Final = 10

_LONGEST: Final = 500
"""Characters of a title that are shown, searched and compared; one of megabytes takes seconds."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What is shown of a session, taken out of the message once: reading that is slow."""

    id: str
    title: str
    """Its beginning, where it is very long."""

    created: int
    updated: int
    summary: tuple[int, int, int] | None
    """Lines added, lines deleted, and files; None when there is no summary."""

    searched: str
    """What a search looks into."""

    by_title: str
    """What the order by title compares."""

    info: OcSessionInfo
    """The session itself."""


def record_of(session: OcSessionInfo) -> SessionRecord:
    """Return the record of a session."""
    summary = None
    if session.HasField("summary"):
        changes = session.summary
        summary = (changes.additions, changes.deletions, changes.files)
    time = session.time
    title = session.title[:_LONGEST]
    return SessionRecord(
        id=session.id,
        title=title,
        created=time.created,
        updated=time.updated,
        summary=summary,
        searched=f"{title}\n{session.id}".casefold(),
        by_title=title_key(title),
        info=session,
    )


def records_of(sessions: Iterable[OcSessionInfo]) -> dict[str, SessionRecord]:
    """Return the records of sessions by their ids. Takes a moment where there are thousands."""
    return {session.id: record_of(session) for session in sessions}


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

    def replace(self, records: Mapping[str, SessionRecord]) -> None:
        """Have these sessions and no others."""
        self._records = dict(records)
        self._sort()

    def change(self, changed: Iterable[SessionRecord], removed: Iterable[str] = ()) -> None:
        """Add or exchange sessions, and take others out."""
        self._records.update((record.id, record) for record in changed)
        for session_id in removed:
            self._records.pop(session_id, None)
        self._sort()

    def sort(self, order: SortOrder) -> None:
        """Have another order, and show its beginning."""
        self._order = order
        self._page = 0
        self._sort()

    def search(self, text: str) -> None:
        """Show the sessions whose title or id holds all of the words; "" shows all."""
        self._words = text.casefold().split()
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
            found = [record for record in found if word in record.searched]
        self._matching = found

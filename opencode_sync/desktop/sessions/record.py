"""What the list knows of a session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from opencode_sync.desktop.sessions.titles import title_key
from opencode_sync.types import OcSessionInfo

__all__ = ["SessionRecord", "record_of", "records_of"]

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
    """What a search looks into: the title."""

    searched_id: str
    """What it looks into for long words."""

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
        searched=title.casefold(),
        searched_id=session.id.casefold(),
        by_title=title_key(title),
        info=session,
    )


def records_of(sessions: Iterable[OcSessionInfo]) -> dict[str, SessionRecord]:
    """Return the records of sessions by their ids. Takes a moment where there are thousands."""
    return {session.id: record_of(session) for session in sessions}

"""What has happened to sessions while their list is read, of which its answer may not know."""

from __future__ import annotations

from opencode_sync.desktop.sessions.record import SessionRecord

__all__ = ["Newer"]


class Newer:
    """The changes since a reading of the list began, to be made over in its answer.

    The backend may have answered before or after them; either way they come last.
    """

    def __init__(self) -> None:
        self._created: dict[str, SessionRecord] = {}
        self._changed: dict[str, SessionRecord] = {}
        self._removed: set[str] = set()

    def created(self, record: SessionRecord) -> None:
        """Note a session that belongs to the list, whether or not the answer has it."""
        self._created[record.id] = record

    def changed(self, record: SessionRecord) -> None:
        """Note how a session is now, if it belongs to the list: only the answer can tell."""
        table = self._created if record.id in self._created else self._changed
        table[record.id] = record

    def removed(self, session_id: str) -> None:
        """Note a session that is gone. None comes back."""
        self._removed.add(session_id)

    def apply_to(self, records: dict[str, SessionRecord]) -> None:
        """Make these changes in the answer."""
        records.update((key, each) for key, each in self._changed.items() if key in records)
        records.update(self._created)
        for session_id in self._removed:
            records.pop(session_id, None)

"""Reading the list of sessions: one reading at a time, and which of them counts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.record import SessionRecord, records_of
from opencode_sync.types import OcSessionInfo

__all__ = ["ListReading"]


class ListReading(QObject):
    """Reads the list, when somebody asks for it or when it is known to be outdated."""

    begun = Signal()
    """A reading has begun; one before it that had not ended is given up."""

    ended = Signal(object)
    """The records of all sessions, by their ids."""

    failed = Signal(object)
    """The exception that ended a reading."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._reading: Delivery | None = None
        self._again = False  # the list has changed since this reading was begun

    @property
    def is_active(self) -> bool:
        """Whether the list is being read."""
        return self._reading is not None

    def begin(self) -> None:
        """Read the list now: for who asks for it, perhaps because a reading takes too long."""
        self.give_up()
        self._reading = self._service.list_sessions(self._received, self._failed)
        self.begun.emit()

    def begin_or_repeat(self) -> None:
        """Read the list once more after the reading under way, if there is one.

        That one is not given up: where others create sessions all the time none would ever end.
        """
        if self._reading is None:
            self.begin()
        else:
            self._again = True

    def give_up(self) -> None:
        """End a reading that is under way, without a result."""
        self._again = False
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _received(self, sessions: Sequence[OcSessionInfo]) -> None:
        self._reading = self._service.compute(
            lambda: records_of(sessions), self._read, self._failed
        )

    def _read(self, records: dict[str, SessionRecord]) -> None:
        again, self._reading, self._again = self._again, None, False
        self.ended.emit(records)
        if again and self._reading is None:  # who was told may have begun one
            self.begin()

    def _failed(self, error: BaseException) -> None:
        # Not again: who is told of it decides about that.
        self._reading, self._again = None, False
        self.failed.emit(error)

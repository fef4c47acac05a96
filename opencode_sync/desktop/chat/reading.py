"""Reading one session's messages, without anybody waiting for them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.chat.entry import Entry, entry_of
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.types import OcMessage

__all__ = ["HistoryReading"]

_FIRST_PAGE: Final = 200
"""Messages that are read at first."""

_NEXT_PAGE: Final = 5
"""How many times as many are read when somebody wants to see earlier ones."""


class HistoryReading(QObject):
    """Reads a session's newest messages, one reading at a time. For the Qt thread."""

    changed = Signal()
    """``active``, or ``error``."""

    ended = Signal(object)
    """The list of ``Entry`` that was read."""

    def __init__(self, service: Service, session_id: str, parent: QObject | None = None) -> None:
        """Read nothing yet.

        Args:
            service: Makes the calls.
            session_id: Whose messages.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._service = service
        self._session_id = session_id
        self._call: Delivery | None = None
        self._limit = _FIRST_PAGE
        self._again = False
        self.active = False
        """Whether messages are being read."""
        self.error: BaseException | None = None
        """Why they could not be read the last time."""
        self.was_successful = False
        """Whether they were read at least once."""
        self.has_earlier = False
        """Whether the session has messages that were not read."""

    def begin(self) -> None:
        """Read, unless that is under way."""
        if self.active:
            return
        self.active = True
        limit = self._limit
        self._call = self._service.list_messages(
            self._session_id, functools.partial(self._received, limit), self._failed, limit=limit
        )
        self.changed.emit()

    def begin_or_repeat(self) -> None:
        """Read the messages as they are from now on, also if they are being read."""
        self._again = self.active
        self.begin()

    def begin_earlier(self) -> None:
        """Read more of them, if there are more."""
        if self.has_earlier:
            self._limit *= _NEXT_PAGE
            self.begin()

    def give_up(self) -> bool:
        """Hear of nothing that is under way; False when nothing was."""
        if self._call is not None:
            self._call.cancel()
        was_active, self.active, self._again = self.active, False, False
        return was_active

    def _received(self, limit: int, messages: Sequence[OcMessage]) -> None:
        self.has_earlier = len(messages) >= limit

        def read() -> list[Entry]:
            return [entry_of(message) for message in messages]

        self._call = self._service.compute(read, self._ended, self._failed)

    def _ended(self, entries: list[Entry]) -> None:
        self.active, self.error, self.was_successful = False, None, True
        again, self._again = self._again, False
        self.ended.emit(entries)
        if again:
            self.begin()

    def _failed(self, error: BaseException) -> None:
        self.active, self.error, self._again = False, error, False
        self.changed.emit()

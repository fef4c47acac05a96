"""Other programs' runs that are being ended, whichever session is shown meanwhile."""

from __future__ import annotations

import functools

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service

__all__ = ["Aborts"]


class Aborts(QObject):
    """The abortions under way, at most one in a session. For the Qt thread.

    Longer than a conversation, which is a new one each time that its session is shown: what is
    sent while an abortion is under way might be ended by it.
    """

    begun = Signal(str)
    """The id of a session whose run is being ended."""

    ended = Signal(str, object)
    """The id of that session, and the exception for which the run goes on; None if it does not."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        """Begin with none."""
        super().__init__(parent)
        self._service = service
        self._calls: dict[str, Delivery] = {}

    def under_way(self, session_id: str) -> bool:
        """Return whether what runs in a session is being ended."""
        return session_id in self._calls

    def begin(self, session_id: str) -> None:
        """End what runs in a session, unless that is under way."""
        if session_id not in self._calls:
            self._calls[session_id] = self._service.abort_session(
                session_id,
                lambda _: self._ended(session_id, None),
                functools.partial(self._ended, session_id),
            )
            self.begun.emit(session_id)

    def _ended(self, session_id: str, error: BaseException | None) -> None:
        del self._calls[session_id]
        self.ended.emit(session_id, error)

    def close(self) -> None:
        """Hear of none any more; what was asked for is done all the same."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

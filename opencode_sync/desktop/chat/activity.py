"""Which sessions are at work, whoever has them work: told by the backend's events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.logger import logger
from opencode_sync.state import ConnectionState
from opencode_sync.types import IpcEvent

__all__ = ["Activity"]

_IDLE: Final = "session.idle"
_RESUBSCRIBED: Final = "gateway.resubscribed"
_TYPES: Final = ("session.status", _IDLE, _RESUBSCRIBED)


class Activity(QObject):
    """Follows the backend's events while there is a connection. For the Qt thread.

    A backend without events is no error: of its sessions only those of this window's are known.
    """

    changed = Signal(str, bool)
    """A session's id, and whether it is at work now. Also told when it was known."""

    unknown = Signal()
    """What was known is not any more."""

    missed = Signal()
    """Messages may have changed unseen."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        """Begin with what happens from now on."""
        super().__init__(parent)
        self._service = service
        self._stream: Delivery | None = None
        self._busy: set[str] = set()
        service.connected.connect(self._follow)
        if service.state is ConnectionState.CONNECTED:
            self._follow()

    def is_busy(self, session_id: str) -> bool:
        """Return whether a session is at work, as far as anybody has said."""
        return session_id in self._busy

    def close(self) -> None:
        """Hear of nothing any more. Does not wait."""
        self._service.connected.disconnect(self._follow)
        if self._stream is not None:
            self._stream.cancel()

    def _follow(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._forget()
        client = self._service.client
        try:
            self._stream = self._service.dispatcher.follow(
                lambda: client.events(types=_TYPES), self._take, self._ended, missed=self._missed
            )
        except RuntimeError as error:  # no thread to spare: one can do without
            logger.warning("what other programs do in the sessions is not shown: {}", error)

    def _take(self, events: Sequence[IpcEvent]) -> None:
        for each in events:
            if each.type == _RESUBSCRIBED:  # who still is at work is told again
                self._forget()
                self.missed.emit()
            elif each.type == _IDLE:
                self._note(each.session_id, busy=False)
            elif each.event.WhichOneof("event") == "session_status":
                status = each.event.session_status.status
                self._note(each.session_id, busy=status.WhichOneof("status") == "thinking")

    def _note(self, session_id: str, *, busy: bool) -> None:
        (self._busy.add if busy else self._busy.discard)(session_id)
        self.changed.emit(session_id, busy)

    def _missed(self, count: int) -> None:
        logger.debug("{} events about sessions at work are missing", count)
        self._forget()  # an end may be among them
        self.missed.emit()

    def _ended(self, error: BaseException | None) -> None:
        logger.debug("the events about sessions at work have ended: {}", error)
        self._forget()

    def _forget(self) -> None:
        self._busy.clear()
        self.unknown.emit()

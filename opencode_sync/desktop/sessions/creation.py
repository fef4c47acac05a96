"""Creating a session: one at a time, and whether it is still what the user wants to see."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.service import Service
from opencode_sync.types import OcSessionInfo

__all__ = ["SessionCreation"]


class SessionCreation(QObject):
    """From the wish for a session until it is there, which takes as long as the backend likes.

    Whoever has gone on meanwhile, to another session or away from the chat, is left there: the
    newer choice counts. Each ``begun`` is followed by either ``opened`` or ``dropped``.
    """

    begun = Signal()
    """A session is being created, and will be opened."""

    opened = Signal(object)
    """The ``OcSessionInfo`` of the session that is there now, for the user to go on with."""

    dropped = Signal()
    """None will be opened: the user has gone elsewhere, or it was not created."""

    kept_aside = Signal(object)
    """The ``OcSessionInfo`` of one that is there now, after the user had gone elsewhere."""

    failed = Signal(object)
    """The exception for which there is none."""

    def __init__(self, service: Service, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._call: Delivery | None = None
        self._is_wanted = False

    def begin(self) -> None:
        """Create one. Of one that is being created already this makes no second."""
        if self._is_wanted:
            return
        if self._call is None:
            self._call = self._service.create_session(None, self._done, self._failed)
        self._is_wanted = True
        self.begun.emit()

    def leave(self) -> None:
        """The user has gone elsewhere: the session stays, and is not opened."""
        if self._is_wanted:
            self._is_wanted = False
            self.dropped.emit()

    def forget(self) -> None:
        """Hear no more of it: its backend was left."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.leave()

    def _done(self, session: OcSessionInfo) -> None:
        self._call = None
        wanted, self._is_wanted = self._is_wanted, False
        (self.opened if wanted else self.kept_aside).emit(session)

    def _failed(self, error: BaseException) -> None:
        self._call = None
        self.leave()
        self.failed.emit(error)

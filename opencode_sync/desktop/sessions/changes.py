"""Renaming and deleting sessions."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from opencode_sync.desktop.service import Service
from opencode_sync.desktop.sessions.delete_question import DeleteQuestion
from opencode_sync.desktop.sessions.record import SessionRecord
from opencode_sync.errors import IpcConnectionError

__all__ = ["SessionChanges"]


class SessionChanges(QObject):
    """Does to a session what the user wants, now or not at all."""

    begun = Signal()
    """Something is tried."""

    renamed = Signal(object)
    """The ``OcSessionInfo`` of a session with its new title."""

    deleted = Signal(str)
    """The id of a session that is gone."""

    failed = Signal(object, str)
    """An exception, and what was not done, as the beginning of a sentence."""

    def __init__(self, service: Service, parent: QWidget) -> None:
        super().__init__(parent)
        self._service = service
        self._question = DeleteQuestion(parent, self.delete)

    def may_begin(self, otherwise: str) -> bool:
        """Return whether there is a connection, and if not, say what was not done.

        A call would wait for the connection, and be carried out when nobody thinks of it any more.
        """
        self.begun.emit()
        if self._service.client.is_connected:
            return True
        error = IpcConnectionError(self.tr("there is no connection to the backend now"))
        self.failed.emit(error, otherwise)
        return False

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        otherwise = self.tr("The session was not renamed")
        if self.may_begin(otherwise):
            self._service.update_session(
                session_id,
                title,
                self.renamed.emit,
                lambda error: self.failed.emit(error, otherwise),
            )

    def ask_and_delete(self, record: SessionRecord) -> None:
        """Delete a session once the user has agreed."""
        self._question.ask(record)

    def delete(self, record: SessionRecord) -> None:
        """Delete a session."""
        otherwise = self.tr("The session was not deleted")
        if self.may_begin(otherwise):
            self._service.delete_session(
                record.id,
                # False: it was gone already, which is what was wanted.
                lambda _: self.deleted.emit(record.id),
                lambda error: self.failed.emit(error, otherwise),
            )

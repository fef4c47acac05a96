"""What stands in the message box, and for which session it was written."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSettings

from opencode_sync.desktop.chat.composer import Composer
from opencode_sync.desktop.chat.drafts import Drafts

__all__ = ["NEW", "Written"]

NEW: Final = ""
"""Stands for a session that is not there yet."""


class Written:
    """Has each session's text wait for who comes back to it. For the Qt thread."""

    def __init__(self, composer: Composer, settings: QSettings) -> None:
        """Begin with what was saved, and none of it in the box.

        Args:
            composer: The message box.
            settings: Where ``save`` puts what was not sent.
        """
        self._composer = composer
        self._drafts = Drafts(settings)
        self._session_id: str | None = None

    @property
    def session_id(self) -> str | None:
        """For which session it is: its id, ``NEW``, or None for none."""
        return self._session_id

    def move_to(self, session_id: str | None) -> None:
        """Have the box show what was written for another session, and keep what it has."""
        self._keep()
        self._session_id = session_id
        text = "" if session_id is None else self._drafts.take(session_id)
        self._composer.show_draft(text)

    def bring_to(self, session_id: str) -> None:
        """The new session is there: what was written for it stays in the box.

        Untouched, for a word may be only half entered. A blank box shows what was written before.
        """
        self._session_id = session_id
        if not self._composer.text.strip():
            self._fill(self._drafts.take(session_id))

    def adopt(self, session_id: str) -> None:
        """Have what was kept of a new session wait in this one, unless that has something."""
        is_here = session_id == self._session_id
        if self._session_id == NEW or (is_here and self._composer.text.strip()):
            return
        text = self._drafts.take(NEW)
        if is_here:
            self._fill(text)
        else:
            self._drafts.keep(session_id, self._drafts.take(session_id) or text)

    def give_back(self, session_id: str, text: str) -> None:
        """Take a text that was sent and has reached nobody; what is newer stands after it."""
        if session_id == self._session_id:
            self._composer.put_in_front(text)
        else:
            self._drafts.put_in_front(session_id, text)

    def leave_behind(self, session_id: str) -> bool:
        """Have what was written for a session that is gone wait for the next new one.

        Not in the box of one that is being created: it would be sent there unseen.

        Args:
            session_id: Which is not shown any more.

        Returns:
            Whether there was something.
        """
        text = self._drafts.take(session_id)
        if text.strip():
            self._drafts.put_in_front(NEW, text)
        return bool(text.strip())

    def save(self) -> None:
        """Put all that was not sent into the settings. Does not write to the disk."""
        self._keep()
        self._drafts.save()

    def _keep(self) -> None:
        if self._session_id == NEW:
            # Where something may have come to lie meanwhile; see ``leave_behind``.
            self._drafts.put_in_front(NEW, self._composer.text)
        elif self._session_id is not None:
            self._drafts.keep(self._session_id, self._composer.text)

    def _fill(self, text: str) -> None:
        if text:
            self._composer.show_draft(text)

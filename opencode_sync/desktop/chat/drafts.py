"""What was written and not sent, by session: while the window lives, and for the next one."""

from __future__ import annotations

import json
from typing import Final

from PySide6.QtCore import QSettings

from opencode_sync.logger import logger
from opencode_sync.masking import mask

__all__ = ["Drafts"]

_KEY: Final = "chat/drafts"

_MOST: Final = 20
"""Drafts that are saved: those that were touched last."""

_LONGEST: Final = 20_000
"""Characters of a draft that is saved."""

_ROOM: Final = 60_000
"""Characters of all that are saved: looking through them for secrets must not be felt."""


class Drafts:
    """Texts by the id of their session. For the Qt thread."""

    def __init__(self, settings: QSettings) -> None:
        """Begin with what was saved.

        Args:
            settings: Where ``save`` puts them.
        """
        self._settings = settings
        self._texts = _read(settings.value(_KEY))  # the one touched last at the end

    def keep(self, session_id: str, text: str) -> None:
        """Remember a session's draft, unless it is blank."""
        self._texts.pop(session_id, None)
        if text.strip():
            self._texts[session_id] = text

    def take(self, session_id: str) -> str:
        """Return a session's draft, which is not kept any more; "" for none."""
        return self._texts.pop(session_id, "")

    def save(self) -> None:
        """Put them into the settings, as far as they are few and short.

        What looks as if a secret were in it is left out: the settings are for anybody's eyes who
        makes a copy of that file. Does not write to the disk; that is the settings' owner's.
        """
        saved: list[tuple[str, str]] = []
        room = _ROOM
        for session_id, text in reversed(self._texts.items()):
            if len(saved) < _MOST and len(text) <= min(_LONGEST, room) and mask(text) == text:
                saved.append((session_id, text))
                room -= len(text)
        if len(saved) < len(self._texts):
            logger.info("{} draft(s) were not saved", len(self._texts) - len(saved))
        if saved:
            self._settings.setValue(_KEY, json.dumps(saved[::-1]))
        else:
            self._settings.remove(_KEY)


def _read(saved: object) -> dict[str, str]:
    """Return what ``save`` has put there; nothing where somebody else has been at it."""
    try:
        pairs = json.loads(saved) if isinstance(saved, str) else []
        return {str(session_id): str(text) for session_id, text in pairs}
    except (ValueError, TypeError, RecursionError):
        return {}

"""Where drafts are saved: a key of the settings for each, which many windows may write to."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from PySide6.QtCore import QSettings

__all__ = ["DraftFile"]

_GROUP: Final = "chat/draft"

_ALL_IN_ONE: Final = "chat/drafts"
"""Where all of them were once: whichever window closed last wiped out the others'."""

_MOST: Final = 20
"""Drafts that stay: the newest."""


class DraftFile:
    """Saved texts by the id of their session. For the Qt thread."""

    def __init__(self, settings: QSettings) -> None:
        """Find what was saved, also by a version before.

        Args:
            settings: In which they are. When those reach the disk is their owner's to say.
        """
        self._settings = settings
        old = settings.value(_ALL_IN_ONE)
        if old is not None:
            for number, (session_id, text) in enumerate(_pairs(old)):
                if not self.read(session_id):
                    self.write(session_id, text, float(number))
            settings.remove(_ALL_IN_ONE)

    def refresh(self) -> None:
        """See what other programs have saved meanwhile."""
        self._settings.sync()

    def read(self, session_id: str) -> str:
        """Return a session's text; "" for none."""
        return _value(self._settings.value(_key(session_id)))[1]

    def write(self, session_id: str, text: str, when: float) -> None:
        """Save a session's text; "" for none.

        Args:
            session_id: Whose it is.
            text: What was written.
            when: Since when it is so, as of ``time.time``.
        """
        if text:
            self._settings.setValue(_key(session_id), json.dumps([when, text]))
        else:
            self._settings.remove(_key(session_id))

    def drop_oldest(self) -> None:
        """Drop what is more than anybody will come back to."""
        self._settings.beginGroup(_GROUP)
        keys = sorted(
            self._settings.childKeys(), key=lambda key: _value(self._settings.value(key))[0]
        )
        for key in keys[:-_MOST]:
            self._settings.remove(key)
        self._settings.endGroup()


def _key(session_id: str) -> str:
    """Return a session's key: its id may have anything in it, and keys may not."""
    digest = hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_GROUP}/{digest[:32]}"


def _value(saved: object) -> tuple[float, str]:
    """Return when a text was saved, and the text; nothing where somebody else has been at it."""
    try:
        when, text = json.loads(saved) if isinstance(saved, str) else (0.0, "")
        return float(when), str(text)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return 0.0, ""


def _pairs(saved: object) -> list[tuple[str, str]]:
    """Return what a version before has saved, likewise."""
    try:
        pairs = json.loads(saved) if isinstance(saved, str) else []
        return [(str(session_id), str(text)) for session_id, text in pairs]
    except (ValueError, TypeError, RecursionError):
        return []

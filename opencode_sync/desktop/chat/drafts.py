"""What was written and not sent, by session: while the window lives, and for the next one."""

from __future__ import annotations

import time
from typing import Final

from PySide6.QtCore import QSettings

from opencode_sync.desktop.chat.draft_file import DraftFile
from opencode_sync.logger import logger
from opencode_sync.masking import mask

__all__ = ["Drafts"]

_LONGEST: Final = 20_000
"""Characters of a draft that is saved."""

_ROOM: Final = 60_000
"""Characters of all that one window saves: looking for secrets in them must not be felt."""


class Drafts:
    """Texts by the id of their session. For the Qt thread.

    Other windows save theirs in the same place: nothing is written there but what has become
    different in this one.
    """

    def __init__(self, settings: QSettings) -> None:
        """Begin with what was saved.

        Args:
            settings: Where ``save`` puts them.
        """
        self._file = DraftFile(settings)
        self._texts: dict[str, str] = {}  # of this window, also blank; touched last at the end
        self._saved: dict[str, str] = {}  # what was saved of these when they were read

    def keep(self, session_id: str, text: str) -> None:
        """Remember a session's draft, unless it is blank."""
        self._saved.setdefault(session_id, "")
        self._texts.pop(session_id, None)
        self._texts[session_id] = text if text.strip() else ""

    def take(self, session_id: str) -> str:
        """Return a session's draft, which is not kept any more; "" for none."""
        text = self._texts.get(session_id, "")
        if not (text or self._saved.get(session_id)):  # another window may have saved one since
            text = self._saved[session_id] = self._file.read(session_id)
        self._texts[session_id] = ""
        return text

    def put_in_front(self, session_id: str, text: str) -> None:
        """Remember this as a session's draft, before the one that there is."""
        self.keep(session_id, _joined(text, self.take(session_id)))

    def save(self) -> None:
        """Put what is different now into the settings, as far as it is short.

        What looks as if a secret were in it is left out: the settings are for anybody's eyes who
        makes a copy of that file. Does not write it to the disk; that is the settings' owner's.
        """
        self._file.refresh()
        now, room, left_out = time.time(), _ROOM, 0
        for number, (session_id, text) in enumerate(reversed(self._texts.items())):
            if text == self._saved[session_id]:
                continue
            merged = _merged(self._saved[session_id], self._file.read(session_id), text)
            if len(merged) <= min(_LONGEST, room) and mask(merged) == merged:
                self._file.write(session_id, merged, now - number / 1000)  # in the order of use
                self._texts[session_id] = self._saved[session_id] = merged
                room -= len(merged)
            else:
                left_out += 1
        if left_out:
            logger.info("{} draft(s) were not saved", left_out)
        self._file.drop_oldest()


def _merged(before: str, theirs: str, ours: str) -> str:
    """Return a draft that may have changed here and in another window, with nothing lost."""
    if theirs in (before, ours):
        return ours
    if not ours:  # it was sent, and theirs was written since
        return theirs
    return _joined(theirs, ours)


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text.strip())

"""Whether another program has a session at work, and when to look what has come of it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.chat.activity import Activity

__all__ = ["Elsewhere"]

_GRACE_MS: Final = 700
"""Until it is said: the end of a run of ours may reach us before what OpenCode told in it."""

_AGAIN_MS: Final = 3_000
"""Between two looks at what it has done so far."""


class Elsewhere(QObject):
    """Tells the runs of other programs in one session from our own. For the Qt thread."""

    changed = Signal()
    """``active``."""

    read_wanted = Signal()
    """There may be more in the session than there was."""

    def __init__(self, activity: Activity, session_id: str, parent: QObject | None = None) -> None:
        """Begin with what is known of the session, and without a run of ours."""
        super().__init__(parent)
        self._session_id = session_id
        self.active = False
        """Whether another program is known to have it at work."""
        self._busy = False  # whoever it is
        self._ours = False
        self._had_others = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)
        activity.changed.connect(self._told)
        activity.unknown.connect(self.forget)
        activity.missed.connect(self.read_wanted)
        if activity.is_busy(session_id):
            self._told(session_id, True)

    def _told(self, session_id: str, busy: bool) -> None:
        if session_id != self._session_id:
            return
        self._busy = busy
        if not busy:
            had_others = self._had_others
            self.forget()
            if had_others:
                self.read_wanted.emit()
        elif not self._ours:
            self._had_others = True
            self._wait(_GRACE_MS)

    def run_began(self) -> None:
        """A run of ours has begun, which tells all there is to know."""
        self._ours = True
        self._timer.stop()
        self._set_active(False)

    def run_ended(self) -> None:
        """It has ended; what goes on from now on is others'."""
        self._ours = False
        if self._busy:
            self._wait(_GRACE_MS)

    def forget(self) -> None:
        """Know nothing any more."""
        self._busy = self._had_others = False
        self._timer.stop()
        self._set_active(False)

    def _wait(self, milliseconds: int) -> None:
        if not self._timer.isActive():
            self._timer.start(milliseconds)

    def _look(self) -> None:
        self._had_others = True
        self._set_active(True)
        self.read_wanted.emit()
        self._wait(_AGAIN_MS)

    def _set_active(self, active: bool) -> None:
        if active != self.active:
            self.active = active
            self.changed.emit()

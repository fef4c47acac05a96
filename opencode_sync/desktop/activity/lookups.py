"""Asking for whom a session works that asks something: its beginning may be long ago."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync.desktop.activity.events import is_refusal
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.logger import logger
from opencode_sync.types import OcSessionInfo

if TYPE_CHECKING:
    from opencode_sync.desktop.service import Service

__all__ = ["Lookups"]

_AT_ONCE: Final = 8
"""Of which some may hang without the others having to wait."""

_AGAIN_MS: Final = (2_000, 60_000)
"""Until what has failed is tried again: the first time, and where nothing ever comes of it."""


class Lookups(QObject):
    """Finds it out for some sessions at a time. For the Qt thread."""

    found = Signal(str, str)
    """A session's id, and that of the one for which it works: "" where there is none."""

    wanted = Signal()
    """There is room for more, or it is time to try again what has failed: see ``look_up``."""

    def __init__(self, service: Service, parent: QObject) -> None:
        """Ask nothing yet.

        Args:
            service: Whom to ask.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self._service = service
        self._calls: dict[str, Delivery] = {}
        self._failed: set[str] = set()  # until they are tried again
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS[0])
        self._again.timeout.connect(self._try_again)

    def look_up(self, session_ids: Iterable[str]) -> None:
        """Ask for as many of these as may be asked for now."""
        for each in session_ids:
            if len(self._calls) >= _AT_ONCE:
                return
            if each not in self._calls and each not in self._failed:
                self._calls[each] = self._service.get_session(
                    each, partial(self._answered, each), partial(self._not_answered, each)
                )

    def cancel(self) -> None:
        """Hear of nothing any more, and forget what has failed."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._failed.clear()
        self._again.stop()
        self._again.setInterval(_AGAIN_MS[0])

    def _answered(self, session_id: str, session: OcSessionInfo) -> None:
        self._calls.pop(session_id, None)
        self._again.setInterval(_AGAIN_MS[0])
        self.found.emit(session_id, session.parent_id)
        self.wanted.emit()

    def _not_answered(self, session_id: str, error: BaseException) -> None:
        logger.debug("whom session {} works for is not known: {}", session_id, error)
        self._calls.pop(session_id, None)
        if is_refusal(error):  # there is no such session any more
            self.found.emit(session_id, "")
        else:
            self._failed.add(session_id)
            if not self._again.isActive():
                self._again.start()
        self.wanted.emit()

    def _try_again(self) -> None:
        self._again.setInterval(min(2 * self._again.interval(), _AGAIN_MS[1]))
        self._failed.clear()
        self.wanted.emit()

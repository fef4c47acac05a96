"""In which sessions something goes on, by what the chat and the backend's events say."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from opencode_sync.messages import event_properties
from opencode_sync.types import IpcEvent

__all__ = ["EVENT_TYPES", "Activities", "Activity"]

_STATUS: Final = "session.status"
_IDLE: Final = "session.idle"
_ASKED: Final = frozenset({"permission.asked", "question.asked"})
_ANSWERED: Final = frozenset({"permission.replied", "question.replied", "question.rejected"})

EVENT_TYPES: Final = (_STATUS, _IDLE, *sorted(_ASKED | _ANSWERED))
"""The events that ``Activities.note`` understands."""

_KNOWN: Final = frozenset(EVENT_TYPES)


class Activity(Enum):
    """What goes on in a session."""

    RUNNING = auto()
    """An answer is being written, whoever has asked for it."""

    WAITING = auto()
    """A run waits for somebody to answer a question of its own."""


class Activities:
    """What goes on, session by session. For one thread."""

    def __init__(self) -> None:
        self._ours: set[str] = set()
        self._told: set[str] = set()
        self._asked: dict[str, str] = {}  # a question's id, and the session that waits for it
        self._parents: dict[str, str] = {}

    @property
    def all(self) -> dict[str, Activity]:
        """The sessions in which something goes on."""
        waiting = {self._root(each) for each in self._asked.values()}
        return {
            **dict.fromkeys(self._ours | self._told, Activity.RUNNING),
            **dict.fromkeys(waiting, Activity.WAITING),
        }

    def note_ours(self, session_id: str, running: bool) -> None:
        """A run of this window's has begun or ended."""
        if running:
            self._ours.add(session_id)
        else:
            self._ours.discard(session_id)
            self._end(session_id)

    def note_parent(self, session_id: str, parent_id: str) -> None:
        """A session works for another one, whose card says what it waits for."""
        if parent_id:
            self._parents[session_id] = parent_id

    def note(self, event: IpcEvent) -> None:
        """Take what an event says, if it is one of ``EVENT_TYPES``."""
        if event.type not in _KNOWN:  # of the many that come, most are not
            return
        said = event_properties(event)
        if event.type in _ASKED:
            self._asked[str(said.get("id", ""))] = event.session_id
        elif event.type in _ANSWERED:
            self._asked.pop(str(said.get("requestID", "")), None)
        elif event.type == _IDLE or _kind(said) == "idle":
            self._end(event.session_id)
        elif _kind(said):
            self._told.add(event.session_id)

    def forget_told(self) -> None:
        """Forget what events have said: some are missing, or there will be no more."""
        self._told.clear()
        self._asked.clear()

    def _end(self, session_id: str) -> None:
        self._told.discard(session_id)
        # Nobody waits for an answer any more, also where the event that says so was not sent.
        self._asked = {
            each: asker
            for each, asker in self._asked.items()
            if session_id not in (asker, self._root(asker))
        }

    def _root(self, session_id: str) -> str:
        seen = set()
        while session_id in self._parents and session_id not in seen:
            seen.add(session_id)
            session_id = self._parents[session_id]
        return session_id


def _kind(said: dict[str, object]) -> str:
    status = said.get("status")
    return str(status.get("type", "")) if isinstance(status, dict) else ""

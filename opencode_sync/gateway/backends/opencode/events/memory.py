"""What a hub remembers of the events that passed: enough to explain later ones, and to re-read."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from opencode_sync.gateway.backends.opencode.mapping.struct import clean

if TYPE_CHECKING:
    from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent

__all__ = ["EventMemory", "Recent", "SeenSession"]

_Value = TypeVar("_Value")

_MOST_PARTS = 10_000
_MOST_QUESTIONS = 10_000
_MOST_SESSIONS = 1000
_MOST_DIRECTORIES = 100

_TEXT_PARTS = ("text", "reasoning")
_ASKED = ("permission.asked", "question.asked")
_NO_PROJECT = ("", "global")
"""Events of the whole server; some of them name "global" as their folder."""


class Recent(Generic[_Value]):
    """The newest so many values by key. Any thread may call any method."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()  # guards _values
        self._values: OrderedDict[str, _Value] = OrderedDict()

    def put(self, key: str, value: _Value) -> None:
        """Keep a value, as the newest; the oldest may go for it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._most:
                self._values.popitem(last=False)

    def get(self, key: str) -> _Value | None:
        """Return a value, None if there is none."""
        with self._lock:
            return self._values.get(key)

    def drop(self, key: str) -> None:
        """Forget a value."""
        with self._lock:
            self._values.pop(key, None)

    def items(self) -> list[tuple[str, _Value]]:
        """Return all of them, the newest first."""
        with self._lock:
            return list(reversed(self._values.items()))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()


class SeenSession(NamedTuple):
    """What passed of a session."""

    directory: str
    busy: bool
    answer: str
    """The id of the model's newest message; "" when none was seen."""
    at: float
    """When something of it passed last, in ``time.monotonic()`` seconds."""
    told_at: float = 0.0
    """When it was told last whether it is busy, in the same."""


class EventMemory:
    """Notes events; bounded. Any thread may call any method; ``begin`` while nobody notes."""

    def __init__(self) -> None:
        self._noting = threading.Lock()  # guards what is read of _sessions until it is changed
        self._part_types: Recent[str] = Recent(_MOST_PARTS)
        self._finished: Recent[bool] = Recent(_MOST_PARTS)
        self._halves: Recent[str] = Recent(_MOST_PARTS)
        self._questions: Recent[str] = Recent(_MOST_QUESTIONS)
        self._sessions: Recent[SeenSession] = Recent(_MOST_SESSIONS)
        self._directories: Recent[bool] = Recent(_MOST_DIRECTORIES)

    def begin(self) -> None:
        """Forget what may have changed while nobody listened."""
        self._sessions.clear()
        self._finished.clear()
        self._halves.clear()

    def whole_characters(self, part_id: str, piece: str) -> str:
        """Return a piece of a part's text as whole characters.

        A model's tokens may end in the middle of an emoji, which in JSON is a pair of surrogates:
        its first half is kept back until the second comes.
        """
        half = self._halves.get(part_id) or ""
        if not half and piece.isascii():
            return piece
        text = half + piece
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves.put(part_id, text[-1])
            text = text[:-1]
        elif half:
            self._halves.drop(part_id)
        return clean(text)

    def note(self, event: OpenCodeEvent, *, since: float | None = None) -> None:
        """Take an event into account.

        Args:
            event: The event.
            since: Of a state that was read: when it was asked for, in ``time.monotonic()`` seconds.
                One that passed after that is newer.
        """
        properties = event.properties
        if event.directory not in _NO_PROJECT:
            self._directories.put(event.directory, True)
        if event.type in _ASKED:
            question_id = properties.get("id")
            if isinstance(question_id, str):
                self._questions.put(question_id, event.directory)
        elif event.type == "message.part.updated":
            self._note_part(properties.get("part"), replayed=event.replayed)
        if event.type == "session.deleted":
            self._sessions.drop(event.session_id)
        elif event.session_id:
            with self._noting:
                self._note_session(event, since)

    def _note_part(self, part: object, *, replayed: bool) -> None:
        if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS:
            return
        part_id = part.get("id")
        if not isinstance(part_id, str):
            return
        self._part_types.put(part_id, part["type"])
        if replayed and _end_of(part):
            # Its deltas may still be on their way, from before it was read again.
            self._finished.put(part_id, True)

    def _note_session(self, event: OpenCodeEvent, since: float | None) -> None:
        seen = self._sessions.get(event.session_id) or SeenSession(event.directory, False, "", 0.0)
        now = time.monotonic()
        if not event.replayed:
            seen = seen._replace(at=now)
        if event.directory:
            seen = seen._replace(directory=event.directory)
        if event.type in ("session.idle", "session.status"):
            if since is None:
                seen = seen._replace(busy=_is_busy(event), told_at=now)
            elif seen.told_at < since:
                seen = seen._replace(busy=_is_busy(event))
        elif event.type == "message.updated":
            seen = seen._replace(answer=_answer_in(event.properties) or seen.answer)
        self._sessions.put(event.session_id, seen)

    # What is remembered...

    def part_type(self, part_id: str) -> str:
        """Return ``"text"`` or ``"reasoning"``; "" when it is not known."""
        return self._part_types.get(part_id) or ""

    def is_finished(self, part_id: str) -> bool:
        """Return whether a part was read again when it was whole."""
        return self._finished.get(part_id) is not None

    def answer_of(self, session_id: str) -> str:
        """Return the id of the model's newest message in a session, "" when it is not known."""
        seen = self._sessions.get(session_id)
        return seen.answer if seen is not None else ""

    def directory_of_question(self, question_id: str) -> str | None:
        """Return where a question or a permission question was asked, None if not known."""
        return self._questions.get(question_id)

    def directories(self) -> list[str]:
        """Return the project folders that events came from, the newest first."""
        return [directory for directory, _ in self._directories.items()]

    def sessions(self) -> list[tuple[str, SeenSession]]:
        """Return the sessions that events came from, the newest first."""
        return self._sessions.items()


def _is_busy(event: OpenCodeEvent) -> bool:
    status = event.properties.get("status")
    return isinstance(status, dict) and status.get("type") in ("busy", "retry")


def _end_of(part: Mapping[str, Any]) -> object:
    time_of = part.get("time")
    return time_of.get("end") if isinstance(time_of, dict) else None


def _answer_in(properties: Mapping[str, Any]) -> str:
    info = properties.get("info")
    if not isinstance(info, dict) or info.get("role") != "assistant":
        return ""
    message_id = info.get("id")
    return message_id if isinstance(message_id, str) else ""

"""What is so when somebody begins to listen: who is at work, and which questions wait.

OpenCode goes on listing questions whose run was aborted, and even takes an answer to them. So a
question counts only while its session is at work and the call that asks has not ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode.events.hub import EventHub
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.events.readings import (
    MISSING,
    STATUS,
    Finding,
    Readings,
    listed_in,
    questions,
    states,
    status_of,
)
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, quote_id

__all__ = ["News", "known_folders", "read_current"]

_KINDS = (STATUS, "permission.asked", "question.asked")
"""The types of the events that tell it."""

_FOLDER_TIMEOUT = 4.0
"""Seconds for one of them."""

_MOST_FOLDERS = 32
_MOST_EVENTS = 1000
_MOST_CHECKS = 100
"""Questions whose tool call is looked at; more are told unseen."""

_LATELY_MS = 24 * 60 * 60 * 1000
"""Since when a session of another folder must have changed for that folder to be asked: OpenCode
loads each folder that it is asked about, with its plugins."""

_SESSIONS = "100"
"""How many of these sessions are looked at."""

_ENDED = ("completed", "error")


def read_current(
    http: OpenCodeHttp,
    hub: EventHub,
    folders: Callable[[Readings], Iterable[str]],
    *,
    types: EventTypes,
    sessions: Container[str] | None,
    deadline: Deadline,
    stopped: Callable[[], bool],
    failed: Callable[[str], object],
) -> Iterator[OpenCodeEvent]:
    """Give events for what is so now in some folders, each state and question once.

    What cannot be read is left out.

    Args:
        http: The server.
        hub: Its events; somebody has to be subscribed to them already.
        folders: Says which, given a way to ask.
        types: What is not wanted is not asked for, where that can be told apart.
        sessions: Those that are wanted; None for all.
        deadline: For all of it.
        stopped: Whether to give up.
        failed: Told why something is left out.
    """
    if not any(kind in types for kind in _KINDS):
        return
    readings = Readings(http, deadline, stopped=stopped, failed=lambda error: failed(error.message))
    look = _Look(readings, types, sessions)
    told: set[tuple[str, str]] = set()
    for number, folder in enumerate(folders(readings)):
        if number == _MOST_FOLDERS:
            failed(f"there are more than {_MOST_FOLDERS} project folders")
            return
        since = time.monotonic()
        for finding in look.into(folder):
            # OpenCode may list a question twice, and a session with two names of one folder.
            told_by = _text(finding, "sessionID" if finding.type == STATUS else "id")
            if (finding.type, told_by) in told:
                continue
            if len(told) == _MOST_EVENTS:
                failed(f"there are more than {_MOST_EVENTS} sessions at work and questions")
                return
            told.add((finding.type, told_by))
            yield hub.standing(finding, since=since)
    if readings.over:
        failed("it took too long, or too much happened meanwhile")


def known_folders(readings: Readings, hub: EventHub) -> Iterator[str]:
    """Give the folders where something may be going on: no server says which it has loaded.

    They are the server's own, those that events came from, and those of the sessions that changed
    within a day.
    """
    seen: set[str] = set()
    for folder in _candidates(readings, hub):
        if isinstance(folder, str) and folder and folder not in seen:
            seen.add(folder)
            yield folder


def _candidates(readings: Readings, hub: EventHub) -> Iterator[object]:
    path = readings.get("/path", "")
    yield path.get("directory") if isinstance(path, dict) else None
    yield from hub.directories()
    # Of all projects, the newest first; a route of OpenCode 1.18 that may go.
    start = str(int(time.time() * 1000) - _LATELY_MS)
    for session in readings.objects(
        "/experimental/session", "", start=start, limit=_SESSIONS, archived="true"
    ):
        yield session.get("directory")


class _Look:
    """Looks into folders. For one thread."""

    def __init__(
        self, readings: Readings, types: EventTypes, sessions: Container[str] | None
    ) -> None:
        self._readings = readings
        self._with_questions = any(kind in types for kind in _KINDS if kind != STATUS)
        self._sessions = sessions
        self._checks = _MOST_CHECKS

    def into(self, folder: str) -> Iterator[Finding]:
        """Give the sessions of a folder that are at work, then the questions that wait."""
        deadline = Deadline.after(_FOLDER_TIMEOUT)
        asked: list[Finding] = []
        if self._with_questions:
            # Before the sessions: a run that ends in between takes its questions along, and what
            # begins in between is heard of.
            asked += questions(self._readings, folder, deadline=deadline)
        at_work = {
            session_id: status
            for session_id, status in (
                states(self._readings, folder, deadline=deadline) or {}
            ).items()
            if (self._sessions is None or session_id in self._sessions) and not _is_idle(status)
        }
        for session_id, status in at_work.items():
            yield status_of(session_id, status, folder)
        for each in asked:
            if _text(each, "sessionID") in at_work and self._waits(each, deadline):
                yield each

    def _waits(self, asked: Finding, deadline: Deadline) -> bool:
        """Return whether a question waits for its answer, or it is not known that it does not."""
        tool = asked.properties.get("tool")
        ids = tool if isinstance(tool, dict) else {}
        message_id = ids.get("messageID")
        if not isinstance(message_id, str) or not self._checks:
            return True
        self._checks -= 1
        session_id = _text(asked, "sessionID")
        path = f"/session/{quote_id(session_id)}/message/{quote_id(message_id)}"
        message = self._readings.get(path, asked.directory, deadline=deadline)
        if message is MISSING:
            return False
        parts = message.get("parts") if isinstance(message, dict) else None
        for part in listed_in(parts):
            if isinstance(part, dict) and part.get("callID") == ids.get("callID"):
                state = part.get("state")
                return not (isinstance(state, dict) and state.get("status") in _ENDED)
        return True


class News:
    """What the events say while it is read what is so: that is newer. For one thread at a time."""

    def __init__(self) -> None:
        """Begin without any."""
        self._at_work: dict[str, bool] = {}
        self._known: set[str] = set()

    def hear(self, event: OpenCodeEvent) -> None:
        """Learn from an event, in their order."""
        if event.type == STATUS:
            self._at_work[event.session_id] = not _is_idle(event.properties.get("status"))
        elif event.type in ("session.idle", "session.deleted"):
            self._at_work[event.session_id] = False
        elif event.type in _KINDS:
            self._known.add(_text(event, "id"))
        elif event.type in ("permission.replied", "question.replied", "question.rejected"):
            self._known.add(_text(event, "requestID"))

    def left_of(self, read: Iterable[OpenCodeEvent]) -> Iterator[OpenCodeEvent]:
        """Give what was read but for what was heard, which is told after this."""
        heard_at_work: dict[str, OpenCodeEvent] = {}
        for event in read:
            session_id = event.session_id
            if event.type == STATUS:
                if session_id not in self._at_work:
                    yield event
                elif self._at_work[session_id]:
                    heard_at_work[session_id] = event
            elif self._at_work.get(session_id, True) and _text(event, "id") not in self._known:
                # Nobody shall hear of a question before the work that it holds up.
                if session_id in heard_at_work:
                    yield heard_at_work.pop(session_id)
                yield event


def _is_idle(status: object) -> bool:
    return isinstance(status, dict) and status.get("type") == "idle"


def _text(told: Finding | OpenCodeEvent, key: str) -> str:
    """Return a property if it is text, else ""; any other could be no key of ours."""
    value = told.properties.get(key)
    return value if isinstance(value, str) else ""

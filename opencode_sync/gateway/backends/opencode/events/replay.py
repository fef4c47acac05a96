"""Reading again what a hub may have missed: OpenCode replays nothing, but most can be asked for.

What was asked and answered meanwhile, and text that came and went, stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, RefusedError, quote_id
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["MissedEvent", "read_again"]

MISSING, UNREADABLE = object(), object()

_CALL_TIMEOUT = 5.0
_MARGIN_MS = 5_000
"""The server's clock is not ours."""

_LATELY = 300.0
"""Seconds since the last live event of a session whose messages are read again."""

_MOST_SESSIONS = 32
_MOST_DIRECTORIES = 32
_MESSAGES = (50, 12, 3, 1)
"""How many of a session's newest; a run makes one for each step. The fewer are for OpenCode 1.18,
which cannot list prompts that asked for a JSON schema, but can list what is newer."""


class MissedEvent(NamedTuple):
    """Something that is so by now, in the shape of the event that would have told it."""

    type: str
    properties: dict[str, Any]
    directory: str


def read_again(
    http: OpenCodeHttp,
    memory: EventMemory,
    *,
    lost_at: float,
    deadline: Deadline,
    stopped: Callable[[], bool],
) -> Iterator[MissedEvent]:
    """Give events for what changed since a loss: sessions, messages, questions, then who works.

    What cannot be read is logged and left out.

    Args:
        http: The server.
        memory: What passed before the loss.
        lost_at: When something of the stream came last, in Unix seconds.
        deadline: For all of it.
        stopped: Whether to give up.
    """
    reader = _Reader(http, deadline, stopped)
    directories = memory.directories()[:_MOST_DIRECTORIES]
    # Who works is asked first and told last: a session that is said to be idle has its last words
    # in the messages that were read after that.
    states = {each: reader.get("/session/status", each) for each in directories}
    since = int(lost_at * 1000) - _MARGIN_MS
    changed: dict[str, str] = {}
    for directory in directories:
        for info in reader.objects("/session", directory, start=str(since), limit="-1"):
            session_id = info.get("id")
            if isinstance(session_id, str) and session_id not in changed:
                changed[session_id] = directory
                yield MissedEvent(
                    "session.updated", {"sessionID": session_id, "info": info}, directory
                )
    for session_id, directory in _sessions_to_read(memory, changed):
        yield from _messages(reader, session_id, directory)
    for directory in directories:
        for path, kind in (("/permission", "permission.asked"), ("/question", "question.asked")):
            for asked in reader.objects(path, directory):
                yield MissedEvent(kind, asked, directory)
    for directory, state in states.items():
        if isinstance(state, dict):
            yield from _states(memory, directory, state)


class _Reader:
    """Reads what can be read, until the deadline."""

    def __init__(self, http: OpenCodeHttp, deadline: Deadline, stopped: Callable[[], bool]) -> None:
        self._http = http
        self._deadline = deadline
        self._stopped = stopped
        self._gone = False

    def get(self, path: str, directory: str, **query: str) -> Any:
        """Return an answer: None if there is none; MISSING for 404, UNREADABLE for 400."""
        if self._gone or self._stopped() or self._deadline.passed():
            return None
        try:
            return self._http.call(
                "GET",
                path,
                query={"directory": directory, **query},
                deadline=self._deadline.earlier(Deadline.after(_CALL_TIMEOUT)),
            )
        except BackendError as error:
            if isinstance(error, RefusedError) and error.refusal.is_not_found:
                return MISSING
            if isinstance(error, RefusedError) and error.refusal.status == 400:
                return UNREADABLE
            # Without a server there is no use in asking it for the rest.
            self._gone = error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER
            logger.warning("What events may have been missed is not known: {}", error.message)
            return None

    def objects(self, path: str, directory: str, **query: str) -> list[dict[str, Any]]:
        """Return the objects that a list holds."""
        listed = self.get(path, directory, **query)
        return [each for each in _listed(listed) if isinstance(each, dict)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sessions_to_read(memory: EventMemory, changed: dict[str, str]) -> list[tuple[str, str]]:
    now = time.monotonic()
    lately = {
        session_id: seen.directory
        for session_id, seen in memory.sessions()
        if seen.directory and (seen.busy or now - seen.at < _LATELY)
    }
    return list({**lately, **changed}.items())[:_MOST_SESSIONS]


def _messages(reader: _Reader, session_id: str, directory: str) -> Iterator[MissedEvent]:
    path = f"/session/{quote_id(session_id)}/message"
    messages = None
    for limit in _MESSAGES:
        messages = reader.get(path, directory, limit=str(limit))
        if messages is not UNREADABLE:
            break
    if messages is MISSING:
        yield MissedEvent("session.deleted", {"sessionID": session_id}, directory)
        return
    now = int(time.time() * 1000)
    for message in _listed(messages):
        info = message.get("info") if isinstance(message, dict) else None
        if not isinstance(info, dict):
            continue
        yield MissedEvent("message.updated", {"sessionID": session_id, "info": info}, directory)
        for part in _listed(message.get("parts")):
            if isinstance(part, dict):
                yield MissedEvent(
                    "message.part.updated",
                    {"sessionID": session_id, "part": part, "time": now},
                    directory,
                )


def _states(memory: EventMemory, directory: str, states: dict[str, Any]) -> Iterator[MissedEvent]:
    for session_id, status in states.items():
        yield MissedEvent("session.status", {"sessionID": session_id, "status": status}, directory)
    for session_id, seen in memory.sessions():
        if seen.busy and seen.directory == directory and session_id not in states:
            idle = {"sessionID": session_id, "status": {"type": "idle"}}
            yield MissedEvent("session.status", idle, directory)
            yield MissedEvent("session.idle", {"sessionID": session_id}, directory)

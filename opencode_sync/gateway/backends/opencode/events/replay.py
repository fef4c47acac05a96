"""Reading again what a hub may have missed: OpenCode replays nothing, but most can be asked for.

What was asked and answered meanwhile, and text that came and went, stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.readings import (
    MISSING,
    UNREADABLE,
    Finding,
    Readings,
    listed_in,
    questions,
    states,
    status_of,
)
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, quote_id
from opencode_sync.logger import logger

__all__ = ["read_again"]

_MARGIN_MS = 5_000
"""The server's clock is not ours."""

_LATELY = 300.0
"""Seconds since the last live event of a session whose messages are read again."""

_MOST_SESSIONS = 32
_MOST_DIRECTORIES = 32
_MESSAGES = (50, 12, 3, 1)
"""How many of a session's newest; a run makes one for each step. The fewer are for OpenCode 1.18,
which cannot list prompts that asked for a JSON schema, but can list what is newer."""


def read_again(
    http: OpenCodeHttp,
    memory: EventMemory,
    *,
    lost_at: float,
    deadline: Deadline,
    stopped: Callable[[], bool],
) -> Iterator[Finding]:
    """Give events for what changed since a loss: sessions, messages, questions, then who works.

    What cannot be read is logged and left out.

    Args:
        http: The server.
        memory: What passed before the loss.
        lost_at: When something of the stream came last, in Unix seconds.
        deadline: For all of it.
        stopped: Whether to give up.
    """
    reader = Readings(http, deadline, stopped=stopped, failed=_log)
    directories = memory.directories()[:_MOST_DIRECTORIES]
    # Who works is asked first and told last: a session that is said to be idle has its last words
    # in the messages that were read after that.
    working = {each: states(reader, each) for each in directories}
    since = int(lost_at * 1000) - _MARGIN_MS
    changed: dict[str, str] = {}
    for directory in directories:
        for info in reader.objects("/session", directory, start=str(since), limit="-1"):
            session_id = info.get("id")
            if isinstance(session_id, str) and session_id not in changed:
                changed[session_id] = directory
                yield Finding("session.updated", {"sessionID": session_id, "info": info}, directory)
    for session_id, directory in _sessions_to_read(memory, changed):
        yield from _messages(reader, session_id, directory)
    for directory in directories:
        state = working[directory]
        for asked in questions(reader, directory):
            # Of those that nobody waits for any more OpenCode keeps some. What has begun to ask
            # since then is told by itself.
            session_id = asked.properties.get("sessionID")
            if state is None or (isinstance(session_id, str) and session_id in state):
                yield asked
    for directory, state in working.items():
        if state is not None:
            yield from _states(memory, directory, state)


def _log(error: BackendError) -> None:
    logger.warning("What events may have been missed is not known: {}", error.message)


def _sessions_to_read(memory: EventMemory, changed: dict[str, str]) -> list[tuple[str, str]]:
    now = time.monotonic()
    lately = {
        session_id: seen.directory
        for session_id, seen in memory.sessions()
        if seen.directory and (seen.busy or now - seen.at < _LATELY)
    }
    return list({**lately, **changed}.items())[:_MOST_SESSIONS]


def _messages(reader: Readings, session_id: str, directory: str) -> Iterator[Finding]:
    path = f"/session/{quote_id(session_id)}/message"
    messages = None
    for limit in _MESSAGES:
        messages = reader.get(path, directory, limit=str(limit))
        if messages is not UNREADABLE:
            break
    if messages is MISSING:
        yield Finding("session.deleted", {"sessionID": session_id}, directory)
        return
    now = int(time.time() * 1000)
    for message in listed_in(messages):
        info = message.get("info") if isinstance(message, dict) else None
        if not isinstance(info, dict):
            continue
        yield Finding("message.updated", {"sessionID": session_id, "info": info}, directory)
        for part in listed_in(message.get("parts")):
            if isinstance(part, dict):
                yield Finding(
                    "message.part.updated",
                    {"sessionID": session_id, "part": part, "time": now},
                    directory,
                )


def _states(memory: EventMemory, directory: str, working: dict[str, Any]) -> Iterator[Finding]:
    for session_id, status in working.items():
        yield status_of(session_id, status, directory)
    for session_id, seen in memory.sessions():
        if seen.busy and seen.directory == directory and session_id not in working:
            yield status_of(session_id, {"type": "idle"}, directory)
            yield Finding("session.idle", {"sessionID": session_id}, directory)

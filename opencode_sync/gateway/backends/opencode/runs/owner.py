"""Which events of a session are one run's: those of its messages.

Other programs may prompt the same session. Each message of the model's names the user message that
it answers. A user message is ours if we sent it, or if OpenCode wrote it itself in the middle of
our run (when it compacts the session), which its first part tells. Until that is known, the events
of a message are kept. OpenCode may lose the first events of a subscription, so a message of which
nothing is known has to be looked up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.runs.answers import is_by_opencode
from opencode_sync.logger import logger

__all__ = ["Owner"]

_MOST_KEPT = 10_000
"""Events of messages that are not placed yet. There are a handful, unless OpenCode is odd."""


class Owner:
    """Tells the events of one run in a session from the others. One thread at a time."""

    def __init__(self, message_id: str) -> None:
        """Begin with the id of our own prompt's message."""
        self._message_id = message_id
        self._ours = {message_id: True}
        self._kept: dict[str, list[OpenCodeEvent]] = {}
        self._count = 0
        self._mine = False  # whether the user message that came last is ours
        self._sought: set[str] = set()
        self.unknown: deque[str] = deque()
        """Messages that have to be looked up, each once."""

    def released_by(self, event: OpenCodeEvent) -> Iterable[OpenCodeEvent]:
        """Return the run's events that can go on now: as a rule this one, or none."""
        message_id = _message_of(event)
        if message_id is None:
            return (event,)  # of the session as a whole
        ours = self._ours.get(message_id)
        if ours is None:
            return self._place(event, message_id)
        if ours and event.type == "message.updated" and _info(event).get("role") == "user":
            self._mine = True
        return (event,) if ours else ()

    def _place(self, event: OpenCodeEvent, message_id: str) -> Iterable[OpenCodeEvent]:
        verdict = self._verdict(event, message_id)
        if verdict is None:
            self._seek(event, message_id)
            if self._count < _MOST_KEPT:
                self._kept.setdefault(message_id, []).append(event)
                self._count += 1
            else:
                logger.debug("An event {} of no known message is dropped", event.type)
            return ()
        released = [*self._release(message_id, ours=verdict), *([event] if verdict else [])]
        # The answers to it may have come first, when events were read again.
        for other, events in list(self._kept.items()):
            if any(_info(each).get("parentID") == message_id for each in events):
                released += self._release(other, ours=verdict)
        return released

    def _release(self, message_id: str, *, ours: bool) -> list[OpenCodeEvent]:
        self._ours[message_id] = ours
        kept = self._kept.pop(message_id, [])
        self._count -= len(kept)
        return kept if ours else []

    def _verdict(self, event: OpenCodeEvent, message_id: str) -> bool | None:
        """Return whether a message is ours that was not placed yet, None if that is not known."""
        if event.type == "message.updated":
            info = _info(event)
            if info.get("role") == "assistant":
                parent = str(info.get("parentID"))
                self._mine = self._mine or parent == self._message_id
                return self._ours.get(parent)
            return None  # its first part will tell
        if event.type == "message.part.updated" and self._is_users(message_id):
            part = event.properties.get("part")
            self._mine = self._mine and is_by_opencode(part)
            return self._mine
        return None

    def _seek(self, event: OpenCodeEvent, message_id: str) -> None:
        """Have a message looked up of which something came, but not what it is."""
        info = _info(event)
        if info.get("role") == "assistant":
            message_id = str(info.get("parentID"))
        elif info:
            return  # a user's; its parts follow
        if message_id not in self._kept and message_id not in self._sought:
            self._sought.add(message_id)
            self.unknown.append(message_id)

    def _is_users(self, message_id: str) -> bool:
        return any(_info(each).get("role") == "user" for each in self._kept.get(message_id, ()))


def _info(event: OpenCodeEvent) -> Mapping[str, Any]:
    info = event.properties.get("info")
    return info if isinstance(info, dict) and event.type == "message.updated" else {}


_HOLDERS = {
    "message.updated": ("info", "id"),
    "message.part.updated": ("part", "messageID"),
    "permission.asked": ("tool", "messageID"),
    "question.asked": ("tool", "messageID"),
}


def _message_of(event: OpenCodeEvent) -> str | None:
    """Return the message that an event is about, None if it is about none."""
    if not event.type.startswith("message.") and event.type not in _HOLDERS:
        return None  # command.executed names the message, too, and is the session's
    holder, key = _HOLDERS.get(event.type, ("", "messageID"))
    source = event.properties.get(holder) if holder else event.properties
    identifier = source.get(key) if isinstance(source, Mapping) else None
    return identifier if isinstance(identifier, str) else None

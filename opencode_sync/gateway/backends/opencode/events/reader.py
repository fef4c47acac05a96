"""Events as OpenCode sends them, and as the schema's ``IpcEvent``."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from opencode_sync.gateway.backends.opencode.errors import one_line
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.tables import Context, fill_event
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.logger import logger
from opencode_sync.wire import ext_event_pb2

__all__ = [
    "CONNECTED",
    "HEARTBEAT",
    "RESUBSCRIBED",
    "EventReader",
    "OddLog",
    "OpenCodeEvent",
    "resubscribed_event",
]

RESUBSCRIBED = "gateway.resubscribed"
"""The type of the one event that is the gateway's own."""

CONNECTED, HEARTBEAT = "server.connected", "server.heartbeat"
"""What the stream itself is about; no subscriber gets these."""

_SYNC = "sync"
"""A second copy of an event, for another purpose."""

_DELTA, _STATUS = "message.part.delta", "session.status"
_MOST_ODDITIES = 1000


class OddLog:
    """What events held that could not be carried: counted, and logged when it is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards counts
        self.counts = Oddities()

    def note(self, odd: Oddities) -> None:
        """Add what one event held."""
        with self._lock:
            fresh = [path for path, count in odd.items() if count and path not in self.counts]
            fresh = fresh[: max(0, _MOST_ODDITIES - len(self.counts))]
            for path, count in odd.items():
                if path in self.counts or path in fresh:
                    self.counts[path] += count
        if fresh:
            logger.debug("OpenCode's events hold what the schema cannot carry: {}", fresh)


class OpenCodeEvent:
    """One event as OpenCode sent it. Immutable, and shared by all subscribers.

    Attributes:
        type: OpenCode's name of it.
        properties: Its JSON object, without providers' keys. Do not change it.
        directory: The project folder; "" for events of the whole server.
        session_id: "" for events of no session.
        id: OpenCode's own id of the event; "" where it gave none.
        replayed: Whether it was read and not heard: at the beginning of a subscription, or again
            after a loss of the hub's own.
    """

    __slots__ = (
        "_context",
        "_message",
        "_odd_log",
        "directory",
        "id",
        "properties",
        "replayed",
        "session_id",
        "type",
    )

    def __init__(
        self,
        type: str,
        properties: Mapping[str, Any],
        *,
        directory: str = "",
        id: str = "",
        replayed: bool = False,
        context: Context = Context(),  # noqa: B008 - it is immutable
        odd_log: OddLog | None = None,
    ) -> None:
        """Make one; the session's id is found in the properties."""
        self.type = type
        self.properties = properties
        self.directory = directory
        self.session_id = _session_of(type, properties)
        self.id = id
        self.replayed = replayed
        self._context = context
        self._odd_log = odd_log
        self._message: ext_event_pb2.IpcEvent | None = None

    def __repr__(self) -> str:
        return f"<OpenCodeEvent {one_line(self.type, 60)} of {one_line(self.session_id, 40)!r}>"

    @property
    def message(self) -> ext_event_pb2.IpcEvent:
        """The event for clients, mapped when it is first asked for. Do not change it."""
        # Two threads that ask at the same time may both map it, to the same result.
        if self._message is None:
            self._message = self._map()
        return self._message

    def _map(self) -> ext_event_pb2.IpcEvent:
        odd = Oddities()
        message = ext_event_pb2.IpcEvent(
            type=clean(self.type),
            directory=clean(self.directory),
            session_id=clean(self.session_id),
            id=clean(self.id),
            replayed=self.replayed,
        )
        fill_event(message, self.properties, self._context, odd)
        if self.type == _DELTA and self.properties.get("field", "text") != "text":
            message.ClearField("delta")  # of something that is no text: a kind yet to come
            odd[f"{_DELTA}.field"] += 1
        if not message.HasField("delta"):
            message.properties_json = _as_json(self.properties, odd, self.type)
        if odd and self._odd_log is not None:
            self._odd_log.note(odd)
        return message


def resubscribed_event() -> ext_event_pb2.IpcEvent:
    """Return what clients get when the subscription to OpenCode was lost and is back."""
    return ext_event_pb2.IpcEvent(type=RESUBSCRIBED, properties_json="{}")


class EventReader:
    """Makes events of what OpenCode sends. For one thread, but ``standing`` is for any."""

    def __init__(self, memory: EventMemory, odd_log: OddLog) -> None:
        """Make one.

        Args:
            memory: Gets to know each event.
            odd_log: Gets a count for everything that could not be carried.
        """
        self._memory = memory
        self._odd_log = odd_log

    def read(self, frame: str) -> tuple[str, dict[str, Any], str, str] | None:
        """Return type, properties, directory and id of an event, None if this is none.

        Args:
            frame: The data of a server-sent event of ``/global/event``.
        """
        try:
            document = json.loads(frame, parse_constant=str)
        except (ValueError, RecursionError):
            self._odd("frame: not JSON")
            return None
        payload = document.get("payload") if isinstance(document, dict) else None
        kind = payload.get("type") if isinstance(payload, dict) else None
        if not isinstance(payload, dict) or not isinstance(kind, str) or not kind:
            self._odd("frame: no event")
            return None
        if kind == _SYNC:
            return None
        properties = payload.get("properties", {})
        if not isinstance(properties, dict):
            self._odd(f"{one_line(kind, 60)}: properties")
            properties = {}
        return kind, properties, _text(document.get("directory")), _text(payload.get("id"))

    def event(
        self,
        kind: str,
        properties: dict[str, Any],
        directory: str,
        id: str = "",
        *,
        replayed: bool = False,
    ) -> OpenCodeEvent | None:
        """Return the event, None if it is old news: a delta of a part that was read whole.

        Args:
            kind: Its type.
            properties: Its own; not to be changed from now on.
            directory: The project folder.
            id: The event's id.
            replayed: Whether it was read again.
        """
        part_id = properties.get("partID")
        part_type = message_id = ""
        if kind == _DELTA and isinstance(part_id, str):
            if self._memory.is_finished(part_id):
                return None
            piece = properties.get("delta")
            if isinstance(piece, str):
                whole = self._memory.whole_characters(part_id, piece)
                if whole != piece:
                    properties = {**properties, "delta": whole}
            part_type = self._memory.part_type(part_id)
        elif kind == _STATUS:
            message_id = self._memory.answer_of(_session_of(kind, properties))
        event = OpenCodeEvent(
            kind,
            properties,
            directory=directory,
            id=id,
            replayed=replayed,
            context=Context(part_type, message_id, received=int(time.time() * 1000)),
            odd_log=self._odd_log,
        )
        self._memory.note(event)
        return event

    def standing(
        self, kind: str, properties: dict[str, Any], directory: str, *, since: float
    ) -> OpenCodeEvent:
        """Return an event of what was read, and is so for longer than somebody listens.

        Args:
            kind: Its type: a session's status, or a question.
            properties: Its own; not to be changed from now on.
            directory: The project folder.
            since: When it was asked for, in ``time.monotonic()`` seconds.
        """
        message_id = ""
        if kind == _STATUS:
            message_id = self._memory.answer_of(_session_of(kind, properties))
        context = Context(message_id=message_id, received=int(time.time() * 1000))
        event = OpenCodeEvent(
            kind,
            properties,
            directory=directory,
            replayed=True,
            context=context,
            odd_log=self._odd_log,
        )
        self._memory.note(event, since=since)
        return event

    def _odd(self, what: str) -> None:
        self._odd_log.note(Oddities([what]))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _session_of(kind: str, properties: Mapping[str, Any]) -> str:
    """Return the id of the session that an event is about."""
    info, part = properties.get("info"), properties.get("part")
    candidates = [properties.get("sessionID")]
    if isinstance(info, dict):
        candidates += [
            info.get("sessionID"),
            info.get("id") if kind.startswith("session.") else None,
        ]
    if isinstance(part, dict):
        candidates.append(part.get("sessionID"))
    return next((each for each in candidates if isinstance(each, str) and each), "")


def _as_json(properties: Mapping[str, Any], odd: Oddities, path: str) -> str:
    try:
        return clean(json.dumps(properties, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        odd[f"{path}: too deep"] += 1
        return "{}"

"""The events of one run, picked from all that OpenCode publishes while it goes on.

Whose an event is: those of the prompt's session belong to the run if they are about the session as
a whole, or about a message of the run; those of sessions that the run started for subagents belong
to it all. Text goes out as it comes. If events were lost, what is missing of a text is sent when
OpenCode shows the whole of it, and what follows the gap is held back until then, so that the pieces
always make up the text.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent, resubscribed_event
from opencode_sync.gateway.backends.opencode.mapping.message_errors import error_object
from opencode_sync.gateway.backends.opencode.mapping.struct import clean
from opencode_sync.gateway.backends.opencode.runs.owner import Owner
from opencode_sync.gateway.backends.opencode.runs.policy import (
    ANSWERED,
    ASKED,
    Ask,
    Policy,
    read_ask,
)
from opencode_sync.gateway.backends.opencode.runs.texts import DELTA, Missing, RunTexts
from opencode_sync.logger import logger
from opencode_sync.wire import ext_event_pb2
from opencode_sync.wire import ext_prompt_pb2 as pb

__all__ = ["BROKEN_OFF", "RunEvents"]

BROKEN_OFF = 3
"""Answers in a row that broke off, after which there is no hope: OpenCode would ask for ever."""

_RETRY = "retry"


class RunEvents:
    """Follows one run as a hub's ``Subscriber``; tells its thread what it has to know.

    The hub's thread calls the subscriber's methods, the run's own thread all others; it may read
    the attributes at any time.
    """

    def __init__(
        self,
        session_id: str,
        message_id: str,
        *,
        wanted: pb.IpcRunEvents,
        policy: Policy,
        sink: EventSink | None,
        ring: Callable[[], None],
    ) -> None:
        """Begin to follow a run that is about to be sent.

        Args:
            session_id: Where the prompt goes.
            message_id: What the prompt becomes.
            wanted: Which events ``sink`` gets.
            policy: Says which questions are the gateway's to answer.
            sink: Gets them; None if there is none.
            ring: Called when an attribute has changed.
        """
        # Guards everything below. Held while the sink is called, so that its order is that of the
        # events; it must not block.
        self._lock = threading.RLock()
        self._session_id = session_id
        self._policy = policy
        self._event = sink.event if sink is not None else None
        self._all = wanted == pb.IPC_RUN_EVENTS_ALL
        self._attention = wanted != pb.IPC_RUN_EVENTS_NONE
        self._ring = ring
        self._tree = {session_id}
        self._owner = Owner(message_id)
        self._texts = RunTexts()
        self._retried: set[tuple[str, int, int]] = set()
        self._asked: set[str] = set()
        self.infos: dict[str, Mapping[str, Any]] = {}
        """The ``info`` of the run's messages by id, as they were published last."""
        self.asks: deque[Ask] = deque()
        """What the gateway has to answer."""
        self.open: dict[str, Ask] = {}
        """What nobody has answered yet."""
        self.errors: list[Mapping[str, Any]] = []
        """Errors of the prompt's session, as OpenCode published them."""
        self.retries: list[ext_event_pb2.IpcRetry] = []
        self.rejected = False
        """Whether something that the run asked was refused."""
        self.idle = False
        """Whether OpenCode said last that nothing runs in the prompt's session."""
        self.deleted = False
        """Whether the prompt's session is gone."""
        self.is_broken_off = False
        """Whether the last answers broke off, one after another."""
        self.is_over = False
        """Whether there will be no more events."""

    # The hub's thread...

    def event(self, event: OpenCodeEvent) -> None:
        """Take one event, of whatever session."""
        with self._lock:
            if event.session_id not in self._tree and not self._adopts(event):
                return
            if event.session_id != self._session_id:
                self._take(event)
                return
            for each in self._owner.released_by(event):
                self._take(each)
            if self.unknown:
                self._ring()

    def resubscribed(self) -> None:
        """Note that events may have been lost."""
        with self._lock:
            self._texts.gap()
            if self._all and self._event is not None:
                self._event(resubscribed_event())

    def ended(self, reason: str) -> None:
        """Note that nothing follows."""
        logger.debug("The events of a run in {} end: {}", self._session_id, reason)
        self.is_over = True
        self._ring()

    # The run's thread...

    @property
    def unknown(self) -> deque[str]:
        """Messages of the session to be looked up: they may be the run's. Take them out."""
        return self._owner.unknown

    def looked_up(self, document: Any, directory: str) -> None:
        """Take a message that was looked up.

        Args:
            document: OpenCode's JSON of it.
            directory: Where the session runs.
        """
        info = document.get("info") if isinstance(document, dict) else None
        if not isinstance(info, dict) or not isinstance(document.get("parts"), list):
            return
        contents = [("message.updated", "info", info)]
        contents += [("message.part.updated", "part", part) for part in document["parts"]]
        with self._lock:
            for kind, key, each in contents:
                properties = {"sessionID": self._session_id, key: each}
                self.event(OpenCodeEvent(kind, properties, directory=directory, replayed=True))

    def documents(self) -> list[Mapping[str, Any]]:
        """Return the run's messages as the events showed them, the oldest first."""
        with self._lock:
            return self._documents()

    def _documents(self) -> list[Mapping[str, Any]]:
        return [
            {"info": info, "parts": self._texts.parts_of(message_id)}
            for message_id, info in self.infos.items()
            if info.get("role") == "assistant"
        ]

    def catch_up(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Send what the events lacked of the texts in these messages of the run.

        Args:
            documents: OpenCode's JSON of the messages, each with an ``info``.
        """
        with self._lock:
            for document in documents:
                self._texts.expect(document["info"].get("id"))
                parts = document.get("parts")
                for part in parts if isinstance(parts, list) else ():
                    if isinstance(part, dict):
                        self._send_missing(self._texts.updated(part, replayed=True), "")

    # Whose an event is...

    def _adopts(self, event: OpenCodeEvent) -> bool:
        """Return whether this is about a session that the run has begun."""
        if event.type not in ("session.created", "session.updated"):
            return False
        info = event.properties.get("info")
        parent = info.get("parentID") if isinstance(info, dict) else None
        if not isinstance(parent, str) or parent not in self._tree:
            return False
        self._tree.add(event.session_id)
        return True

    # What it means...

    def _take(self, event: OpenCodeEvent) -> None:
        kind = event.type
        if kind == DELTA:
            if self._texts.delta(event.properties) and self._all and self._event is not None:
                self._event(event.message)
            return
        attention = False
        if kind == "message.part.updated":
            self._part(event)
        elif kind == "message.updated":
            self._message(event)
        elif kind in ASKED:
            attention = self._ask(event)
        elif kind in ANSWERED:
            self._answered(event)
        elif kind == "session.status":
            attention = self._status(event)
        elif event.session_id == self._session_id:
            self._session(event)
        if self._event is not None and (self._all or (attention and self._attention)):
            self._event(event.message)

    def _part(self, event: OpenCodeEvent) -> None:
        part = event.properties.get("part")
        if isinstance(part, dict):
            missing = self._texts.updated(part, replayed=event.replayed)
            self._send_missing(missing, event.directory)

    def _message(self, event: OpenCodeEvent) -> None:
        info = event.properties.get("info")
        if not isinstance(info, dict):
            return
        message_id = str(info.get("id"))
        if event.session_id == self._session_id:
            self.infos[message_id] = info
            self.is_broken_off = self._breaks_off()
            self._ring()
        if info.get("role") == "assistant":
            self._texts.expect(message_id)

    def _breaks_off(self) -> bool:
        """Return whether the last answers that are complete all broke off.

        OpenCode has no reason for such an answer's end. It takes it for one that is to go on, as
        after a tool's, and calls the model again.
        """
        count = 0
        for message_id, info in reversed(self.infos.items()):
            time = info.get("time")
            if info.get("role") != "assistant" or not (
                isinstance(time, dict) and "completed" in time
            ):
                continue
            if info.get("finish") != "unknown" or any(
                part.get("type") == "tool" for part in self._texts.parts_of(message_id)
            ):
                return False
            count += 1
            if count == BROKEN_OFF:
                return True
        return False

    def _ask(self, event: OpenCodeEvent) -> bool:
        ask = read_ask(event)
        if ask is None:
            return False
        if ask.id not in self._asked:  # one that is replayed has been answered, or will be
            self._asked.add(ask.id)
            self.open[ask.id] = ask
            if self._policy.answers(ask):
                self.asks.append(ask)
                self._ring()
        return True

    def _answered(self, event: OpenCodeEvent) -> None:
        self.open.pop(str(event.properties.get("requestID")), None)
        refused = event.type == "question.rejected" or event.properties.get("reply") == "reject"
        self.rejected = self.rejected or refused

    def _status(self, event: OpenCodeEvent) -> bool:
        status = event.properties.get("status")
        kind = status.get("type") if isinstance(status, dict) else None
        if event.session_id == self._session_id:
            self.idle = kind == "idle"
            self._ring()
        if kind != _RETRY or not event.message.HasField(_RETRY):
            return False
        retry = event.message.retry
        key = (event.session_id, retry.attempt, retry.next_at)
        if key not in self._retried:
            self._retried.add(key)
            self.retries.append(retry)
        return True

    def _session(self, event: OpenCodeEvent) -> None:
        if event.type == "session.idle":
            self.idle = True
        elif event.type == "session.deleted":
            self.deleted = True
        elif event.type == "session.error":
            error = error_object(event.properties.get("error"))
            if error is not None:
                self.errors.append(error)
        else:
            return
        self._ring()

    def _send_missing(self, missing: Missing | None, directory: str) -> None:
        if missing is None or not self._all or self._event is None:
            return
        fields = {name: clean(value) for name, value in missing._asdict().items()}
        delta = ext_event_pb2.IpcDelta(**fields)
        self._event(
            ext_event_pb2.IpcEvent(
                type=DELTA,
                directory=clean(directory),
                session_id=delta.session_id,
                delta=delta,
                replayed=True,
            )
        )

"""Doubles for runs: a hub that publishes what a test says, a sink that keeps it, and messages."""

from __future__ import annotations

import threading

from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.events.tables import Context

SESSION, PROMPT = "ses_1", "msg_1"


def event(kind, *, directory="/p", replayed=False, part_type="", **properties):
    """Return an event as the hub hands it on."""
    context = Context(part_type, "", received=0)
    return OpenCodeEvent(kind, properties, directory=directory, replayed=replayed, context=context)


def user(message_id=PROMPT, session_id=SESSION, **options):
    info = {"id": message_id, "role": "user", "sessionID": session_id}
    return event("message.updated", sessionID=session_id, info=info, **options)


def answer(message_id, parent=PROMPT, session_id=SESSION, *, replayed=False, **info):
    info = {
        "id": message_id,
        "role": "assistant",
        "parentID": parent,
        "sessionID": session_id,
        **info,
    }
    return event("message.updated", sessionID=session_id, info=info, replayed=replayed)


def part(message_id, part_id, text=None, session_id=SESSION, *, replayed=False, **fields):
    fields = {"type": "text", **fields}
    content = {"id": part_id, "messageID": message_id, "sessionID": session_id, **fields}
    if text is not None:
        content["text"] = text
    return event("message.part.updated", sessionID=session_id, part=content, replayed=replayed)


def delta(message_id, part_id, text, session_id=SESSION, **fields):
    return event(
        "message.part.delta",
        sessionID=session_id,
        messageID=message_id,
        partID=part_id,
        **{"field": "text", "delta": text, **fields},
    )


def status(kind, session_id=SESSION, **fields):
    return event("session.status", sessionID=session_id, status={"type": kind, **fields})


class Sink:
    """Keeps the events of a run."""

    def __init__(self):
        self.events = []

    def event(self, message):
        self.events.append(message)

    @property
    def kinds(self):
        return [each.type for each in self.events]

    @property
    def text(self):
        return "".join(each.delta.text for each in self.events if each.HasField("delta"))


class FakeHub:
    """In place of ``Binding.events``: hands on what ``publish`` gets, in the caller's thread."""

    def __init__(self):
        self.subscribers = []
        self.hidden = []
        self.error = None
        self._lock = threading.Lock()  # one delivery at a time

    def subscribe(self, subscriber, *, deadline, opened=None):
        if self.error is not None:
            raise self.error
        self.subscribers.append(subscriber)
        return self

    def close(self, reason=""):
        """As a subscription: nobody listens any more."""
        self.subscribers.clear()

    def hide(self, secrets):
        self.hidden.extend(secrets)

    def publish(self, *events):
        with self._lock:
            for each in events:
                for subscriber in list(self.subscribers):
                    subscriber.event(each)

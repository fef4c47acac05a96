"""An OpenCode whose events a test sends itself: the answers for a scripted HTTP server."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from tests.unit.gateway_opencode.http_server import Answer, Raw, Request

PATIENCE = 20.0
"""Seconds for what is to happen at once."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DIRECTORY = "/home/ana/shop"


def frame(kind: str, properties: dict[str, Any], directory: str | None = DIRECTORY) -> bytes:
    """Return one event as ``/global/event`` sends it."""
    around = {} if directory is None else {"directory": directory, "project": "global"}
    payload = {"id": "evt_1", "type": kind, "properties": properties}
    return raw_frame(json.dumps({**around, "payload": payload}))


def raw_frame(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CONNECTED = frame("server.connected", {}, None)
HEARTBEAT = frame("server.heartbeat", {}, None)


class FakeEvents:
    """Answers requests: events on ``/global/event``, and ``answers`` by path elsewhere.

    ``stop`` it before its server.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Raw | Callable[[Request], Answer | Raw]] = {}
        self.refuse: Answer | Raw | None = None
        """Answers the next subscriptions in place of events."""
        self.publishes: Answer | Raw = Answer(True)
        """Answers what is to be published; it is if this is ``true``."""
        self.lost = 0
        """So many of the next that are published do not show up."""
        self.greeting = CHUNKED + chunk(CONNECTED)
        self._changed = threading.Condition()  # guards the next three
        self._open: list[queue.Queue[bytes | None]] = []
        self._stopped = False
        self.subscriptions = 0
        """How many there were."""

    def __call__(self, request: Request) -> Answer | Raw:
        if request.path == "/tui/publish":
            return self._publish(json.loads(request.body))
        if request.path != "/global/event":
            answer = self.answers.get(request.path, Answer([]))
            return answer(request) if callable(answer) else answer
        with self._changed:
            self.subscriptions += 1
            self._changed.notify_all()
        if self.refuse is not None:
            return self.refuse
        return Raw(self._stream)

    def _publish(self, event: dict[str, Any]) -> Answer | Raw:
        with self._changed:
            shown = self.lost == 0
            self.lost = max(0, self.lost - 1)
        if shown and self.publishes == Answer(True):
            self.event(event["type"], event["properties"])
        return self.publishes

    def _stream(self, send: Callable[[bytes], None]) -> None:
        waiting: queue.Queue[bytes | None] = queue.Queue()
        with self._changed:
            if self._stopped:
                return
            self._open.append(waiting)
            self._changed.notify_all()
        try:
            send(self.greeting)
            while (data := waiting.get()) is not None:
                send(data)
        finally:
            with self._changed:
                if waiting in self._open:
                    self._open.remove(waiting)

    def send(self, data: bytes, *, chunked: bool = True) -> None:
        """Send bytes to all who listen."""
        with self._changed:
            for each in self._open:
                each.put(chunk(data) if chunked else data)

    def event(self, kind: str, properties: dict[str, Any], directory: str = DIRECTORY) -> None:
        """Send an event to all who listen."""
        self.send(frame(kind, properties, directory))

    def cut(self) -> None:
        """End the streams there are."""
        with self._changed:
            for each in self._open:
                each.put(None)
            self._open.clear()

    def wait_for(self, subscriptions: int) -> None:
        """Wait until there have been so many subscriptions."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.subscriptions >= subscriptions, PATIENCE)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
        self.cut()


class Listener:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards the next two
        self.got: list[OpenCodeEvent | str] = []
        """Events, ``"resubscribed"``, and ``"ended: REASON"``."""
        self.threads: set[str] = set()

    def event(self, event: OpenCodeEvent) -> None:
        self._add(event)

    def resubscribed(self) -> None:
        self._add("resubscribed")

    def ended(self, reason: str) -> None:
        self._add(f"ended: {reason}")

    def _add(self, what: OpenCodeEvent | str) -> None:
        with self._changed:
            self.got.append(what)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def types(self) -> list[str]:
        with self._changed:
            return [each if isinstance(each, str) else each.type for each in self.got]

    def events(self) -> list[OpenCodeEvent]:
        with self._changed:
            return [each for each in self.got if isinstance(each, OpenCodeEvent)]

    def wait_for(self, kind: str, count: int = 1) -> None:
        """Wait until there are so many of a type, or of ``"resubscribed"``."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: (
                    sum(kind == (each if isinstance(each, str) else each.type) for each in self.got)
                    >= count
                ),
                PATIENCE,
            ), self.got

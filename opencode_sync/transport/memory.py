"""A link inside one process: no sockets, every message handed over by reference.

``memory_link()`` makes both ends. The client's end is a ``Transport``; the other is a
``MemoryPeer``, which a test scripts by hand or a gateway serves::

    transport, peer = memory_link()
    client = IpcClient(config, transport_factory=lambda config, options: transport)
    ...
    message = peer.receive(timeout=5)
    peer.send(answer)

Everything is delivered at once and in order, so a test decides what happens when.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NoReturn

from opencode_sync.deadline import NEVER, Deadline
from opencode_sync.logger import logger
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)

__all__ = ["MemoryPeer", "MemoryTransport", "memory_link"]


class _Direction:
    """One direction of the link: messages, then at most one end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the attributes; sees to it that the end is the last
        # Written in C: with a condition instead, a round trip took half as long again.
        self._items: SimpleQueue[bytes | TransportError] = SimpleQueue()
        self.end: TransportError | None = None
        """Why it has ended. Any thread may look."""

    def put(self, messages: Sequence[bytes]) -> bool:
        """Add messages; returns False, adding none, when the direction has ended."""
        with self._lock:
            if self.end is not None:
                return False
            for message in messages:
                self._items.put(message)
            return True

    def finish(self, end: TransportError) -> None:
        """End the direction; what was put before is still received."""
        with self._lock:
            if self.end is None:
                self.end = end
                self._items.put(end)

    def get(self, deadline: Deadline) -> bytes:
        try:
            item = self._items.get(True, deadline.remaining())
        except Empty:
            raise TransportTimeout("no message came in time") from None
        if isinstance(item, TransportError):
            self._items.put(item)  # for whoever receives next
            raise item
        return item


class _Inbox(_Direction):
    """The direction to the client, of which it is known how much waits.

    Either somebody gets the messages one by one, or, once ``hand_over`` was called, whoever puts
    one hands it over itself as long as there is no other before it. So the client's reader, whose
    waking would take longer than all the rest of an answer's way, sleeps until the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0  # messages that were put and are not dealt with, when they wait in line
        self._size = 0
        self._taker: Callable[[bytes], None] | None = None
        # Held by the thread in whose turn it is to call _taker.
        self._turn = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that wait to be received."""
        return self._size

    def put(self, messages: Sequence[bytes]) -> bool:
        """Add messages; returns False, adding none, when the direction has ended."""
        with self._lock:
            if self.end is not None:
                return False
            taker = self._taker
            # None is before it: neither in line, nor with another thread this moment.
            if taker is None or self._count or not self._turn.acquire(False):
                for message in messages:
                    self._count += 1
                    self._size += len(message)
                    self._items.put(message)
                return True
        try:
            for message in messages:
                taker(message)
        except Exception as error:  # noqa: BLE001 - it is not the fault of whoever puts it
            logger.opt(exception=True).error("a message could not be taken; this is a bug")
            self.cut(TransportClosed(f"a message could not be taken: {error!r}"))
        finally:
            self._turn.release()
        return True

    def hand_over(self, taker: Callable[[bytes], None]) -> NoReturn:
        """Have ``taker`` called with every message, in order; ends by raising the end."""
        with self._lock:
            self._taker = taker
        while True:
            item = self._items.get()
            with self._turn:  # also before the end: who is at a message is done with it first
                if isinstance(item, TransportError):
                    self._items.put(item)
                    raise item
                taker(item)
            self._strike(item)

    def get(self, deadline: Deadline) -> bytes:
        item = super().get(deadline)
        self._strike(item)
        return item

    def _strike(self, message: bytes) -> None:
        """Note that a message that stood in line was dealt with."""
        with self._lock:
            self._count -= 1
            self._size -= len(message)

    def cut(self, end: TransportError) -> None:
        """End the direction; what was put before and not received yet is not received any more."""
        with self._lock:
            self._discard()
            if self.end is None:
                self.end = end
            self._items.put(self.end)

    def _discard(self) -> None:
        """Take everything out, an end as well. The caller holds the lock."""
        with contextlib.suppress(Empty):
            while True:
                item = self._items.get_nowait()
                if not isinstance(item, TransportError):
                    self._count -= 1
                    self._size -= len(item)


class MemoryTransport(Transport):
    """The client's end of a link made by ``memory_link``."""

    def __init__(
        self, inbox: _Inbox, outbox: _Direction, *, endpoint: str, refuse: str | None
    ) -> None:
        self.endpoint = endpoint
        self.last_received_at = time.monotonic()
        self.on_output_due = lambda: None
        self._inbox = inbox
        self._outbox = outbox
        self._refuse = refuse
        # Written by the writer alone; a stalled link keeps what was sent here.
        self._output: list[bytes] = []

    def connect(self, deadline: Deadline) -> None:
        if self._refuse is not None:
            raise TransportError(self._refuse)
        if (end := self._inbox.end) is not None:
            raise end
        self.last_received_at = time.monotonic()

    def receive(self, deadline: Deadline | None = None) -> bytes:
        message = self._inbox.get(deadline or NEVER)
        self.last_received_at = time.monotonic()
        return message

    def receive_all(self, accept: Callable[[bytes], None]) -> NoReturn:
        def take(message: bytes) -> None:
            self.last_received_at = time.monotonic()
            accept(message)

        self._inbox.hand_over(take)

    def send(self, messages: Sequence[bytes]) -> None:
        if self._outbox.end is not None and messages:
            raise self._inbox.end or TransportClosed("the link has ended")
        self._output.extend(messages)

    def flush(self, deadline: Deadline) -> bool:
        if self._output:
            messages, self._output = self._output, []
            if not self._outbox.put(messages):
                # Why it ended, where the other end said so: that is what really happened.
                raise self._inbox.end or TransportClosed("the link has ended")
        return True

    @property
    def output_due(self) -> bool:
        return bool(self._output)

    def ping(self) -> None:
        """Nothing to do: a link in memory is alive as long as the process is."""
        self.last_received_at = time.monotonic()

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self._outbox.put(self._output)
        self._output = []
        self._outbox.finish(
            TransportClosed("the client closed the link", code=code, reason=reason, clean=True)
        )

    def abort(self) -> None:
        self._inbox.cut(TransportClosed("the link was aborted"))
        self._outbox.finish(TransportClosed("the client dropped the link"))

    def dispose(self) -> None:
        """Nothing to free."""


class MemoryPeer:
    """The backend's end of a link. Any thread may call any method."""

    def __init__(self, inbox: _Direction, outbox: _Inbox) -> None:
        self._inbox = inbox
        self._outbox = outbox

    def receive(self, timeout: float | None = None) -> bytes:
        """Wait for the client's next message.

        Args:
            timeout: Seconds; None waits as long as the link lives.

        Raises:
            TransportClosed: the client closed or dropped the link.
            TransportTimeout: nothing came in time.
        """
        return self._inbox.get(Deadline.after(timeout))

    def send(self, message: bytes) -> bool:
        """Hand a message to the client; returns False when the link has ended."""
        return self._outbox.put([message])

    @property
    def unread(self) -> int:
        """Bytes handed to the client that it has not received yet."""
        return self._outbox.size

    @property
    def ended(self) -> bool:
        """Whether the link has ended, from whichever side."""
        return self._outbox.end is not None or self._inbox.end is not None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the link politely, as a close frame would."""
        self._outbox.finish(
            TransportClosed(
                f"the backend closed the connection (code {code}{': ' + reason if reason else ''})",
                code=code,
                reason=reason,
                clean=True,
            )
        )
        self._inbox.finish(TransportClosed("the backend closed the link"))

    def drop(self) -> None:
        """End the link without a word, as a killed process would."""
        self._outbox.finish(TransportClosed("the backend dropped the connection without a word"))
        self._inbox.finish(TransportClosed("the backend dropped the link"))

    def violate(self, message: str = "the peer broke the framing rules", code: int = 1002) -> None:
        """End the link as a broken frame would."""
        self._outbox.finish(TransportProtocolError(message, code=code))
        self._inbox.finish(TransportClosed("the backend broke the link"))


def memory_link(
    endpoint: str = "memory:", *, refuse: str | None = None
) -> tuple[MemoryTransport, MemoryPeer]:
    """Return the two ends of a new link.

    Args:
        endpoint: What errors call the link.
        refuse: When given, ``connect`` fails with this text, as an absent backend would.
    """
    to_client, to_backend = _Inbox(), _Direction()
    transport = MemoryTransport(to_client, to_backend, endpoint=endpoint, refuse=refuse)
    return transport, MemoryPeer(to_backend, to_client)

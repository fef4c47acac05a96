"""The one gate to the wire: many threads hand in messages, one at a time writes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from opencode_sync.deadline import Deadline
from opencode_sync.metrics import Metrics
from opencode_sync.pending import Call
from opencode_sync.transport.base import Transport, TransportClosed, TransportError

__all__ = ["Sender"]

_BATCH_BYTES: Final = 65_536


class Sender:
    """Queues messages and has one thread at a time write them.

    Whoever hands in a message tries to become the writer; if another thread is it already, that one
    writes this message as well, and the caller goes on at once. So nobody waits for the lock, what
    queues up meanwhile goes out together, and a writer that runs out of patience leaves the rest to
    the next. Any thread may call any method.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        metrics: Metrics | None,
        on_broken: Callable[[TransportError], None],
        on_stuck: Callable[[], None],
    ) -> None:
        """Make a sender.

        Args:
            transport: Where to write.
            metrics: Told of each request written.
            on_broken: Called on the writing thread when the link failed.
            on_stuck: Called when the peer does not take what is left and the writer must go;
                has to see to it that ``drain`` is called again.
        """
        self._transport = transport
        self._metrics = metrics
        self._on_broken = on_broken
        self._on_stuck = on_stuck
        # Appended to by everyone, popped by the writer: each an atomic step of the deque.
        self._queue: deque[tuple[Call[Any], bytes]] = deque()
        self._ping_due = False
        self._retired = False
        # Held by the writer; guards the transport's writing half. Waited for only at the end.
        self._writing = threading.Lock()

    def submit(self, call: Call[Any], message: bytes, patience: Deadline) -> None:
        """Send ``message`` for ``call``; one that has ended by then is not sent.

        Blocks only while the peer takes no more and ``patience`` lasts.
        """
        self._queue.append((call, message))
        self.drain(patience)

    def ping(self, patience: Deadline) -> None:
        """Send a sign-of-life request."""
        self._ping_due = True
        self.drain(patience)

    def drain(self, patience: Deadline) -> None:
        """Write what is due, unless another thread is at it."""
        # Looking again after letting go of the lock is what makes it safe not to wait for it: what
        # was queued while we wrote is either seen here, or its own thread got the lock.
        while self._due() and self._writing.acquire(blocking=False):
            try:
                if self._retired:
                    return
                finished = self._write(patience)
            except TransportError as error:
                self._on_broken(error)
                return
            except BaseException as error:
                # An interrupt may have hit between a write and noting how much was written.
                self._on_broken(TransportClosed(f"a send was interrupted: {error!r}"))
                raise
            finally:
                self._writing.release()
            if not finished:
                self._on_stuck()
                return

    def say_goodbye(self, code: int, reason: str, patience: Deadline) -> None:
        """Send what is due and a close, if nobody is stuck writing; never raises."""
        if self._writing.acquire(timeout=patience.remaining() or 0):
            try:
                if not self._retired:
                    self._transport.close(code, reason, patience)
            finally:
                self._writing.release()

    def retire(self, patience: Deadline) -> bool:
        """Let nobody write any more; returns whether the last writer has gone.

        Call it after ``Transport.abort``, which makes a writer go, and before freeing the link.
        """
        if not self._writing.acquire(timeout=patience.remaining() or 0):
            return False
        self._retired = True
        self._writing.release()
        return True

    def _due(self) -> bool:
        return bool(self._queue) or self._ping_due or self._transport.output_due

    def _write(self, patience: Deadline) -> bool:
        transport = self._transport
        if transport.output_due and not transport.flush(patience):
            return False
        while True:
            batch = self._next_batch()
            if self._ping_due:
                self._ping_due = False
                transport.ping()
            elif not batch:
                return True
            transport.send(batch)
            if not transport.flush(patience):
                return False

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._queue and size < _BATCH_BYTES:
            call, message = self._queue.popleft()
            # First the mark, then the look: one who ends the call now either sees the mark, or is
            # seen here and nothing is sent.
            call.sent = True
            if call.claimed:
                continue
            if self._metrics is not None:
                self._metrics.record_request_sent(call.operation)
            batch.append(message)
            size += len(message)
        return batch

"""The one gate to the wire: many threads hand in messages, one at a time writes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from opencode_sync.call import Call
from opencode_sync.deadline import NEVER, NOW, Deadline
from opencode_sync.keeper import Keeper
from opencode_sync.transport.base import Transport, TransportClosed, TransportError

__all__ = ["Sender"]

_BATCH_BYTES: Final = 65_536

_BURST: Final = 0.0005
"""Seconds: a message that comes this soon after another may wait for more to go with it."""

_TOGETHER: Final = 32
"""As many messages wait for more at most. With 16 fewer get through, with 64 no more."""


class Sender:
    """Queues messages and has one thread at a time write them, without ever making one wait.

    Whoever hands in a message tries to become the writer; if another thread is it already, that one
    writes this message as well. So nobody waits for the lock, and what queues up meanwhile goes out
    together. A writer never waits for the peer either: when that takes no more, a thread made for
    the purpose writes on until all is out. Any thread may call any method.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        keeper: Keeper,
        on_broken: Callable[[TransportError], None],
    ) -> None:
        """Make a sender.

        Args:
            transport: Where to write.
            name: What to call the thread that writes when the peer is slow.
            keeper: Sends on what waits for more to go with it.
            on_broken: Called on the writing thread when the link failed.
        """
        self._transport = transport
        self._name = name
        self._keeper = keeper
        self._on_broken = on_broken
        # Appended to by everyone, popped by the writer: each an atomic step of the deque.
        self._queue: deque[tuple[Call[Any], bytes]] = deque()
        self._ping_due = False
        self._newest = 0.0  # when a message came that may wait for more, ``time.monotonic()``
        self._planned = False  # whether the keeper will see to those that wait
        # Held by the writer; guards the transport's writing half and the attributes below. Nobody
        # waits for it but who ends the link, and the thread for slow peers. It knows its owner, for
        # what an interrupt may do to the main thread, but is never taken twice.
        self._writing = threading.RLock()
        # Whether this thread holds it; ``threading.Condition`` asks in the same way.
        self._is_writer: Callable[[], bool] = self._writing._is_owned  # type: ignore[attr-defined]
        self._retired = False
        self._patient: threading.Thread | None = None

    def submit(self, call: Call[Any], message: bytes) -> None:
        """Send ``message`` for ``call``; one that has ended by then is not sent. Never blocks."""
        self._queue.append((call, message))
        self.drain()

    def submit_with_others(self, call: Call[Any], message: bytes) -> None:
        """Send ``message`` for ``call``, with others when there is a burst of them. Never blocks.

        Every system call wakes the backend, whose answer wakes our reader, which then takes turns
        with this thread for Python's lock: sent one by one, a hundred requests take three times as
        long. So those that follow another at once leave when there are enough of them, when
        somebody calls ``drain``, or else when the keeper gets its turn, which it is told at once.
        """
        now = time.monotonic()
        alone = now - self._newest > _BURST
        self._newest = now
        self._queue.append((call, message))
        if alone or len(self._queue) >= _TOGETHER:
            self.drain()
        elif not self._planned:
            self._plan()

    def _plan(self) -> None:
        """Have the keeper send what waits."""
        try:
            self._planned = True
            self._keeper.call_at(0.0, self._drain_as_planned)
        except BaseException:  # an interrupt: whoever comes next plans again
            self._planned = False
            raise
        if not self._keeper.is_running:
            self._drain_as_planned()  # it has no thread, or is through with it

    def _drain_as_planned(self) -> None:
        self._planned = False  # first, so that what comes while we write is planned anew
        self.drain()

    def ping(self) -> None:
        """Send a sign-of-life request. Never blocks."""
        self._ping_due = True
        self.drain()

    def drain(self) -> None:
        """Write what is due, unless another thread is at it. Never blocks."""
        lock = self._writing
        if self._is_writer():
            return  # a signal handler's call in the middle of our own write, which sends it as well
        try:
            # Looking again after letting go of the lock is what makes it safe not to wait for it:
            # what was queued while we wrote is either seen here, or its own thread got the lock.
            goes_on = True
            while goes_on and self._due() and lock.acquire(False):
                goes_on = self._write_what_goes()
                lock.release()
        except BaseException:
            if self._is_writer():  # an interrupt may hit right after acquire(), or after release()
                lock.release()
            raise

    def _write_what_goes(self) -> bool:
        """Write without waiting; returns False when there is nothing more for this thread to do."""
        if self._retired or self._patient is not None:
            return False  # nobody writes any more, or that thread will
        try:
            if not self._write(NOW):
                self._start_patient_thread()
        except TransportError as error:
            self._on_broken(error)
            return False
        except BaseException as error:
            # An interrupt may have hit between a write and noting how much was written.
            self._on_broken(TransportClosed(f"a send was interrupted: {error!r}"))
            raise
        return True

    def say_goodbye(self, code: int, reason: str, patience: Deadline) -> None:
        """Send what is due and a close, unless a writer is stuck. Never raises.

        Args:
            code: The close code.
            reason: Its text.
            patience: Until when to wait for the writer, and for the peer to take it.
        """
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
        patient = self._patient
        self._writing.release()
        if patient is None:
            return True
        patient.join(patience.remaining())
        return not patient.is_alive()

    def _start_patient_thread(self) -> None:
        """Have another thread write on. The caller holds the lock."""
        thread = threading.Thread(target=self._write_patiently, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise TransportClosed(f"no thread could be had to write on: {error}") from error
        self._patient = thread

    def _write_patiently(self) -> None:
        """Write on while the peer takes its time; ends when all is out, or with the link."""
        with self._writing:
            try:
                if not self._retired:
                    self._transport.flush(NEVER)  # before any other call counts as sent
                    while self._due():
                        self._write(NEVER)
            except TransportError as error:
                self._on_broken(error)
                return
            self._patient = None
        # What came since the last look found the lock taken, and its thread went on.
        self.drain()

    def _due(self) -> bool:
        return bool(self._queue) or self._ping_due or self._transport.output_due

    def _write(self, patience: Deadline) -> bool:
        """Write a batch; returns False when the peer did not take it in time."""
        transport = self._transport
        if self._ping_due:
            self._ping_due = False
            transport.ping()
        calls, messages = self._next_batch()
        try:
            transport.send(messages)
        except TransportError:
            for call in calls:
                # The transport took none of them; another connection's may have before.
                call.sent = call.repeated
            raise
        return transport.flush(patience)

    def _next_batch(self) -> tuple[list[Call[Any]], list[bytes]]:
        """Return calls that are to be written now, marked as sent, and their messages."""
        calls: list[Call[Any]] = []
        messages: list[bytes] = []
        size = 0
        queue = self._queue
        while queue and size < _BATCH_BYTES:
            call, message = queue.popleft()
            # First the mark, then the look: one who ends the call now either sees the mark, or is
            # seen here and nothing is sent.
            call.sent = True
            if call.claimed:
                continue
            calls.append(call)
            messages.append(message)
            size += len(message)
        return calls, messages

"""The way out of a socket: many threads add, one at a time writes, and nobody waits for ever.

Whoever has something to send adds it, and then writes all there is, unless another thread does so
at the moment: answers that come together leave together. When the peer takes nothing for a while it
is dropped, and everybody is let go. The thread that reads never waits in a write, nor does one that
brings events: what those have is written as far as it goes, and the rest is left to another thread.
Nobody writes on for ever, either, when the others never cease to add: after a share somebody else
goes on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.sockets import wait_for
from opencode_sync.logger import logger

__all__ = ["Output"]

_WRITE_SIZE = 1 << 18
_FULL_SIZE = 8 << 20
_FULL_PIECES = 8192
_OFFERED_SIZE = _FULL_SIZE // 2
_OFFERED_PIECES = _FULL_PIECES // 2
_SHARE = _FULL_SIZE
"""Bytes that one thread writes, also for others, before it lets go."""


class Output:
    """What is to be written to one socket. Any thread may call any method.

    Args:
        sock: A socket that does not block. Whoever closes it calls ``abort`` and ``wait_unused``
            before, so that no write hits a descriptor that has become somebody else's.
        patience: Seconds the peer may take nothing before it is dropped.
        later: Runs a job on another thread soon; returns False when it cannot.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        patience: float,
        later: Callable[[Callable[[], object]], bool],
    ) -> None:
        self._socket = sock
        self._patience = patience
        self._later = later
        # Guards every attribute below; waited on for room, and for the writer to let go.
        self._changed = threading.Condition()
        self._pieces: deque[memoryview] = deque()
        self._size = 0
        self._writing = False
        self._dead = False

    @property
    def dead(self) -> bool:
        """Whether the socket was given up."""
        return self._dead

    def add(self, pieces: Iterable[bytes]) -> None:
        """Add what is to be written, without writing it."""
        with self._changed:
            for piece in pieces:
                if piece and not self._dead:
                    self._pieces.append(memoryview(piece))
                    self._size += len(piece)

    def wait_for_room(self) -> None:
        """Wait until a moderate amount is left to write, or the peer was dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._size < _FULL_SIZE or self._dead)

    def wait_for_few(self) -> None:
        """Wait until not too many pieces are left to write, or the peer was dropped.

        Answers are few. So many pieces are pongs nobody takes, and who pings can wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._pieces) < _FULL_PIECES or self._dead)

    def has_room(self, size: int) -> bool:
        """Return whether a piece that nobody waits to add may be added.

        So few that those who do wait for room, or for few pieces, need not wait for these alone.
        """
        with self._changed:
            return len(self._pieces) < _OFFERED_PIECES and (
                not self._size or self._size + size <= _OFFERED_SIZE
            )

    def wait_unused(self, deadline: Deadline | None = None) -> None:
        """Wait until no thread writes; soon after ``abort``, which wakes who does."""
        with self._changed:
            left = None if deadline is None else deadline.remaining()
            self._changed.wait_for(lambda: not self._writing, left)

    def abort(self) -> None:
        """Give the socket up, and wake whoever reads or writes it."""
        with self._changed:
            if self._dead:
                return
            self._dead = True
            self._pieces.clear()
            self._size = 0
            self._changed.notify_all()
            # Under the lock: the socket is closed only after the output was seen dead.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def write_at_once(self) -> None:
        """Write what goes without waiting, and leave the rest to another thread."""
        if not self._write(0, _WRITE_SIZE) and not self._later(self.write):
            self.abort()

    def write(self) -> None:
        """Write until all is out, or for a while, unless another thread does.

        A peer that takes nothing for too long is dropped.
        """
        while not self._write(self._patience, _SHARE):
            if self._later(self.write):
                return

    def finish(self, deadline: Deadline) -> None:
        """Have all written by a deadline; a peer that takes nothing until then is dropped."""
        while True:
            left = deadline.remaining()
            self._write(self._patience if left is None else left, _SHARE)
            self.wait_unused(deadline)
            with self._changed:
                if not self._pieces or deadline.passed():
                    return

    def _write(self, patience: float, share: int) -> bool:
        """Write, unless another thread does, up to a share; patience 0 waits for nothing.

        Returns:
            False when something is left that nobody writes.
        """
        with self._changed:
            if self._writing:
                return True
            self._writing = True
        while True:
            with self._changed:
                data = self._next()
                if not data or share <= 0:
                    # In one step with the look at the output, so that no piece is left behind.
                    self._stop_writing()
                    return not data
            try:
                size = self._send_some(data[:share], patience)
            except OSError as error:
                logger.debug("a peer of the gateway was lost in a write: {}", error)
                self.abort()
                continue
            share -= size
            with self._changed:
                if not size and not patience:
                    self._stop_writing()
                    return False
                self._strike(size)
            if not size:
                logger.warning("the gateway drops a peer that takes nothing for {} s", patience)
                self.abort()

    def _send_some(self, data: bytes | memoryview, patience: float) -> int:
        """Write once; returns how many bytes went, 0 when the peer took none in time."""
        deadline = Deadline.after(patience)
        while True:
            try:
                return self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                if not wait_for(self._socket, deadline, to_write=True):
                    return 0

    def _next(self) -> bytes | memoryview:
        """Return the next bytes to write, small pieces together. The caller holds the lock."""
        if len(self._pieces) < 2 or len(self._pieces[0]) >= _WRITE_SIZE:
            return self._pieces[0] if self._pieces else b""
        pieces: list[memoryview] = []
        size = 0
        for piece in self._pieces:
            if pieces and size + len(piece) > _WRITE_SIZE:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _strike(self, size: int) -> None:
        """Take written bytes off the output. The caller holds the lock."""
        while size and self._pieces:  # an abort meanwhile has emptied it
            piece = self._pieces.popleft()
            self._size -= min(size, len(piece))
            if size < len(piece):
                self._pieces.appendleft(piece[size:])
            size -= min(size, len(piece))
        self._changed.notify_all()

    def _stop_writing(self) -> None:
        """Let go of the socket. The caller holds the lock."""
        self._writing = False
        self._changed.notify_all()

"""The connections by which a session store's file is read, apart from the one that writes.

A list of 100,000 sessions holds up nobody that way. They are few, however many requests there are:
each has descriptors, which SQLite keeps open as long as any connection to the file is, even when
this one was closed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError, WouldWait
from opencode_sync.gateway.backends.sqlite_problems import OF_SQLITE

__all__ = ["NOT_OPEN", "SessionReaders"]

NOT_OPEN = "is not open; start the gateway"

_IDLE = 4
_AT_ONCE = 16


class _Connect(Protocol):
    def __call__(self, timeout: float = ...) -> sqlite3.Connection:
        """Connect to the file; SQLite waits so many seconds for other programs."""


class SessionReaders:
    """Lends connections for reading, between ``open`` and ``close``. For any thread."""

    def __init__(
        self,
        *,
        connect: _Connect,
        check_in_place: Callable[[], None],
        refused: Callable[[str], BackendError],
        explained: Callable[[BaseException], BackendError],
    ) -> None:
        """Open nothing.

        Args:
            connect: Connects to the file.
            check_in_place: Raises what there is to raise about a file that is not there any more.
            refused: Makes the error that says what is wrong with the file.
            explained: Makes the error that says what SQLite's means.
        """
        self._connect = connect
        self._check_in_place = check_in_place
        self._refused = refused
        self._explained = explained
        self._lock = threading.Lock()  # guards the next two
        self._open = False
        self._idle: list[sqlite3.Connection] = []
        # How many more may read; whoever takes one holds it while its connection is in use.
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._glancing = threading.Lock()  # held by whoever uses _glancer, which waits for nobody
        self._glancer: sqlite3.Connection | None = None

    def open(self) -> None:
        """Lend connections from now on."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """Lend no more, and close what nobody uses; the others close when they come back."""
        with self._lock:
            self._open = False
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()
        with self._glancing:
            if self._glancer is not None:
                self._glancer.close()
                self._glancer = None

    def glance(self, query: str) -> object:
        """Return the first row of a query that reads a page or two, or None; waits for nobody.

        Raises:
            WouldWait: another thread glances just now, or SQLite cannot do it at once.
        """
        if not self._glancing.acquire(blocking=False):
            raise WouldWait
        try:
            with self._lock:
                self._check_open()
            self._check_in_place()
            if self._glancer is None:
                self._glancer = self._connect(timeout=0.0)
            return self._glancer.execute(query).fetchone()
        except sqlite3.Error as error:
            raise WouldWait from error  # whoever asks again, with time, finds out what it is
        finally:
            self._glancing.release()

    @contextlib.contextmanager
    def reading(self, deadline: Deadline | None = None) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading, when there is one; None waits as long as it takes."""
        left = None if deadline is None else deadline.remaining()
        if not self._turns.acquire(timeout=left):
            raise self._refused("is read by too many requests at once; try again")
        try:
            with self._connection() as reader:
                yield reader
        finally:
            self._turns.release()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._check_open()
            reader = self._idle.pop() if self._idle else None
        try:
            self._check_in_place()
            if reader is None:
                reader = self._connect()
            yield reader
        except OF_SQLITE as error:
            raise self._explained(error) from error
        finally:
            with self._lock:
                keep = self._open and len(self._idle) < _IDLE
                if keep and reader is not None:
                    self._idle.append(reader)
            if not keep and reader is not None:
                reader.close()

    def _check_open(self) -> None:
        """Refuse to read before start and after close. The caller holds the lock."""
        if not self._open:
            raise self._refused(NOT_OPEN)

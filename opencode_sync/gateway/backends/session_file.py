"""A SQLite file of sessions: its connections, its commits, and what can be wrong with it.

A change returns after its commit has reached the disk (write-ahead log, ``synchronous=FULL``), so
neither ``kill -9`` nor a power cut takes back what was answered. As each commit waits for the disk,
changes that arrive meanwhile share the next one: 64 callers cost little more than one.

There is one connection for writing, because SQLite has one writer at a time anyway, and a lock that
queues for it with a deadline. Reading has connections of its own (``session_readers``).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.file_watch import FileWatch
from opencode_sync.gateway.backends.session_readers import NOT_OPEN, SessionReaders
from opencode_sync.gateway.backends.session_schema import number, prepare
from opencode_sync.gateway.backends.sqlite_problems import (
    DAMAGED,
    OF_SQLITE,
    TAKEN_AWAY,
    WRITTEN_OVER,
    problem_of,
)
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["SessionFile"]

# What a copy of another time differs in, and takes a page or two to read.
_TELLING = (
    "PRAGMA page_count",
    "SELECT max(id) FROM session",
    "SELECT id FROM session ORDER BY updated DESC, id DESC LIMIT 1",
)

_BUSY_TIMEOUT = 5.0
_BUSY_PAUSE = 0.01


class _Change:
    """A change on its way to the disk, and what became of it."""

    __slots__ = ("applied", "apply", "committed", "error")

    def __init__(
        self, apply: Callable[[sqlite3.Connection], object], committed: Callable[[], object]
    ) -> None:
        self.apply = apply
        self.committed = committed
        # Written by whoever commits, before it gives the writer's lock back.
        self.applied = False
        self.error: BaseException | None = None


class SessionFile:
    """The file, once opened. Any thread may call any method; all may raise ``BackendError``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Guards _open and _queue; never held while the disk is waited for.
        self._lock = threading.Lock()
        self._open = False
        self._queue: deque[_Change] = deque()
        self.readers = SessionReaders(
            connect=self._connect,
            check_in_place=self._check_in_place,
            refused=self.refused,
            explained=self._explained,
        )
        # Held by the one thread that uses _writer.
        self._writer_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        # Set by ``open`` only; its prints belong to whoever has the writer's lock.
        self._watch: FileWatch | None = None
        # What damage was found, if any. Set by whoever finds it, until the next start.
        self._damage: str | None = None

    def open(self) -> None:
        """Open the file, making it and its folder if missing. A second call does nothing."""
        with self._writer_lock:
            if self._writer is not None:
                return
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                status = self._made()
            except OSError as error:
                raise BackendError(
                    ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
                    f"database: {self.path} cannot be opened for writing "
                    f"({error.strerror or error}); name a file in a folder that you may write",
                ) from error
            if not stat.S_ISREG(status.st_mode):
                raise self.refused("is not a regular file; name a different one")
            self._damage = None
            writer = None
            try:
                self._watch = FileWatch(self.path)
                writer = self._connect()
                self._prepare_patiently(writer)
                self._watch.opened(_version(writer))
            except BaseException as error:
                if writer is not None:
                    writer.close()
                if isinstance(error, OF_SQLITE):
                    raise self._explained(error) from error
                if isinstance(error, OSError):
                    raise self.refused(TAKEN_AWAY) from error
                raise
            self._writer = writer
            with self._lock:
                self._open = True
            self.readers.open()

    def close(self) -> None:
        """Close the file; bounded, and fine more than once."""
        with self._lock:
            self._open = False
        self.readers.close()
        # A commit under way takes at most as long as SQLite waits for other programs.
        if not self._writer_lock.acquire(timeout=2 * _BUSY_TIMEOUT):
            logger.warning("the session store is still busy and is left to the process's end")
            return
        try:
            if self._writer is not None:
                if self._watch is not None and self._watch.has_another_log():
                    _abandon(self._writer)
                else:
                    self._writer.close()
                self._writer = None
        finally:
            self._writer_lock.release()

    def size(self) -> int:
        """Return about how many bytes the file has; 0 when it is not there."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += os.stat(f"{self.path}{suffix}").st_size
        return total

    def _made(self) -> os.stat_result:
        """Return the file's status, after making it if it is missing."""
        try:
            # Not opened when it is there: closing it would drop the locks that SQLite holds on it
            # for another gateway of this process.
            return os.stat(self.path)
        except FileNotFoundError:
            # SQLite would make the file readable by all; its log files follow this mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            return os.stat(self.path)

    @property
    def damaged(self) -> bool:
        """Whether damage was found since the start."""
        return self._damage is not None

    def _check_in_place(self) -> None:
        """Refuse work on a file that has been deleted, and would vanish with what is written."""
        if self._watch is None or not self._watch.in_place():
            raise self.refused(TAKEN_AWAY)

    def _check_untouched(self, writer: sqlite3.Connection) -> None:
        """Refuse to add to what a stranger has written over, if it has become unreadable by that.

        SQLite's own view of the file may be older than that, so this takes a new one.
        """
        if self._watch is None or not self._watch.is_suspicious(_version(writer)):
            return
        try:
            with contextlib.closing(self._connect()) as fresh:
                self._check_integrity(fresh)
                # Nobody else commits meanwhile, so both have to see the same.
                same = all(_row(fresh, query) == _row(writer, query) for query in _TELLING)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:  # an impossible schema
                raise self._found_damage(DAMAGED) from error
            raise
        if not same:
            raise self._found_damage(WRITTEN_OVER)

    def _check_integrity(self, connection: sqlite3.Connection) -> None:
        # This takes 80 ms for 100,000 sessions.
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise self._found_damage(DAMAGED)

    def _connect(self, timeout: float = _BUSY_TIMEOUT) -> sqlite3.Connection:
        # Never makes the file. Transactions are written out, and locks of ours keep each connection
        # to one thread.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare_patiently(self, writer: sqlite3.Connection) -> None:
        """Prepare the file, again when another gateway is opening or closing it right now.

        SQLite waits for most locks by itself, but not for those of the write-ahead log's making.
        """
        for attempt in Retrying(
            retry=retry_if_exception(_is_busy),
            wait=wait_fixed(_BUSY_PAUSE),
            stop=stop_after_delay(_BUSY_TIMEOUT),
            reraise=True,
        ):
            with attempt:
                if writer.in_transaction:
                    writer.rollback()  # what the attempt before left
                prepare(writer, self._check_integrity, self.refused)

    def change(
        self,
        apply: Callable[[sqlite3.Connection], object],
        deadline: Deadline,
        committed: Callable[[], object] = lambda: None,
    ) -> None:
        """Have a change on the disk, alone or together with others.

        Args:
            apply: Makes the change; on whichever thread commits.
            deadline: Until when to wait for the turn.
            committed: Called once it is on the disk, in the order of the commits and before the
                next one. It must neither wait nor fail.
        """
        change = _Change(apply, committed)
        if self._damage is not None:
            raise self.refused(self._damage)
        with self._lock:
            self._check_open()
            self._queue.append(change)
        left = deadline.remaining()
        if not self._writer_lock.acquire(timeout=-1 if left is None else left):
            with self._lock:
                if change in self._queue:
                    self._queue.remove(change)
                    raise self.refused("is too busy; send fewer changes at once, and try again")
            # Another thread is committing it this moment, so what became of it is known soon.
            self._writer_lock.acquire()
        try:
            if not change.applied:
                self._commit()
        finally:
            self._writer_lock.release()
        if change.error is not None:
            raise self._explained(change.error) from change.error

    def _commit(self) -> None:
        """Commit all changes that wait, in one transaction. The caller holds the writer's lock."""
        with self._lock:
            changes = list(self._queue)
            self._queue.clear()
        try:
            if self._writer is None:
                raise sqlite3.ProgrammingError("it was closed meanwhile")
            self._check_in_place()
            self._writer.execute("BEGIN IMMEDIATE")
            self._check_untouched(self._writer)
            for change in changes:
                change.apply(self._writer)
            self._writer.execute("COMMIT")
            # Only now is it sure that the commit went where it is found again.
            self._check_in_place()
            if self._watch is not None:
                self._watch.note(_version(self._writer))
            for change in changes:
                change.committed()
        except BaseException as error:
            # Of any kind (SQLite out of memory is a MemoryError): nobody may be told of a success.
            for change in changes:
                change.error = error
            if self._writer is not None and self._writer.in_transaction:
                self._writer.rollback()
            if not isinstance(error, Exception):
                raise
        finally:
            for change in changes:
                change.applied = True

    # Errors

    def _check_open(self) -> None:
        """Refuse work before start and after close. The caller holds the lock."""
        if not self._open:
            raise self.refused(NOT_OPEN)

    def refused(self, problem: str) -> BackendError:
        """Return the error that says what is wrong with the file."""
        return BackendError(
            ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, f"the session store {self.path} {problem}"
        )

    def _found_damage(self, problem: str) -> BackendError:
        """Return the error that says so, and take nothing from now on."""
        self._damage = problem
        return self.refused(problem)

    def _explained(self, error: BaseException) -> BackendError:
        if isinstance(error, BackendError):
            return BackendError(error.code, error.message)  # one for each caller
        problem, damaged = problem_of(error, self.path)
        return self._found_damage(problem) if damaged else self.refused(problem)


def _abandon(writer: sqlite3.Connection) -> None:
    """Close without moving our log into the file, or removing the log that stands in its place.

    Another gateway has made that one, and what it has answered is in there.
    """
    if sys.version_info >= (3, 12):
        writer.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        writer.close()
    else:
        # There Python cannot say so to SQLite, so it stays open until the process has ended.
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(writer))


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection commits."""
    return number(connection, "PRAGMA data_version")


def _row(connection: sqlite3.Connection, query: str) -> Any:
    return connection.execute(query).fetchone()


def _is_busy(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError)
        and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )

"""What SQLite says of a session store, as what somebody can do about it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

__all__ = ["DAMAGED", "OF_SQLITE", "TAKEN_AWAY", "WRITTEN_OVER", "problem_of"]

OF_SQLITE: Final = (sqlite3.Error, MemoryError, UnicodeDecodeError)
"""What may come out of a call of SQLite's; the last when it quotes what is damaged."""

_MOVE_AWAY = "move the file away, and the next start makes a new store"
TAKEN_AWAY = (
    "was removed or replaced while it was in use; put it back with its -wal and -shm, or restart "
    "the gateway"
)
WRITTEN_OVER = (
    "was written over while it was in use, and is not what it was; restart the gateway to go on "
    "with what is there now"
)
_PROBLEMS = {
    sqlite3.SQLITE_BUSY: "is locked by another program; close that one and try again",
    sqlite3.SQLITE_LOCKED: "is locked by another program; close that one and try again",
    sqlite3.SQLITE_READONLY: "cannot be written; allow yourself to write it and its folder",
    sqlite3.SQLITE_PERM: "cannot be written; allow yourself to write it and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; name a file in a folder that you may write",
    sqlite3.SQLITE_FULL: "cannot grow because the disk is full; free some space",
    sqlite3.SQLITE_CORRUPT: f"is damaged; {_MOVE_AWAY}",
    sqlite3.SQLITE_NOTADB: f"is not a session store; {_MOVE_AWAY}",
    sqlite3.SQLITE_IOERR: "cannot be read or written; look after its disk",
}
DAMAGED = _PROBLEMS[sqlite3.SQLITE_CORRUPT]
_DAMAGES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CUT_OFF = 2 << 8 | sqlite3.SQLITE_IOERR
"""SQLITE_IOERR_SHORT_READ: the file ends before the page that is wanted."""

_NEAR = 1 << 16
"""Bytes; about what one commit may add to a file."""


def problem_of(error: BaseException, path: Path) -> tuple[str, bool]:
    """Return what is wrong with the store and what to do, and whether it is damaged.

    Args:
        error: One of ``OF_SQLITE``, or of a look at the file.
        path: The file.
    """
    if isinstance(error, MemoryError):
        return "needs more memory than there is; free some, and try again", False
    if isinstance(error, OSError):
        return TAKEN_AWAY, False
    # The low byte is the kind of problem, the rest its detail.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    kind = code & 0xFF
    if (
        isinstance(error, UnicodeDecodeError)
        or code == _CUT_OFF
        or str(error).startswith(("Could not decode", "no such table"))
    ):
        kind = sqlite3.SQLITE_CORRUPT
    if kind in _DAMAGES:
        return _PROBLEMS[kind], True
    if kind == sqlite3.SQLITE_IOERR and (limit := _limit_reached(path)) is not None:
        return (
            f"cannot grow because this process may write no file of more than {limit} bytes; "
            "raise that limit (ulimit -f), and restart the gateway"
        ), False
    return _PROBLEMS.get(kind, f"failed ({error}); try again"), False


def _limit_reached(path: Path) -> int | None:
    """Return how large a file of this process may be, if the store's are about that large."""
    try:
        import resource  # not on Windows, which has no such limit
    except ModuleNotFoundError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    for suffix in ("", "-wal"):
        with contextlib.suppress(OSError):
            if os.stat(f"{path}{suffix}").st_size + _NEAR >= limit:
                return limit
    return None

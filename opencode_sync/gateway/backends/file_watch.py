"""Whether a SQLite file that is in use is still the one that was opened, and who has written to it.

SQLite looks at neither: it goes on with files that have been deleted, and with what somebody has
copied over them, until it comes across a page that makes no sense. What was answered meanwhile is
lost. This costs three looks at a folder, some microseconds.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FileWatch"]

_Identity = tuple[int, int]
_Prints = tuple[tuple[int, int], ...]

# The file, its write-ahead log, and the index to that, which holds what is read and when.
_PARTS = ("", "-wal", "-shm")


class FileWatch:
    """Knows a database again. Its owner sees to it that one thread at a time calls ``note``.

    Args:
        path: The file, which is there.
    """

    def __init__(self, path: Path) -> None:
        self._parts = tuple(f"{path}{suffix}" for suffix in _PARTS)
        self._identities: tuple[_Identity, ...] = (_identity(self._parts[0]),)
        self._prints: _Prints = ()
        self._version = 0

    def opened(self, version: int) -> None:
        """Note that SQLite has all parts open now.

        Raises:
            OSError: one is not there any more.
        """
        self._identities = (self._identities[0], *map(_identity, self._parts[1:]))
        self.note(version)

    def in_place(self) -> bool:
        """Return whether all parts are where they were, so that what is written is found again."""
        try:
            return all(map(_is, self._parts, self._identities))
        except OSError:
            return False

    def has_another_log(self) -> bool:
        """Return whether the file has a log that somebody made after ours was removed."""
        try:
            file, log = map(_is, self._parts[:2], self._identities[:2])
        except OSError:  # there is none
            return False
        return file and not log

    def note(self, version: int) -> None:
        """Note how the file is now, as right.

        Args:
            version: SQLite's ``data_version``, which another connection's commit changes.
        """
        self._prints, self._version = self._look(), version

    def is_suspicious(self, version: int) -> bool:
        """Return whether somebody may have written to the file who is no connection of SQLite's.

        The log may have grown by another gateway's commit, which has a version of its own. That
        another one has moved the log into the file looks like a stranger's work, though.
        """
        prints = self._look()
        return prints[0] != self._prints[0] or (
            prints[1] != self._prints[1] and version == self._version
        )

    def _look(self) -> _Prints:
        return tuple(map(_print, self._parts[:2]))


def _identity(path: str) -> _Identity:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is(path: str, identity: _Identity) -> bool:
    return _identity(path) == identity


def _print(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns

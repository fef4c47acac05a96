"""Replacing a file in one step: whoever reads it sees the old content or the new, never a half."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

__all__ = ["replace_file"]

_CREATE_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
)

# A killed process leaves its half-written file; by then no living one can still be writing it.
_STALE_SECONDS = 600.0


def replace_file(path: Path, content: bytes) -> None:
    """Put the content in the file's place, for this user's eyes only, and wait for the disk.

    Folders that are missing are made. A symbolic link, as people who keep their settings in a
    repository have, stays one: what it points to is replaced. Several processes may do this at
    once; the last one wins.

    Raises:
        OSError: It could not be done; the old content is still there.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, _CREATE_FLAGS, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _wait_for_name(target.parent)


def _wait_for_name(folder: Path) -> None:
    """Wait until the file's new name is on the disk too, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(target: Path) -> None:
    before = time.time() - _STALE_SECONDS
    prefix = f".{target.name}."
    for left in target.parent.iterdir():
        if left.name.startswith(prefix) and left.name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                if left.lstat().st_mtime < before:
                    left.unlink()

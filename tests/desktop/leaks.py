"""Asserting that a test leaves nothing behind, in a process that has Qt in it."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.leaks import eventually

__all__ = ["no_leaks_beside_qt"]

_DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def no_leaks_beside_qt(settle: float = 10.0) -> Iterator[None]:
    """Assert that threads and descriptors are what they were, ``settle`` seconds later at most.

    Qt's own threads for painting come and go as they like, each with an eventfd, which this
    project uses nowhere: those are not counted.
    """
    threads = set(threading.enumerate())
    descriptors = _count()
    yield
    deadline = time.monotonic() + settle
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive = [thread.name for thread in left if thread.is_alive()]
    assert not alive, f"threads were left behind: {alive}"
    if _count() > descriptors:
        gc.collect()  # one may hang on a cycle that is garbage already
        assert eventually(lambda: _count() <= descriptors, settle), (
            f"descriptors were left open: {_count()}, before {descriptors}"
        )


def _count() -> int:
    if not _DESCRIPTORS.is_dir():
        return 0
    count = 0
    for entry in _DESCRIPTORS.iterdir():
        try:
            count += os.readlink(entry) != "anon_inode:[eventfd]"
        except OSError:
            continue  # the descriptor of this very listing
    return count

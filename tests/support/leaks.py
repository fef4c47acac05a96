"""Asserting that a test leaves no thread and no file descriptor behind.

As a context manager, or as an autouse fixture of a folder::

    @pytest.fixture(autouse=True)
    def leaves_nothing() -> Iterator[None]:
        with no_leaks():
            yield
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from opencode_sync.log_thread import finish_log

_SETTLE: Final = 3.0
_STEP: Final = 0.005
_FD_FOLDERS: Final = (Path("/proc/self/fd"), Path("/dev/fd"))


def descriptor_count() -> int | None:
    """Return how many file descriptors this process has open; None where nobody can tell."""
    for folder in _FD_FOLDERS:
        if folder.is_dir():
            return len(os.listdir(folder))
    return None


def eventually(condition: Callable[[], bool], timeout: float = _SETTLE) -> bool:
    """Look until ``condition`` holds; returns False when it never did within ``timeout`` seconds.

    Only for what nobody announces, such as a thread's last moments.
    """
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= give_up:
            return False
        time.sleep(_STEP)
    return True


@contextmanager
def no_leaks(settle: float = _SETTLE) -> Iterator[None]:
    """Assert that threads and descriptors are what they were, ``settle`` seconds later at most."""
    threads_before = set(threading.enumerate())
    count_before = descriptor_count()
    yield
    finish_log(settle)  # its thread would stay for a second, in case there is more to log
    deadline = time.monotonic() + settle
    while (new := set(threading.enumerate()) - threads_before) and time.monotonic() < deadline:
        for thread in new:
            if thread.ident is None:
                time.sleep(_STEP)  # it is only just being started, and cannot be joined yet
            else:
                thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - threads_before]
    assert not left, f"threads were left behind: {left}"
    if count_before is not None and not eventually(lambda: not _grew(count_before), _STEP):
        gc.collect()  # a descriptor may hang on a cycle that is garbage already
        assert eventually(lambda: not _grew(count_before), settle), (
            f"descriptors were left open: {descriptor_count()}, before {count_before}"
        )


def _grew(before: int) -> bool:
    now = descriptor_count()
    return now is not None and now > before

"""What the gateway's tests share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_DESCRIPTORS = Path("/proc/self/fd")


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    if _DESCRIPTORS.exists():
        for entry in _DESCRIPTORS.iterdir():
            try:
                found.add((entry.name, os.readlink(entry)))
            except OSError:
                continue  # the descriptor of this very listing
    return found


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test ends with the threads and descriptors it began with."""
    threads = set(threading.enumerate())
    descriptors = len(_descriptors())
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:
        thread.join(5)
    assert not [thread.name for thread in left if thread.is_alive()]
    assert len(_descriptors()) <= descriptors, _descriptors()

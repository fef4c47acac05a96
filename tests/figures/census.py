"""Counting what a client does for a request, which is the same on every machine and under load."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Census", "census"]

_SYSTEM_CALLS = ("send", "recv", "poll", "urandom", "getpid")


class Census:
    """Function calls, Python's and C's, on threads of a kind and in the calling thread.

    Args:
        threads: What the names of the kind begin with.
    """

    def __init__(self, threads: str) -> None:
        self._threads = threads
        self.by_name: Counter[str] = Counter()

    @property
    def calls(self) -> int:
        """All function calls."""
        return sum(self.by_name.values())

    def system_calls(self, name: str) -> int:
        """Calls of one of the functions behind which there is a system call."""
        assert name in _SYSTEM_CALLS, "only these are counted as such"
        return self.by_name[f"C {name}"]

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count from zero in this thread, and go on in the others."""
        self.by_name.clear()
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def on_new_thread(self, frame: FrameType, event: str, arg: Any) -> None:
        """Begin to count on a thread, if it is of the kind."""
        name = threading.current_thread().name
        sys.setprofile(self._note if name.startswith(self._threads) else None)

    def _note(self, frame: FrameType, event: str, arg: Any) -> None:
        # One step of a Counter each, in threads that run in turns: good enough for an average.
        if event == "call":
            self.by_name[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            self.by_name[f"C {arg.__name__}"] += 1


@contextmanager
def census(threads: str = "opencode-sync-reader") -> Iterator[Census]:
    """Have threads that begin inside counted; the readers of clients, unless told otherwise."""
    counted = Census(threads)
    threading.setprofile(counted.on_new_thread)
    try:
        yield counted
    finally:
        threading.setprofile(None)

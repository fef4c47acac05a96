"""The thread on which sinks of the log hear of connections and calls.

A sink is the user's code: it may be slow, block, or call the client. So those who keep connections
and calls going, and those who hold a lock, have their lines logged here, and never wait for a sink.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any, Final

from opencode_sync.deadline import Deadline
from opencode_sync.logger import can_be_heard, complain
from opencode_sync.notifier import Notifier
from opencode_sync.own_threads import OwnThreads

__all__ = ["finish_log", "log_soon"]

_NAME: Final = "opencode-sync-log"
_MOST_LINES: Final = 10_000
_AT_EXIT: Final = 0.5
_NO_THREAD: Final = "the system has no thread for the log: its lines wait for the next one"


def _new() -> Notifier:
    # It cannot log that there is no thread to log on.
    return Notifier(_NAME, OwnThreads(), lambda _: complain(_NO_THREAD))


_thread = _new()


def log_soon(line: Callable[..., object], *args: Any) -> None:
    """Have ``line(*args)`` log soon, after all lines before. Never blocks; any thread.

    While nobody can listen nothing happens. Of lines that sinks do not get through in time at most
    10,000 wait; those that follow are dropped, which standard error is told once.
    """
    if not can_be_heard():
        return
    if _thread.backlog >= _MOST_LINES:
        complain("the sinks of the log are too slow: lines of this package are dropped")
        return
    _thread.post(line, *args)


def finish_log(timeout: float) -> None:
    """Wait until all lines so far are logged, at most ``timeout`` seconds; a sink does not wait."""
    _thread.stop(Deadline.after(timeout))


def _forget() -> None:
    """Begin anew in a forked child: the thread is the parent's, and its lock may be held."""
    global _thread
    _thread = _new()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(finish_log, _AT_EXIT)

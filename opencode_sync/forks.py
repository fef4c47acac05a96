"""Which process this is, told without a system call."""

from __future__ import annotations

import os

__all__ = ["this_process"]

# Another object in each fork. Comparing it costs nothing, where os.getpid() is a system call: 7 %
# of the CPU time of a pipelined request.
_token = object()


def this_process() -> object:
    """Return what stands for this process: the same object in all of it, another in each fork."""
    return _token


def _note_fork() -> None:
    global _token
    _token = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)

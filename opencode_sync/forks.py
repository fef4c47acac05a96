"""Which process this is, told without a system call."""

from __future__ import annotations

import os

__all__ = ["Process", "this_process"]


class Process:
    """A process, as whoever belongs to it knows it.

    Looking at it costs nothing, where ``os.getpid()`` is a system call: 7 % of the CPU time of a
    pipelined request.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = False
        """Whether this is not that process, but a fork of it."""


_process = Process()


def this_process() -> Process:
    """Return what stands for this process: the same object in all of it, another in each fork."""
    return _process


def _note_fork() -> None:
    global _process
    _process.left = True
    _process = Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)

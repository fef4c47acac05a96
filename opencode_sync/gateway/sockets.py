"""Waiting for a socket that does not block, with a deadline."""

from __future__ import annotations

import math
import select
import socket

from opencode_sync.deadline import Deadline

__all__ = ["wait_for"]


def wait_for(sock: socket.socket, deadline: Deadline, *, to_write: bool = False) -> bool:
    """Wait until a socket can be read (or written), or has ended; returns False at the deadline.

    Raises:
        OSError: the socket was closed before.
    """
    left = deadline.remaining()
    if hasattr(select, "poll"):
        # Unlike select, takes descriptors of any size.
        poller = select.poll()
        poller.register(sock, select.POLLOUT if to_write else select.POLLIN)
        return bool(poller.poll(None if left is None else math.ceil(left * 1000)))
    readers, writers = ([], [sock]) if to_write else ([sock], [])
    return any(select.select(readers, writers, [], left))

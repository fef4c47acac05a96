"""Ends calls from another thread, which a time-out cannot: shutting a socket down wakes its reader.

The breaker has a descriptor of its own for the socket, so that it never meets one that the call
has closed and the system has given to somebody else, nor takes TLS's state apart.
"""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["Breaker"]


class Breaker:
    """Breaks off the calls of one connection at a time. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next two
        self._broken = False
        self._socket: socket.socket | None = None

    @property
    def broken(self) -> bool:
        """Whether calls fail from now on."""
        return self._broken

    def watch(self, connection: socket.socket) -> None:
        """Let this be the connection, in the place of the one before.

        Raises:
            ConnectionAbortedError: there are to be no more calls.
        """
        own = connection.dup()
        with self._lock:
            broken = self._broken
            over: socket.socket | None = own
            if not broken:
                over, self._socket = self._socket, own
        if over is not None:
            over.close()
        if broken:
            raise ConnectionAbortedError("the call was broken off")

    def trip(self) -> None:
        """End a call that is under way, at once unless it is connecting, and all that come.

        More than once is fine. Never waits. Frees what the breaker holds, so it also has to be
        called when nothing is under way any more.
        """
        with self._lock:
            self._broken = True
            own, self._socket = self._socket, None
        if own is not None:
            with contextlib.suppress(OSError):  # the server was faster
                own.shutdown(socket.SHUT_RDWR)
            own.close()

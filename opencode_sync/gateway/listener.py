"""The listening socket, and the thread that takes connections in.

That thread outlives what goes wrong: without free file descriptors it waits and tries again, for
those come back, and meanwhile clients wait in the system's queue.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.logger import logger

__all__ = ["Listener"]

HOST = "127.0.0.1"
_BACKLOG = 128
_RETRY_SECONDS = 0.2


class Listener:
    """Listens on the loopback address. ``start`` and ``stop`` are for one owner, each once.

    Args:
        port: Where to listen; 0 takes any free port.
        take: Gets each connection, and owns it from then on.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, port: int, take: Callable[[socket.socket], None]) -> None:
        self._take = take
        self._socket = socket.create_server((HOST, port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        # The accept thread waits for the one end; ``stop`` closes the other.
        self._stopped, self._stopper = socket.socketpair()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="opencode-sync-gateway-accept", daemon=True
        )

    def start(self) -> None:
        """Begin to take connections in."""
        self._thread.start()

    def stop(self, deadline: Deadline) -> None:
        """Take in no more; what was taken lives on. Fine without a ``start``, too."""
        self._stopping.set()
        self._stopper.close()  # which wakes the thread
        if self._thread.ident is None:
            self._close()
        else:
            self._thread.join(deadline.remaining())

    def _close(self) -> None:
        self._socket.close()
        self._stopped.close()

    def _run(self) -> None:
        try:
            self._accept_all()
        finally:
            self._close()  # here, since nothing may close what another thread waits on

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while not self._stopping.is_set():
                try:
                    selector.select()
                    self._accept()
                except (BlockingIOError, ConnectionError, InterruptedError):
                    continue  # who knocked has left again
                except Exception as error:  # noqa: BLE001
                    # Above all: no descriptor left. The connection stays in the queue.
                    logger.error("the gateway cannot take a connection in now: {}", error)
                    self._stopping.wait(_RETRY_SECONDS)

    def _accept(self) -> None:
        connection, _ = self._socket.accept()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._take(connection)
        except BaseException:
            connection.close()
            raise

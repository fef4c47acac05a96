"""The thread of a proxy: it takes connections in and moves their bytes, one event at a time."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from opencode_sync.errors import IpcUsageError
from opencode_sync.testing.link import ProxiedLink

__all__ = ["Accept", "ProxyLoop"]

_PATIENCE: Final = 5.0  # seconds that the thread may take for anything asked of it
_BACKLOG: Final = 128
_LONGEST_WAIT: Final = 3600.0

Accept = Callable[[socket.socket, selectors.BaseSelector], "ProxiedLink | None"]
"""Makes a link of a connection that came in, or ends it. Called on the loop's thread."""


class ProxyLoop:
    """Runs links until it is stopped. Used once. Any thread may call ``ask`` and ``stop``."""

    def __init__(self, port: int, accept: Accept) -> None:
        """Begin to listen on 127.0.0.1, and to serve.

        Args:
            port: Where; 0 takes any free port.
            accept: Gets each connection, and owns it from then on.

        Raises:
            OSError: the port cannot be had.
        """
        self._accept = accept
        # The thread's own, and of those who were let in by ``ask``.
        self._listener: socket.socket | None = _listening(port)
        self.port: int = self._listener.getsockname()[1]
        self.links: set[ProxiedLink] = set()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()  # guards the attributes below, and writing to the waker
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._ended = False
        self._thread = threading.Thread(
            target=self._run, name=f"opencode-sync-testing-proxy-{self.port}", daemon=True
        )
        self._thread.start()

    def ask(self, job: Callable[[], None]) -> bool:
        """Have the thread do something, and wait until it has.

        Returns:
            False when it has ended: nothing was done.
        """
        done = threading.Event()

        def run() -> None:
            try:
                job()
            finally:
                done.set()

        with self._lock:
            if self._stopping or self._ended:
                return False
            self._jobs.append(run)
            self._waker.send(b"x")
        if not done.wait(_PATIENCE):
            raise IpcUsageError("the proxy's thread does not answer; this is a bug")
        return True

    def stop(self) -> None:
        """End all links and the thread. Idempotent."""
        with self._lock:
            self._stopping = True
            if not self._ended:
                self._waker.send(b"x")
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise IpcUsageError("the proxy's thread does not end; this is a bug")

    # --- On the loop's thread ---

    def listen(self) -> None:
        """Listen again; raises ``OSError`` when somebody else has the port."""
        if self._listener is None:
            self._listener = _listening(self.port)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def close_listener(self) -> None:
        """Take no more connections in."""
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def advance(self, link: ProxiedLink, now: float) -> None:
        """Let a link do what is due, and forget it when it is over."""
        if link in self.links and not link.advance(now):
            self.links.discard(link)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            with self._lock:
                self._ended = True
                jobs = list(self._jobs)
                self._jobs.clear()
                self._waker.close()
                self._woken.close()
            for job in jobs:  # somebody waits for each
                job()
            for link in self.links:
                link.drop()
            self.links.clear()
            self.close_listener()
            self._selector.close()

    def _turn(self) -> None:
        now = time.monotonic()
        next_call = min((link.next_call for link in self.links), default=now + _LONGEST_WAIT)
        events = self._selector.select(max(0.0, min(next_call - now, _LONGEST_WAIT)))
        now = time.monotonic()
        for key, ready in events:
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            elif isinstance(key.data, ProxiedLink):
                key.data.ready(key.fileobj, ready, now)
                self.advance(key.data, now)
            elif self._listener is not None:
                self._take_in(self._listener, now)
        while self._jobs:
            self._jobs.popleft()()
        for link in [link for link in self.links if link.next_call <= now]:
            self.advance(link, now)

    def _take_in(self, listener: socket.socket, now: float) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # who knocked has left again
        link = self._accept(client, self._selector)
        if link is not None:
            self.links.add(link)
            self.advance(link, now)


def _listening(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    listener.setblocking(False)
    return listener

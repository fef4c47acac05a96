"""A way to a server on which the stream of events can be cut, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading


class EventCutter:
    """Hands connections on to a server at 127.0.0.1; ``stop`` it.

    Attributes:
        url: Its own address.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()  # guards the next three
        self._sockets: list[socket.socket] = []
        self._streams: list[socket.socket] = []
        self._kept_away = False
        self._threads = [threading.Thread(target=self._accept, name="test-cutter")]
        self._threads[0].start()

    def cut(self, *, keep_away: bool = False) -> int:
        """End the streams of events there are; returns how many that were.

        Args:
            keep_away: End those that are begun as well, until ``let_in``.
        """
        with self._lock:
            self._kept_away = keep_away
            streams, self._streams = self._streams, []
        for stream in streams:
            _shut(stream)
        return len(streams)

    def let_in(self) -> None:
        """Let streams of events begin again."""
        with self._lock:
            self._kept_away = False

    def stop(self) -> None:
        """End everything."""
        _shut(self._listener)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _shut(each)
        for thread in self._threads:
            thread.join()
        for each in sockets:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._carry, args=pair, name="test-cutter")
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if data.startswith(b"GET /global/event"):
                    with self._lock:
                        if self._kept_away:
                            break
                        self._streams.append(source)
                target.sendall(data)
        _shut(target)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

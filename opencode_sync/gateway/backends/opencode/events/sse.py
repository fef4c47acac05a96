"""The connection on which OpenCode sends its events: HTTP, and in it server-sent events.

It has a socket of its own, not one of the pool, because it is read for ever and has to end at once
when another thread says so: shutting the socket down is what wakes a reader.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import ssl
import threading
from collections import deque

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import (
    no_server,
    one_line,
    read_refusal,
    server_error,
)
from opencode_sync.gateway.backends.opencode.events.sse_parser import Chunks, SseParser
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, RefusedError

__all__ = ["SseStream"]

_CHUNK = 64 * 1024
_LONGEST_HEAD = 64 * 1024
_LONGEST_REFUSAL = 64 * 1024
_LENGTH = re.compile(r"[0-9]{1,18}")
_REFUSAL_TIMEOUT = 1.0
"""Seconds for the words of a refusal; without them its status has to do."""


class SseStream:
    """One subscription to events. One thread opens and reads it; any thread may close it."""

    def __init__(self, http: OpenCodeHttp, path: str) -> None:
        """Do no I/O.

        Args:
            http: The server, and how to log in there.
            path: From its root, such as ``"/global/event"``.
        """
        self._address = http.address
        self._base_url = http.base_url
        self._call = f"GET {path}"
        self._path = path
        self._lock = threading.Lock()  # guards the next two
        self._socket: socket.socket | None = None
        self._closed = False
        self._parser = SseParser()
        self._chunks: Chunks | None = None
        self._left: int | None = None  # of a body whose length was said
        self._events: deque[str] = deque()

    def close(self) -> None:
        """End it; a thread that reads it gets to know at once. More than once is fine."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                # The plain socket's: TLS would take its own state apart under the reader.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def dispose(self) -> None:
        """Free the socket. Only for the thread that opened the stream."""
        self.close()
        with self._lock:
            connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def open(self, deadline: Deadline) -> None:
        """Connect, and wait until the server has begun to answer with events.

        Raises:
            RefusedError: it answered, but not with a success.
            BackendError: NO_SERVER: it cannot be reached, or the stream was closed meanwhile.
                SERVER_ERROR: it is late, or answers with something else.
        """
        try:
            self._connect(deadline)
            head, rest = self._read_head(deadline)
        except TimeoutError:
            raise self._late() from None
        except (OSError, ValueError) as error:
            raise self._unreachable(error) from error
        status, headers = head
        content_type = headers.get_content_type() if "Content-Type" in headers else ""
        content_type = one_line(content_type)  # a header may be folded
        if headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            self._chunks = Chunks()
        elif _LENGTH.fullmatch(length := headers.get("Content-Length", "").strip()):
            self._left = int(length)
        if not 200 <= status < 300:
            words = self._read_refusal(rest, deadline)
            refusal = read_refusal(status, content_type, words)
            raise RefusedError(refusal, call=self._call, base_url=self._base_url)
        if content_type != "text/event-stream":
            raise server_error(
                f"{self._base_url} answered {self._call} with {content_type or 'no content type'} "
                f"instead of events (status {status}); either it is not OpenCode, or this version "
                f"of OpenCode does not have the call"
            )
        try:
            self._take(rest)
        except ValueError as error:
            raise self._broken(error) from error

    def read(self, deadline: Deadline, *, silence: float | None = None) -> str:
        """Return the next event's data.

        Args:
            deadline: When to give up.
            silence: Seconds without a single byte after which to give up.

        Raises:
            BackendError: NO_SERVER: the stream has ended, or was closed, or silent. SERVER_ERROR:
                it is late.
        """
        try:
            return self._next(deadline, silence)
        except TimeoutError:
            if deadline.passed():
                raise self._late() from None
            raise no_server(
                f"OpenCode at {self._base_url} has sent no event and no sign of life for "
                f"{silence:g} s; the connection is given up"
            ) from None

    def read_until(self, deadline: Deadline) -> str | None:
        """Return the next event's data, None if there is none in time; raises as ``read`` does."""
        try:
            return self._next(deadline, None)
        except TimeoutError:
            return None

    def _next(self, deadline: Deadline, silence: float | None) -> str:
        while not self._events:
            try:
                self._take(self._receive(deadline.earlier(Deadline.after(silence))))
            except TimeoutError:
                raise
            except (OSError, ValueError) as error:
                raise self._broken(error) from error
        return self._events.popleft()

    # Bytes...

    def _connect(self, deadline: Deadline) -> None:
        address = self._address
        connection = socket.create_connection((address.host, address.port), _left(deadline))
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(_left(deadline))
            if address.tls:
                context = ssl.create_default_context()
                connection = context.wrap_socket(connection, server_hostname=address.host)
            with self._lock:
                if self._closed:
                    raise ConnectionAbortedError("it was closed")
                self._socket = connection
        except BaseException:
            connection.close()
            raise
        host = f"[{address.host}]" if ":" in address.host else address.host
        headers = {
            "Host": f"{host}:{address.port}",
            **address.headers,
            "Accept": "text/event-stream",
            "Cache-Control": "no-cache",
        }
        lines = [f"GET {address.prefix}{self._path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.settimeout(_left(deadline))
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _receive(self, deadline: Deadline) -> bytes:
        """Return some bytes; raises OSError when there are none any more."""
        connection = self._socket
        if connection is None or self._closed:
            raise ConnectionAbortedError("it was closed")
        if self._left == 0 or (self._chunks is not None and self._chunks.ended):
            raise ConnectionResetError("the server ended it")
        connection.settimeout(_left(deadline))
        data = connection.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("the server ended it")
        return data

    def _read_head(self, deadline: Deadline) -> tuple[tuple[int, http.client.HTTPMessage], bytes]:
        data = bytearray()
        while (end := data.find(b"\r\n\r\n", 0, _LONGEST_HEAD)) < 0:
            if len(data) >= _LONGEST_HEAD:
                raise ValueError("its answer is no HTTP")
            data += self._receive(deadline)
        line, _, lines = bytes(data[: end + 4]).partition(b"\r\n")
        status = re.match(rb"HTTP/1\.[01] (\d{3})(?: |\Z)", line)
        if status is None:
            raise ValueError("its answer is no HTTP")
        try:
            headers = http.client.parse_headers(io.BytesIO(lines))
        except http.client.HTTPException as error:
            raise ValueError("its answer has too many headers") from error
        return (int(status[1]), headers), bytes(data[end + 4 :])

    def _unframed(self, data: bytes) -> bytes:
        if self._chunks is not None:
            return self._chunks.feed(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def _take(self, data: bytes) -> None:
        self._events.extend(self._parser.feed(self._unframed(data)))

    def _read_refusal(self, rest: bytes, deadline: Deadline) -> bytes:
        deadline = deadline.earlier(Deadline.after(_REFUSAL_TIMEOUT))
        words = b""
        try:
            words += self._unframed(rest)
            while len(words) < _LONGEST_REFUSAL:
                words += self._unframed(self._receive(deadline))
        except ValueError:
            return b""  # badly framed; how much came before depends on how it was cut
        except OSError:
            return words  # its end, too, comes as one
        return words

    # Errors...

    def _late(self) -> BackendError:
        return server_error(
            f"OpenCode at {self._base_url} did not answer {self._call} within the time allowed"
        )

    def _unreachable(self, error: Exception) -> BackendError:
        return no_server(
            f"no OpenCode server can be reached at {self._base_url} ({_reason(error)}); start one "
            f"with `opencode serve`, or let the gateway discover or spawn one"
        )

    def _broken(self, error: Exception) -> BackendError:
        return no_server(
            f"the stream of events from OpenCode at {self._base_url} broke ({_reason(error)})"
        )


def _left(deadline: Deadline) -> float | None:
    left = deadline.remaining()
    if left == 0.0:  # which would make the socket non-blocking instead
        raise TimeoutError("timed out")
    return left


def _reason(error: Exception) -> str:
    return one_line((isinstance(error, OSError) and error.strerror) or str(error))

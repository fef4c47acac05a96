"""The opening handshake: websocket-client's, over a socket that we opened and guard.

The library checks what a server answers. What it does besides is kept from it here: it has a
time-out per byte but none for the whole, reads headers and bodies without a limit, shares one
cookie jar among everything in the process, and quotes the peer's headers and body in its errors.
"""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

import websocket

from opencode_sync.deadline import Deadline
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)

__all__ = ["upgrade"]

_MAX_BYTES: Final = 65536
_SWITCHING_PROTOCOLS: Final = 101

# The library picks cookies by the host's name alone, whatever the port: one program's would go to
# another. Under this name it finds none; the real one goes into the Host header only.
_NO_COOKIES: Final = "ws://no-cookies.invalid/"

# Cookies, and a refusal's body, which nobody reads.
_WITHHELD: Final = ("set-cookie", "content-length")

_NOT_ASKED_FOR: Final = frozenset({"sec-websocket-extensions", "sec-websocket-protocol"})

# What a peer that is no WebSocket server can make the library raise, wrapped or not.
_FAILURES: Final = (
    websocket.WebSocketException,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

# Those whose text is not the peer's, so that it may be shown.
_QUOTABLE: Final = (
    OSError,
    websocket.WebSocketTimeoutException,
    websocket.WebSocketConnectionClosedException,
)


def upgrade(sock: socket.socket, endpoint: str, deadline: Deadline) -> bytes:
    """Make a WebSocket link of a connected socket.

    Args:
        sock: The socket; its time-out is changed, and it is never closed.
        endpoint: Where it leads, as ``"ws://127.0.0.1:4096/"``.
        deadline: For the whole handshake.

    Returns:
        What came in behind the handshake: the beginning of the first frames.

    Raises:
        TransportTimeout: the deadline came first.
        TransportError: the peer is no WebSocket server, refused, or went away.
    """
    guarded = _GuardedSocket(sock, deadline)
    client = websocket.WebSocket()
    try:
        client.connect(  # type: ignore[no-untyped-call]
            _NO_COOKIES,
            socket=guarded,
            host=urlsplit(endpoint).netloc,
            redirect_limit=0,
            suppress_origin=True,
        )
    except _FAILURES as error:
        failure = _explain(error, _status(error, client), endpoint)
    except _AnswerTooLong:
        failure = TransportProtocolError(
            f"{endpoint} answered the WebSocket handshake with more than {_MAX_BYTES} bytes; "
            "is another program using this port?"
        )
    else:
        answer = client.handshake_response
        if answer is None or not _NOT_ASKED_FOR & answer.headers.keys():
            return guarded.read_ahead
        failure = TransportProtocolError(
            f"{endpoint} answered the WebSocket handshake with an extension nobody asked for"
        )
    # Raised here and not above, where the library's error would stay attached as the context: it
    # holds the peer's headers and body, which may hold secrets of another program.
    raise failure


def _status(error: Exception, client: websocket.WebSocket) -> int | None:
    if isinstance(error, websocket.WebSocketBadStatusException):
        return error.status_code
    if client.handshake_response is not None:  # a redirect, which is not followed
        return client.handshake_response.status
    return None


def _explain(error: Exception, status: int | None, endpoint: str) -> TransportError:
    failure: TransportError
    if isinstance(error, websocket.WebSocketTimeoutException):
        failure = TransportTimeout(
            f"{endpoint} accepted the connection but did not answer the WebSocket handshake in "
            "time; is another program using this port?"
        )
    elif isinstance(error, (websocket.WebSocketConnectionClosedException, OSError)):
        failure = TransportClosed(
            f"{endpoint} closed the connection during the WebSocket handshake; is another program "
            "using this port?"
        )
    elif status is not None and status != _SWITCHING_PROTOCOLS:
        failure = TransportError(
            f"{endpoint} refused the WebSocket handshake with HTTP status {status}; is another "
            "program using this port?"
        )
    else:
        failure = TransportError(
            f"{endpoint} did not answer as a WebSocket server; is another program using this port?"
        )
    if isinstance(error, _QUOTABLE):
        failure.__cause__ = error
    return failure


class _AnswerTooLong(Exception):
    """The peer's answer to the handshake has no end."""


class _GuardedSocket:
    """What websocket-client sees of our socket: the head of the answer, and no more of it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        self._line = b""
        self._delivered = 0
        self.read_ahead = b""
        """What came after the line that is being delivered; in the end, the first frames."""

    def recv(self, size: int) -> bytes:
        if not self._line:
            self._line = self._next_line()
        data, self._line = self._line[:size], self._line[size:]
        return data

    def _next_line(self) -> bytes:
        """Return the next line that is not withheld, or nothing when the peer closed."""
        while True:
            end = self.read_ahead.find(b"\n") + 1
            if end:
                line, self.read_ahead = self.read_ahead[:end], self.read_ahead[end:]
                self._delivered += end
                # Exactly as the library reads it, so that none can be dressed up to slip through.
                name = line.decode("utf-8", "replace").strip().partition(":")[0].lower()
                if name not in _WITHHELD:
                    return line
                continue
            # Only now, when more is needed: frames may stand right behind the handshake.
            if self._delivered + len(self.read_ahead) >= _MAX_BYTES:
                raise _AnswerTooLong
            self._arm()
            data = self._socket.recv(4096)
            if not data:
                return b""
            self.read_ahead += data

    def send(self, data: bytes) -> int:
        self._arm()
        self._socket.sendall(data)
        return len(data)

    def _arm(self) -> None:
        if self._deadline.passed():
            raise TimeoutError("the deadline came first")
        left = self._deadline.remaining()
        # Never 0, which to a socket would mean not to wait at all and to fail otherwise.
        self._socket.settimeout(None if left is None else max(left, 0.001))

    def gettimeout(self) -> float | None:
        return self._socket.gettimeout()

    def close(self) -> None:
        """Leave the socket to the transport, which owns it."""

"""The WebSocket transport: our socket, websocket-client's handshake, our frames.

What websocket-client does well, the opening handshake, it does here, over a socket that we opened
and guard. Handing it that socket is what keeps proxies from the environment, redirects and
unbounded waits out of the connection. Everything after the handshake is ``frames``.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import websocket

from opencode_sync.deadline import Deadline
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameReader,
    close_payload,
    encode_frame,
    parse_close,
)

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = ["WebSocketTransport"]

# Windows has no per-call way to write without waiting, so there the whole socket never waits.
_DONTWAIT: Final[int | None] = getattr(socket, "MSG_DONTWAIT", None)

_MAX_HANDSHAKE_BYTES: Final = 65536
_UNSUPPORTED_DATA: Final = 1003

# What a peer that is no WebSocket server can make the library raise, wrapped or not.
_HANDSHAKE_FAILURES: Final = (
    websocket.WebSocketException,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class WebSocketTransport(Transport):
    """One WebSocket link to ``ws://host:port/``."""

    def __init__(self, config: IpcConfig, options: IpcClientOptions) -> None:
        self.endpoint = config.endpoint
        self.last_received_at = time.monotonic()
        self.on_output_due = lambda: None
        self.text_messages = 0
        """Text messages the peer sent after its first binary one; they are ignored."""
        self._host, self._port = config.host, config.port
        self._receive_size = options.max_receive_buffer_size
        # The reader alone uses the frames; the socket is used by everyone, for what the module's
        # table in ``base`` lets them.
        self._frames = FrameReader(options.max_message_size)
        self._socket: socket.socket | None = None
        self._heard_binary = False
        self._aborted = False
        # Owed to the peer: filled by the reader, emptied by the writer. One place each, so that a
        # flood of pings costs one pong.
        self._pong: deque[bytes] = deque(maxlen=1)
        # The writer's: frames not yet begun, and what is left of the one being written.
        self._output: deque[bytes] = deque()
        self._rest = memoryview(b"")

    # --- The reader ---

    def connect(self, deadline: Deadline) -> None:
        sock = self._dial(deadline)
        self._shake_hands(sock, deadline)
        if _DONTWAIT is None:  # pragma: no cover - Windows
            sock.setblocking(False)
        else:
            sock.settimeout(None)
        self.last_received_at = time.monotonic()

    def _dial(self, deadline: Deadline) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        # Set first, so that an abort() from now on ends whatever this thread waits for.
        self._socket = sock
        if self._aborted:
            raise TransportClosed("the connection attempt was aborted")
        try:
            sock.settimeout(_positive(deadline.remaining()))
            sock.connect((self._host, self._port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise TransportTimeout(f"nothing answered at {self.endpoint} in time") from error
        except OSError as error:
            raise TransportError(
                f"could not connect to {self.endpoint}: {_cause(error)}"
            ) from error
        return sock

    def _shake_hands(self, sock: socket.socket, deadline: Deadline) -> None:
        guarded = _HandshakeSocket(sock, deadline)
        try:
            websocket.WebSocket().connect(  # type: ignore[no-untyped-call]
                self.endpoint, socket=guarded, redirect_limit=0, suppress_origin=True
            )
        except _HandshakeTooLong as error:
            raise TransportProtocolError(
                f"{self.endpoint} answered the WebSocket handshake with more than "
                f"{_MAX_HANDSHAKE_BYTES} bytes; is another program using this port?"
            ) from error
        except websocket.WebSocketTimeoutException as error:
            raise TransportTimeout(
                f"{self.endpoint} accepted the connection but did not answer the WebSocket "
                "handshake in time; is another program using this port?"
            ) from error
        except websocket.WebSocketBadStatusException as error:
            # The library's own text quotes headers and body, which may hold secrets.
            raise TransportError(
                f"{self.endpoint} refused the WebSocket handshake with HTTP status "
                f"{error.status_code}"
            ) from None
        except websocket.WebSocketConnectionClosedException as error:
            raise TransportClosed(
                f"{self.endpoint} closed the connection during the WebSocket handshake"
            ) from error
        except _HANDSHAKE_FAILURES as error:
            raise TransportError(
                f"{self.endpoint} did not answer as a WebSocket server; is another program using "
                "this port?"
            ) from error
        self._frames.feed(guarded.read_ahead)

    def receive(self, deadline: Deadline | None = None) -> bytes:
        while True:
            event = self._frames.next_event()
            if event is None:
                self._frames.feed(self._read(deadline))
                continue
            opcode, payload = event
            if opcode == BINARY:
                self._heard_binary = True
                return payload
            if opcode == PING:
                self._pong.append(payload)
                self.on_output_due()
            elif opcode == TEXT:
                self._ignore_text()
            elif opcode == CLOSE:
                self._raise_close(payload)

    def _ignore_text(self) -> None:
        # As a first message it tells that this is no IPC backend; later it disturbs nobody.
        if not self._heard_binary:
            raise TransportProtocolError(
                f"{self.endpoint} speaks text, not the IPC protocol; is another program using "
                "this port?",
                code=_UNSUPPORTED_DATA,
            )
        self.text_messages += 1

    def _raise_close(self, payload: bytes) -> None:
        code, reason = parse_close(payload)
        said = "without a code" if code is None else f"with code {code}"
        detail = f": {reason}" if reason else ""
        raise TransportClosed(
            f"the backend closed the connection {said}{detail}",
            code=code,
            reason=reason,
            clean=True,
        )

    def _read(self, deadline: Deadline | None) -> bytes:
        sock = self._open_socket()
        try:
            while True:
                if (deadline is not None or _DONTWAIT is None) and not _wait(
                    sock, deadline or Deadline(None), write=False
                ):
                    raise TransportTimeout("no message came in time")
                try:
                    data = sock.recv(self._receive_size)
                except BlockingIOError:  # pragma: no cover - Windows: readiness may be spurious
                    continue
                break
        except (OSError, ValueError) as error:
            raise TransportClosed(f"the connection was lost: {_cause(error)}") from error
        if not data:
            raise TransportClosed(
                "the connection was closed on this side"
                if self._aborted
                else "the backend dropped the connection without a word"
            )
        self.last_received_at = time.monotonic()
        return data

    def dispose(self) -> None:
        if self._socket is not None:
            self._socket.close()

    # --- The writer ---

    def send(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._output.append(encode_frame(BINARY, message))

    def ping(self) -> None:
        self._output.append(encode_frame(PING, b""))

    @property
    def output_due(self) -> bool:
        return bool(self._rest or self._output or self._pong)

    def flush(self, deadline: Deadline) -> bool:
        sock = self._open_socket()
        try:
            while self._rest or self._next_output():
                try:
                    written = sock.send(self._rest, _DONTWAIT or 0)
                except BlockingIOError:
                    if not _wait(sock, deadline, write=True):
                        return False
                else:
                    self._rest = self._rest[written:]
        except (OSError, ValueError) as error:
            raise TransportClosed(f"the connection was lost: {_cause(error)}") from error
        return True

    def _next_output(self) -> bool:
        """Move everything that waits into one piece, so that it goes out in one call."""
        frames = list(self._output)
        self._output.clear()
        if self._pong:
            frames.insert(0, encode_frame(PONG, self._pong.popleft()))
        self._rest = memoryview(frames[0] if len(frames) == 1 else b"".join(frames))
        return bool(frames)

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self._output.append(encode_frame(CLOSE, close_payload(code, reason)))
        try:
            self.flush(deadline)
        except TransportError:
            return  # the link is gone already, which is what close() is for

    # --- Any thread ---

    def abort(self) -> None:
        self._aborted = True
        sock = self._socket
        if sock is None:
            return
        try:
            # Not close(): closing a descriptor does not wake a thread that waits in recv() on it.
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected any more: nobody can be waiting

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise TransportClosed("the transport is not connected")
        return self._socket


class _HandshakeTooLong(Exception):
    """The peer's answer to the handshake has no end."""


class _HandshakeSocket:
    """What websocket-client sees of our socket while it shakes hands.

    It gives the whole handshake one deadline and one limit in bytes, where the library has a
    time-out per byte and no limit, and reads ahead, where the library reads byte by byte.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        self._delivered = 0
        self.read_ahead = b""
        """What came after the handshake's last byte: the first frames."""

    def recv(self, size: int) -> bytes:
        if self._delivered >= _MAX_HANDSHAKE_BYTES:
            raise _HandshakeTooLong
        if not self.read_ahead:
            self._arm()
            self.read_ahead = self._socket.recv(4096)
        data, self.read_ahead = self.read_ahead[:size], self.read_ahead[size:]
        # Counted as delivered, not as read: frames may stand right behind the handshake.
        self._delivered += len(data)
        return data

    def send(self, data: bytes) -> int:
        self._arm()
        return self._socket.send(data)

    def _arm(self) -> None:
        if self._deadline.passed():
            raise TimeoutError
        self._socket.settimeout(_positive(self._deadline.remaining()))

    def gettimeout(self) -> float | None:
        return self._socket.gettimeout()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the socket to the transport, which owns it."""


def _positive(seconds: float | None) -> float | None:
    """Return a time-out sockets accept as one: 0 would mean "do not wait" to them."""
    return None if seconds is None else max(seconds, 0.001)


def _cause(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _wait(sock: socket.socket, deadline: Deadline, *, write: bool) -> bool:
    """Wait until the socket can be read or written; returns False when the deadline came first."""
    left = deadline.remaining()
    if not hasattr(select, "poll"):  # pragma: no cover - Windows
        readers, writers = ([], [sock]) if write else ([sock], [])
        return any(select.select(readers, writers, [], left))
    poller = select.poll()
    poller.register(sock, select.POLLOUT if write else select.POLLIN)
    return bool(poller.poll(None if left is None else left * 1000))

"""The WebSocket transport: our socket, websocket-client's handshake, our frames.

What websocket-client does well, the opening handshake, it does in ``upgrade``, over a socket that
we opened. Handing it that socket is what keeps proxies from the environment, redirects and
unbounded waits out of the connection. Everything after the handshake is ``frames``.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from opencode_sync.deadline import NEVER, Deadline
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
from opencode_sync.transport.upgrade import upgrade

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = ["WebSocketTransport"]

# Windows has no per-call way to write without waiting, so there the whole socket never waits.
_DONTWAIT: Final[int | None] = getattr(socket, "MSG_DONTWAIT", None)

# A broken link is an error of this call, also in a program that wants to die of broken pipes.
_SEND_FLAGS: Final[int] = (_DONTWAIT or 0) | getattr(socket, "MSG_NOSIGNAL", 0)

_CONNECTING: Final = (errno.EINPROGRESS, errno.EWOULDBLOCK)
_UNSUPPORTED_DATA: Final = 1003
_NOT_CONNECTED: Final = "the transport is not connected"

_OVERDUE: Final = 100
"""Pings and texts still dealt with after the deadline, to get at a message that came in time."""
_LONGEST_WAIT: Final = 24 * 3600.0  # seconds; what the system can count in one call has an end


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
        # How the reader saw the link end. The writer tells it as well: it is what really happened.
        self._end: TransportError | None = None
        self._ending = threading.RLock()  # guards the descriptor: no freed number is shut down
        # Owed to the peer: filled by the reader, emptied by the writer. One place each, so that a
        # flood of pings costs one pong.
        self._pong: deque[bytes] = deque(maxlen=1)
        # The writer's: frames not yet begun, and what is left of the one being written.
        self._output: deque[bytes] = deque()
        self._rest: bytes | memoryview = b""
        self._said_goodbye = False

    # --- The reader ---

    def connect(self, deadline: Deadline) -> None:
        sock = self._dial(deadline)
        try:
            self._frames.feed(upgrade(sock, self.endpoint, deadline))
        except TransportError as error:
            if self._aborted:
                raise TransportClosed("the connection attempt was aborted") from error
            raise
        if _DONTWAIT is None:  # pragma: no cover - Windows
            sock.setblocking(False)
        else:
            sock.settimeout(None)
        self.last_received_at = time.monotonic()

    def _dial(self, deadline: Deadline) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
            self._socket = sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            problem = sock.connect_ex((self._host, self._port))
            # An abort() before this line is seen in _aborted; one after it ends the wait.
            if problem in _CONNECTING and not self._aborted:
                if not _wait(sock, deadline, write=True):
                    raise TransportTimeout(
                        f"nothing answered at {self.endpoint} in time; check that a backend runs "
                        "there and is not overloaded"
                    )
                problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if self._aborted:
                raise TransportClosed("the connection attempt was aborted")
            if problem:
                raise OSError(problem, os.strerror(problem))
        except OSError as error:
            raise TransportError(
                f"could not connect to {self.endpoint}: {_cause(error)}; check that a backend runs "
                "there, or start one with: opencode-sync gateway"
            ) from error
        return sock

    def receive(self, deadline: Deadline | None = None) -> bytes:
        if self._end is not None:
            raise self._end
        late, overdue = False, 0
        try:
            while True:
                event = self._frames.next_event()
                if self._pong and (event is None or event[0] == BINARY):
                    self.on_output_due()  # once for all pings of one piece
                if event is None:
                    # What has come already is taken even late, but once: a peer that keeps sending
                    # what is no whole message must not stretch the deadline.
                    if late:
                        raise TransportTimeout("no whole message came in time")
                    late = deadline is not None and deadline.passed()
                    self._frames.feed(self._read(deadline))
                    continue
                opcode, payload = event
                if opcode == BINARY:
                    self._heard_binary = True
                    return payload
                if opcode == CLOSE:
                    self._raise_close(payload)
                if deadline is not None and deadline.passed():
                    overdue += 1
                    if overdue > _OVERDUE:
                        raise TransportTimeout("no whole message came in time")
                if opcode == PING:
                    self._pong.append(payload)
                elif opcode == TEXT:
                    self._ignore_text()
        except TransportTimeout:
            raise
        except TransportError as error:
            self._end = error
            raise

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
        sock = self._socket
        if sock is None:
            raise TransportClosed(_NOT_CONNECTED)
        try:
            while True:
                if (deadline is not None or _DONTWAIT is None) and not _wait(
                    sock, deadline or NEVER, write=False
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
        # Not for ever: in a forked child the lock may be held by a thread that is not there.
        mine = self._ending.acquire(timeout=0.2)
        if self._socket is not None:
            self._socket.close()
        if mine:
            self._ending.release()

    # --- The writer ---

    def send(self, messages: Sequence[bytes]) -> None:
        if self._end is not None and messages:
            raise self._end
        if self._said_goodbye and messages:
            raise TransportClosed("the connection was closed on this side")
        for message in messages:
            self._output.append(encode_frame(BINARY, message))

    def ping(self) -> None:
        self._output.append(encode_frame(PING, b""))

    @property
    def output_due(self) -> bool:
        return bool(self._rest or self._output or self._pong)

    def flush(self, deadline: Deadline) -> bool:
        if self._end is not None:
            raise self._end
        return self._write(deadline)

    def _write(self, deadline: Deadline) -> bool:
        sock = self._socket
        if sock is None:
            raise TransportClosed(_NOT_CONNECTED)
        try:
            while self._rest or self._output or self._pong:
                rest = self._rest or self._take_output()
                try:
                    written = sock.send(rest, _SEND_FLAGS)
                except BlockingIOError:
                    if not _wait(sock, deadline, write=True):
                        return False
                else:
                    self._rest = memoryview(rest)[written:] if written < len(rest) else b""
        except (OSError, ValueError) as error:
            raise TransportClosed(f"the connection was lost: {_cause(error)}") from error
        return True

    def _take_output(self) -> bytes:
        """Move everything that waits into one piece, so that it goes out in one call."""
        output = self._output
        if self._pong:
            output.appendleft(encode_frame(PONG, self._pong.popleft()))
        self._rest = piece = b"".join(output)
        output.clear()
        return piece

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        if not self._said_goodbye:  # a second one would be a frame after the last
            self._output.append(encode_frame(CLOSE, close_payload(code, reason)))
        self._said_goodbye = True
        try:
            self._write(deadline)
        except TransportError:
            return  # the link is gone already, which is what close() is for

    # --- Any thread ---

    def abort(self) -> None:
        self._aborted = True
        with self._ending:
            if self._socket is None:
                return
            try:
                # Not close(): that does not wake a thread that waits in recv() on the descriptor.
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # not connected any more: nobody can be waiting


def _cause(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _wait(sock: socket.socket, deadline: Deadline, *, write: bool) -> bool:
    """Wait until the socket can be read or written; returns False when the deadline came first."""
    while True:
        left = deadline.remaining()
        step = left if left is None else min(left, _LONGEST_WAIT)
        if hasattr(select, "poll"):
            poller = select.poll()
            poller.register(sock, select.POLLOUT if write else select.POLLIN)
            ready = bool(poller.poll(None if step is None else step * 1000))
        else:  # pragma: no cover - Windows, where a failed connect shows as an exceptional state
            readers, writers = ([], [sock]) if write else ([sock], [])
            ready = any(select.select(readers, writers, writers, step))
        if ready:
            return True
        if deadline.passed():
            return False

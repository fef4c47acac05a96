"""A peer's link over a WebSocket: the protocol by ``websockets``, the socket handled here.

Of ``websockets`` only the protocol without I/O is used. Its threaded server writes to the socket
under the lock that reading needs too, without a limit in time, so one client that does not read
would freeze its connection, its keep-alive and the server's end. Here one thread reads, and never
waits in a write; whoever has something to send adds it to an output that is written apart from the
protocol, and that drops a peer who takes nothing.

A client may be silent for as long as it likes. But one that is gone without a word (a half-open
link, a stopped program) would keep its place and its subscriptions for ever, so after a while of
silence it is pinged, and ended when nothing comes at all. It is the reading thread that does so,
because it is the one that waits meanwhile.

Requests from browsers are refused by their ``Origin``, and names that were made to point here (DNS
rebinding) by their ``Host``.
"""

from __future__ import annotations

import contextlib
import http
import logging
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.link import INTERNAL_ERROR, TOO_BIG, Link
from opencode_sync.gateway.output import Output
from opencode_sync.gateway.sockets import wait_for
from opencode_sync.logger import logger
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)

__all__ = ["WebSocketLink"]

_READ_SIZE = 65536
_UNTRUSTED_SIZE = 65536
"""Bytes a peer may send before its first message is complete."""
_MAX_FRAGMENTS = 65536
_LINGER_SECONDS = 1.0


class _ToLoguru(logging.Handler):
    """Takes what ``websockets`` logs to where this package logs."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).warning("websockets: {}", record.getMessage())


# Not among logging's named loggers, so that no program's settings print it by accident. Warnings
# and worse only: a client that vanishes is no news.
_websockets_logger = logging.Logger("opencode_sync.websockets", logging.WARNING)
_websockets_logger.addHandler(_ToLoguru())


class WebSocketLink(Link):
    """One accepted connection.

    Args:
        sock: The connection; the link owns it from here on.
        port: Where we listen, which the peer's ``Host`` header has to name.
        max_message_size: Bytes a message from the peer may have.
        send_timeout: Seconds the peer may take nothing of what is written.
        ping_interval: Seconds without a deadline that the peer may send nothing before a ping.
        ping_timeout: Seconds it may then go on to send nothing before it is ended.
        later: Runs a job on another thread soon; returns False when it cannot.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        port: int,
        max_message_size: int,
        send_timeout: float,
        ping_interval: float,
        ping_timeout: float,
        later: Callable[[Callable[[], object]], bool],
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        # The reader's own.
        self._fragments: list[bytes] = []
        self._text = False
        self._messages: deque[bytes | None] = deque()
        self._end: TransportError | None = None
        self._received_size = 0
        self._trusted = False
        self._replied = False  # whether there is output that nobody writes yet
        self._output = Output(sock, patience=send_timeout, later=later)
        # Guards the protocol; what it has to say goes into the output in the same step.
        self._lock = threading.Lock()
        self._protocol = ServerProtocol(
            origins=[None], max_size=max_message_size, logger=_websockets_logger
        )

    # The reader: messages

    def open(self, deadline: Deadline) -> None:
        request = None
        while request is None:
            for event in self._read(deadline):
                if isinstance(event, Request):
                    request = event
                else:
                    self._collect(event)
            if request is None and self._protocol.handshake_exc is not None:
                raise TransportError("the peer did not send a WebSocket handshake")
        with self._lock:
            if self._means_us(request.headers.get_all("Host")):
                response = self._protocol.accept(request)
            else:
                response = self._protocol.reject(
                    http.HTTPStatus.FORBIDDEN,
                    "The Host header must be 127.0.0.1 or localhost with this port.\n",
                )
            self._protocol.send_response(response)
            self._output.add(self._protocol.data_to_send())
        self._output.write_at_once()
        if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
            raise TransportError(f"the WebSocket handshake was refused ({response.status_code})")

    def trust(self) -> None:
        self._trusted = True

    def receive(self, deadline: Deadline) -> bytes | None:
        while not self._messages:
            if self._end is not None:
                raise self._end
            for event in self._read(deadline):
                self._collect(event)
            if not self._trusted and not self._messages and self._received_size > _UNTRUSTED_SIZE:
                self._fail(TOO_BIG, "too much data for a first message")
        return self._messages.popleft()

    def dispose(self) -> None:
        # A socket closed with unread bytes resets the connection, and the peer may lose what we
        # wrote last: so end our direction first, and read on until the peer has ended its own.
        deadline = Deadline.after(_LINGER_SECONDS)
        self._output.finish(deadline)
        with contextlib.suppress(OSError, TransportError):
            self._socket.shutdown(socket.SHUT_WR)
            while not (self._output.dead or deadline.passed()):
                if not self._receive_bytes(deadline):
                    break
        self._output.abort()
        self._output.wait_unused()
        self._socket.close()

    def _means_us(self, hosts: Sequence[str]) -> bool:
        return len(hosts) == 1 and hosts[0].strip().lower() in self._hosts

    def _read(self, deadline: Deadline) -> list[Event]:
        """Wait for bytes of the peer, and return the events they complete."""
        self.push()
        self._output.wait_for_few()
        data = self._receive_bytes(deadline)
        self._received_size += len(data)
        if self._output.dead:
            raise TransportClosed("the link was dropped")
        with self._lock:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
                self._end = TransportClosed("the peer ended the connection without a goodbye")
            events = self._protocol.events_received()
            self._output.add(self._protocol.data_to_send())
            if (broken := self._protocol.parser_exc) is not None and self._end is None:
                self._end = TransportProtocolError(f"the peer broke the protocol ({broken})")
        self._output.write_at_once()
        if not events and self._end is not None:
            raise self._end
        return events

    def _receive_bytes(self, deadline: Deadline) -> bytes:
        """Return what the peer sent, at least one byte, or none when it will send no more."""
        try:
            while True:
                try:
                    return self._socket.recv(_READ_SIZE)
                except (BlockingIOError, InterruptedError):
                    if not self._wait_for_bytes(deadline):
                        raise TransportTimeout("the peer sent nothing in time") from None
        except OSError as error:
            raise TransportClosed(f"the connection was lost ({error})") from error

    def _wait_for_bytes(self, deadline: Deadline) -> bool:
        """Wait until the peer has sent something; returns False at the deadline.

        One that may take for ever is pinged when it is silent for long. Any byte counts as life.
        """
        if deadline.at is not None:  # of the handshake, or of the goodbye
            return wait_for(self._socket, deadline)
        if wait_for(self._socket, Deadline.after(self._ping_interval)):
            return True
        if not self._send_control(self._protocol.send_ping):
            return wait_for(self._socket, deadline)  # whoever said goodbye sees to the end
        while not wait_for(self._socket, Deadline.after(self._ping_timeout)):
            # While something is left to write, the ping may not have left either, and the output
            # drops a peer that takes nothing.
            if self._output.has_room(sys.maxsize):
                self._fail(INTERNAL_ERROR, f"no answer to a ping for {self._ping_timeout:g} s")
        return True

    def _collect(self, event: Event) -> None:
        """Add a frame to the message it belongs to."""
        if not isinstance(event, Frame):
            return
        if event.opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            self._end = TransportClosed(
                "the peer said goodbye", code=close.code if close else None, clean=True
            )
        if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if event.opcode is not Opcode.CONT:
            self._text = event.opcode is Opcode.TEXT
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._messages.append(None if self._text else b"".join(self._fragments))
            self._fragments.clear()
        elif len(self._fragments) >= _MAX_FRAGMENTS:
            self._fail(TOO_BIG, "too many fragments")

    def _fail(self, code: int, reason: str) -> None:
        """Tell the peer what it did wrong, and end."""
        self._end = TransportProtocolError(f"the peer broke the rules: {reason}", code=code)
        with self._lock:
            self._protocol.fail(code, reason)
            self._output.add(self._protocol.data_to_send())
        self._output.write_at_once()
        raise self._end

    # Any thread

    def wait_for_room(self) -> None:
        self._output.wait_for_room()

    def send(self, message: bytes) -> bool:
        self._output.wait_for_room()
        with self._lock:
            if self._output.dead or self._protocol.state is not State.OPEN:
                return False
            self._protocol.send_binary(message)
            self._output.add(self._protocol.data_to_send())
        self._output.write()
        return not self._output.dead

    def offer(self, message: bytes, *, urgent: bool = False) -> bool:
        with self._lock:
            if self._output.dead or self._protocol.state is not State.OPEN:
                return False
            if not (urgent or self._output.has_room(len(message))):
                return False
            self._protocol.send_binary(message)
            self._output.add(self._protocol.data_to_send())
        self._output.write_at_once()
        return True

    def reply(self, message: bytes) -> bool:
        with self._lock:
            if self._output.dead or self._protocol.state is not State.OPEN:
                return False
            if not self._output.has_room(len(message)):
                return False
            self._protocol.send_binary(message)
            self._output.add(self._protocol.data_to_send())
        self._replied = True
        return True

    def push(self) -> None:
        if self._replied:
            self._replied = False
            self._output.write_at_once()

    def nudge(self) -> bool:
        return self._send_control(self._protocol.send_pong)

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        with self._lock:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(code, reason)
                # Its last piece may ask to end our direction, which ``dispose`` does.
                self._output.add(self._protocol.data_to_send())
            elif self._protocol.state is State.CONNECTING:
                self._output.abort()
        self._output.finish(deadline)

    def abort(self) -> None:
        self._output.abort()

    def _send_control(self, send: Callable[[bytes], object]) -> bool:
        """Send a ping or pong, without waiting; returns False when the link has ended."""
        with self._lock:
            if self._output.dead or self._protocol.state is not State.OPEN:
                return False
            send(b"")
            self._output.add(self._protocol.data_to_send())
        self._output.write_at_once()
        return not self._output.dead

"""One proxied connection: two sockets, and a flow each way. The proxy's thread alone uses it."""

from __future__ import annotations

import contextlib
import errno
import math
import random
import selectors
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

from opencode_sync.testing.faults import Direction, Fault
from opencode_sync.testing.flow import Ending, Flow
from opencode_sync.testing.plan import FaultPlan, Injection, Journal, Stroke
from opencode_sync.testing.units import Unit, UnitKind

__all__ = ["ProxiedLink", "reset"]

_LINGER: Final = 1.0
"""Seconds that a link which was cut waits for both sides to end it as well: a socket closed with
bytes unread would reset the connection, and the other side might lose what it was sent last."""

_LOOK: Final = 0.05
"""Seconds between two looks at a link of which one side has sent its last byte: nothing tells us
when that side then resets the connection, for we do not read from it any more."""

# struct linger: switched on, for 0 seconds.
_LINGER_NOT: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_CONNECTING: Final = (errno.EINPROGRESS, errno.EWOULDBLOCK)


class ProxiedLink:
    """A connection from the client to us, and ours to the backend."""

    def __init__(
        self,
        number: int,
        client: socket.socket,
        backend: tuple[str, int],
        *,
        selector: selectors.BaseSelector,
        websocket: bool,
        plan: Callable[[], FaultPlan],
        journal: Journal,
    ) -> None:
        """Begin to connect to the backend. Takes the client's socket over, unless it raises.

        Args:
            number: The connection's.
            client: As it was accepted.
            backend: Where to connect.
            selector: Told what to wait for.
            websocket: Whether to cut the bytes into messages.
            plan: Returns what goes wrong.
            journal: Told of what struck.

        Raises:
            OSError: the backend cannot be reached.
        """
        self.number = number
        self.next_call = 0.0
        """When ``advance`` is to be called at the latest."""
        self._selector = selector
        self._plan = plan
        self._journal = journal
        self._connected = False
        self._cut_at: float | None = None
        self._dead = False
        host, port = backend
        upstream = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            upstream.setblocking(False)
            problem = upstream.connect_ex(backend)
            if problem and problem not in _CONNECTING:
                raise OSError(problem, "the backend cannot be reached")
            for sock in (client, upstream):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, OverflowError):  # the latter for a port that is none
            upstream.close()
            raise
        self._sockets = (client, upstream)
        self._masks: dict[socket.socket, int] = {}
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        def flow(direction: Direction, source: socket.socket, sink: socket.socket) -> Flow:
            return Flow(
                direction,
                source,
                sink,
                websocket=websocket,
                strikes=lambda unit: self._strikes(direction, unit),
                host=name,
            )

        self._flows = (
            flow(Direction.TO_BACKEND, client, upstream),
            flow(Direction.TO_CLIENT, upstream, client),
        )

    def inject(self, fault: Fault) -> bool:
        """Let a fault strike now; returns False when the link has ended already."""
        if self._dead or self._cut_at is not None:
            return False
        for flow in self._flows:
            if fault.direction in (None, flow.direction):
                flow.inject([Stroke(fault, random.Random(self.number))])
                self._journal.note(Injection(fault, self.number, flow.direction, 0))
        return True

    def ready(self, sock: object, events: int, now: float) -> None:
        """Note what the selector saw; call ``advance`` then."""
        if self._dead:
            return  # what was seen, was seen before the end
        upstream = self._sockets[1]
        if not self._connected and sock is upstream:
            if upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._end(Ending.RESET, now)
                return
            self._connected = True
        if events & selectors.EVENT_READ:
            for flow in self._flows:
                if flow.source is sock and flow.wants_to_read:
                    try:
                        flow.read(now)
                    except OSError:
                        self._end(Ending.RESET, now)  # as the one side ended, so does the other

    def advance(self, now: float) -> bool:
        """Write what is due, and tell the selector what to wait for.

        Returns:
            False when the link is over and everything is freed.
        """
        self.next_call = math.inf if self._cut_at is None else self._cut_at + _LINGER
        if self._connected and not self._dead:
            for flow in self._flows:
                self._write(flow, now)
        if not self._dead and any(flow.exhausted for flow in self._flows):
            self.next_call = min(self.next_call, now + _LOOK)
            if any(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for sock in self._sockets):
                self._end(Ending.RESET, now)
        if self._is_over(now):
            self.drop()
            return False
        self._watch()
        return True

    def drop(self) -> None:
        """Free everything, at once."""
        for sock in self._sockets:
            if self._masks.pop(sock, 0):
                self._selector.unregister(sock)
            sock.close()
        self.next_call = math.inf

    # --- Inner steps ---

    def _strikes(self, direction: Direction, unit: Unit) -> list[Stroke]:
        is_message = unit.kind is UnitKind.MESSAGE
        strokes = self._plan().strikes(
            self.number,
            direction,
            unit.number,
            start=unit.start,
            length=len(unit.data),
            is_message=is_message,
        )
        for stroke in strokes:
            self._journal.note(Injection(stroke.fault, self.number, direction, unit.number))
        return strokes

    def _write(self, flow: Flow, now: float) -> None:
        try:
            due, ending = flow.write(now)
        except OSError:
            self._end(Ending.RESET, now)
            return
        self.next_call = min(self.next_call, due)
        if ending is Ending.EOF:
            flow.finished = True
            with contextlib.suppress(OSError):  # it has gone already, which is what we would say
                flow.sink.shutdown(socket.SHUT_WR)
        elif ending is not None:
            self._end(ending, now)

    def _end(self, ending: Ending, now: float) -> None:
        for flow in self._flows:
            flow.swallow()
        if ending is Ending.RESET:
            for sock in self._sockets:
                if self._masks.pop(sock, 0):
                    self._selector.unregister(sock)
                reset(sock)
            self._dead = True
            return
        self._cut_at = now
        self.next_call = now + _LINGER
        for sock in self._sockets:
            with contextlib.suppress(OSError):  # it has gone already
                sock.shutdown(socket.SHUT_WR)

    def _is_over(self, now: float) -> bool:
        if self._dead:
            return True
        if self._cut_at is not None:
            over = all(flow.exhausted for flow in self._flows)
            return over or now >= self._cut_at + _LINGER
        return all(flow.finished for flow in self._flows)

    def _watch(self) -> None:
        client, upstream = self._sockets
        to_backend, to_client = self._flows
        self._want(client, read=to_backend.wants_to_read, write=to_client.wants_to_write)
        self._want(
            upstream,
            read=self._connected and to_client.wants_to_read,
            write=not self._connected or to_backend.wants_to_write,
        )

    def _want(self, sock: socket.socket, *, read: bool, write: bool) -> None:
        mask = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        old = self._masks.get(sock, 0)
        if mask == old:
            return
        if not old:
            self._selector.register(sock, mask, self)
        elif mask:
            self._selector.modify(sock, mask, self)
        else:
            self._selector.unregister(sock)
        self._masks[sock] = mask


def reset(sock: socket.socket) -> None:
    """Close a socket so that the other side sees a reset."""
    # Fails on one that was reset already.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    sock.close()

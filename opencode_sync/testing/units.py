"""Cutting a proxied byte stream into what faults strike: the handshake, then whole messages.

No sockets, no clock. Nothing is checked: a proxy passes on what breaks the rules, too.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Unit", "UnitKind", "UnitReader", "close_frame", "refragmented", "with_host"]

_CONTROL: Final = 0x8
_FIN: Final = 0x80
_MASKED: Final = 0x80
_CLOSE: Final = 0x88
_LONGEST_HEAD: Final = 65536
_LONGEST_MESSAGE: Final = 256 * 1024 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


class UnitKind(enum.Enum):
    """What a unit is."""

    HEAD = enum.auto()
    """The HTTP head of the opening handshake."""

    MESSAGE = enum.auto()
    """All frames of one message."""

    CONTROL = enum.auto()
    """A ping, a pong or a close."""

    BYTES = enum.auto()
    """Anything else."""


class Unit(NamedTuple):
    """A stretch of one direction."""

    kind: UnitKind
    number: int
    """The message's number, from 1; of another unit, that of the newest message before it."""
    start: int
    """Its first byte's place in the direction."""
    data: bytes


class UnitReader:
    """Cuts one direction into units; one thread.

    A message comes out once it is whole, and what is no WebSocket as it comes in.
    """

    def __init__(self, *, websocket: bool = True) -> None:
        self._buffer = bytearray()
        self._start = 0
        self._number = 0
        self._next = self._head if websocket else self._bytes
        # The frames, before the buffer, of a message whose last one has not come.
        self._frames: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Unit]:
        """Take in what came, and return the units it completes."""
        self._buffer += data
        units = []
        while self._buffer and (unit := self._next()) is not None:
            units.append(unit)
        return units

    def rest(self) -> Unit | None:
        """Return what came of a unit that will not be completed, if anything did."""
        data = b"".join(self._frames) + bytes(self._buffer)
        self._frames.clear()
        self._buffer.clear()
        return self._unit(UnitKind.BYTES, data) if data else None

    def _unit(self, kind: UnitKind, data: bytes) -> Unit:
        unit = Unit(kind, self._number, self._start, data)
        self._start += len(data)
        return unit

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _bytes(self) -> Unit | None:
        return self.rest()

    def _head(self) -> Unit | None:
        end = self._buffer.find(_END_OF_HEAD)
        if end < 0:
            if len(self._buffer) <= _LONGEST_HEAD:
                return None
            self._next = self._bytes
            return self.rest()
        first_line = bytes(self._buffer.partition(b"\r\n")[0])
        refused = first_line.startswith(b"HTTP/") and b" 101" not in first_line
        self._next = self._bytes if refused else self._frame
        return self._unit(UnitKind.HEAD, self._take(end + len(_END_OF_HEAD)))

    def _frame(self) -> Unit | None:
        while True:
            header = _header(self._buffer)
            if header is None:
                return None
            if self._held + header.size > _LONGEST_MESSAGE:
                self._next = self._bytes
                return self.rest()
            if len(self._buffer) < header.size:
                return None
            frame = self._take(header.size)
            if header.first & _CONTROL:
                return self._unit(UnitKind.CONTROL, frame)
            self._frames.append(frame)
            self._held += len(frame)
            if header.first & _FIN:
                data = b"".join(self._frames)
                self._frames.clear()
                self._held = 0
                self._number += 1
                return self._unit(UnitKind.MESSAGE, data)


class _Header(NamedTuple):
    first: int
    key: bytes | None
    body: int
    """Where the payload begins."""
    size: int
    """Of the whole frame."""


def _header(data: bytes | bytearray) -> _Header | None:
    """Return what the frame at the beginning says of itself, or None when too little is there."""
    if len(data) < 2:
        return None
    length, body = data[1] & 0x7F, 2
    if length >= 126:
        form = ">H" if length == 126 else ">Q"
        body += struct.calcsize(form)
        if len(data) < body:
            return None
        (length,) = struct.unpack_from(form, data, 2)
    key = None
    if data[1] & _MASKED:
        body += 4
        if len(data) < body:
            return None
        key = bytes(data[body - 4 : body])
    return _Header(data[0], key, body, body + length)


def _masked(payload: bytes, key: bytes) -> bytes:
    pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return mixed.to_bytes(len(payload), "big")


def _frame(first: int, payload: bytes, key: bytes | None) -> bytes:
    length, flag = len(payload), 0 if key is None else _MASKED
    if length < 126:
        head = struct.pack(">BB", first, flag | length)
    elif length < 0x10000:
        head = struct.pack(">BBH", first, flag | 126, length)
    else:
        head = struct.pack(">BBQ", first, flag | 127, length)
    return head + payload if key is None else head + key + _masked(payload, key)


def _payload(message: bytes) -> Iterator[tuple[_Header, bytes]]:
    rest = memoryview(message)
    while rest:
        header = _header(bytes(rest[:14]))
        assert header is not None  # it was whole when it was cut out
        payload = bytes(rest[header.body : header.size])
        yield header, payload if header.key is None else _masked(payload, header.key)
        rest = rest[header.size :]


def refragmented(message: bytes, size: int) -> bytes:
    """Return a whole message as frames of at most ``size`` bytes of payload."""
    frames = list(_payload(message))
    opening, key = frames[0][0].first & ~_FIN, frames[0][0].key
    payload = b"".join(part for _, part in frames)
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(parts) - 1
    return b"".join(
        _frame(
            (opening if index == 0 else opening & 0x70) | (_FIN if index == last else 0), part, key
        )
        for index, part in enumerate(parts)
    )


def close_frame(code: int | None, reason: str, key: bytes | None) -> bytes:
    """Return a close frame.

    Args:
        code: None for none.
        reason: Goes behind the code.
        key: Masks the frame, as a client's has to be; None for a server's.
    """
    payload = b"" if code is None else struct.pack(">H", code) + reason.encode()
    return _frame(_CLOSE, payload, key)


def with_host(head: bytes, host: str) -> bytes:
    """Return a request's head with this in its ``Host`` line, which has to name who is asked."""
    lines = head.split(b"\r\n")
    renamed = [
        b"Host: " + host.encode() if line[:5].lower() == b"host:" else line for line in lines
    ]
    return b"\r\n".join(renamed)

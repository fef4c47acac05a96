"""WebSocket frames as bytes: no sockets, no threads, no clock.

``FrameReader`` turns whatever pieces the network delivers into whole events; ``encode_frame`` makes
the client's frames. Both follow RFC 6455, sections 5 and 7.4, and refuse what it forbids.

The frames are ours instead of websocket-client's because that library has no limit on message size,
reassembles in quadratic time, and accepts masked server frames, oversized control frames and
lengths that are not minimal.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from opencode_sync.transport.base import TransportProtocolError

__all__ = [
    "BINARY",
    "CLOSE",
    "MAX_FRAGMENTS",
    "PING",
    "PONG",
    "TEXT",
    "FrameReader",
    "close_payload",
    "encode_frame",
    "parse_close",
]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

MAX_FRAGMENTS: Final = 1_000_000
"""Frames one message may be cut into: a peer that sends empty ones for ever is not reassembled."""

_LARGE: Final = 4096  # bytes; a piece of so many is worth an object of its own
_MAX_CONTROL: Final = 125
_MAX_SHORT: Final = 125  # of a payload whose length stands in the header's second byte
_WHOLE_BINARY: Final = 0x80 | BINARY  # the first byte of a binary message in one frame
_PROTOCOL_ERROR: Final = 1002
_TOO_BIG: Final = 1009

# Codes a peer may send: RFC 6455, 7.4.1, with what IANA's registry has added since; and 3000-4999.
_CLOSE_CODES: Final = frozenset(
    {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
)


class FrameReader:
    """Cuts received bytes into events: whole messages and control frames.

    Feed what came in, then call ``next_event`` until it returns None, then feed again. Holds at
    most one message under construction, of at most ``max_message_size`` bytes; the length a frame
    announces is checked before anything of it is stored. One thread.
    """

    def __init__(self, max_message_size: int) -> None:
        self._limit = max_message_size
        self._short = min(_MAX_SHORT, max_message_size)
        self._buffer = b""
        self._position = 0
        # The message under construction. The opcode is 0 outside a message. Its pieces are joined
        # once, at the end; small ones are gathered, so that a thousand of them are no thousand
        # objects.
        self._opcode = 0
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self._fragments = 0
        # The data frame whose payload is being read: bytes still to come, and its FIN bit.
        self._in_frame = False
        self._remaining = 0
        self._final = False

    def feed(self, data: bytes) -> None:
        """Add received bytes. Call only after ``next_event`` returned None."""
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            # At most a header or a control frame is left over, so this stays cheap.
            self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def next_event(self) -> tuple[int, bytes] | None:
        """Return the next ``(opcode, payload)``, or None when more bytes are needed.

        The opcode is TEXT or BINARY for a whole message, else CLOSE, PING or PONG.

        Raises:
            TransportProtocolError: the peer broke the rules; this reader is of no further use.
        """
        # Nearly always there is a whole short message, outside any other, or nothing. What the
        # steps below would come to in four calls is one look: a third of the time per message.
        buffer, start = self._buffer, self._position
        size = len(buffer)
        if start == size:
            return None
        if not self._opcode and size - start >= 2 and buffer[start] == _WHOLE_BINARY:
            length = buffer[start + 1]
            end = start + 2 + length
            if length <= self._short and end <= size:
                self._position = end
                return BINARY, buffer[start + 2 : end]
        while True:
            if self._in_frame:
                event = self._take_payload()
                if event is not None or self._in_frame:
                    return event
            header = self._take_header()
            if header is None:
                return None
            first, length = header
            opcode = first & 0x0F
            final = first >= 0x80
            if opcode >= CLOSE:
                return opcode, self._take(length)
            if final and opcode and self._position + length <= len(self._buffer):
                return opcode, self._take(length)  # a whole message in one piece: the usual case
            if opcode:
                self._opcode = opcode
            self._in_frame, self._remaining, self._final = True, length, final

    def _take(self, length: int) -> bytes:
        start = self._position
        self._position = end = start + length
        return self._buffer[start:end]

    def _take_payload(self) -> tuple[int, bytes] | None:
        """Move what has come of the current data frame into the message; return it if complete."""
        available = min(self._remaining, len(self._buffer) - self._position)
        if available:
            self._keep(self._take(available))
            self._remaining -= available
        if self._remaining:
            return None
        self._in_frame = False
        if not self._final:
            return None
        event = self._opcode, b"".join(self._pieces)
        self._opcode, self._pieces, self._size = 0, [], 0
        return event

    def _keep(self, piece: bytes) -> None:
        """Add a piece to the message under construction."""
        self._size += len(piece)
        if len(piece) >= _LARGE:
            self._pieces.append(piece)
            return
        if not self._pieces or isinstance(self._pieces[-1], bytes):
            self._pieces.append(bytearray())
        self._pieces[-1] += piece

    def _take_header(self) -> tuple[int, int] | None:
        """Read one frame header and check it; of a control frame, wait for the payload as well.

        Returns:
            The first byte and the payload's length, or None when more bytes are needed.
        """
        buffer, start = self._buffer, self._position
        available = len(buffer) - start
        if available < 2:
            return None
        first, length = buffer[start], buffer[start + 1]
        if first & 0x70:
            raise TransportProtocolError("the peer set reserved bits that nobody agreed on")
        if length & 0x80:
            raise TransportProtocolError("the peer masked a frame, which only clients may do")
        opcode = first & 0x0F
        if opcode >= CLOSE:
            self._check_control(first, length)
            if available < 2 + length:
                return None
            self._position = start + 2
            return first, length
        self._check_data(opcode)
        if length < 126:
            size = 2
        elif length == 126:
            size = 4
            if available < size:
                return None
            (length,) = struct.unpack_from(">H", buffer, start + 2)
            if length < 126:
                raise TransportProtocolError("the peer wrote a length longer than it has to be")
        else:
            size = 10
            if available < size:
                return None
            (length,) = struct.unpack_from(">Q", buffer, start + 2)
            if length < 0x10000:
                raise TransportProtocolError("the peer wrote a length longer than it has to be")
        self._check_size(opcode, length)
        self._position = start + size
        return first, length

    def _check_control(self, first: int, length: int) -> None:
        if first not in (0x80 | CLOSE, 0x80 | PING, 0x80 | PONG):
            if first & 0x0F > PONG:
                raise TransportProtocolError(f"the peer used the unknown opcode {first & 0x0F}")
            raise TransportProtocolError("the peer cut a control frame into fragments")
        if length > _MAX_CONTROL:
            raise TransportProtocolError("the peer sent a control frame of more than 125 bytes")

    def _check_data(self, opcode: int) -> None:
        if opcode > BINARY:
            raise TransportProtocolError(f"the peer used the unknown opcode {opcode}")
        if opcode == CONTINUATION and not self._opcode:
            raise TransportProtocolError("the peer continued a message that it had not begun")
        if opcode != CONTINUATION and self._opcode:
            raise TransportProtocolError("the peer began a message inside another")

    def _check_size(self, opcode: int, length: int) -> None:
        size = self._size + length
        if size > self._limit:
            raise TransportProtocolError(
                f"the peer announced a message of {size} bytes or more; the limit is "
                f"{self._limit} (option max_message_size)",
                code=_TOO_BIG,
            )
        self._fragments = 1 if opcode else self._fragments + 1
        if self._fragments > MAX_FRAGMENTS:
            raise TransportProtocolError(
                f"the peer cut a message into more than {MAX_FRAGMENTS} fragments", code=_TOO_BIG
            )


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final, masked frame, as clients send it."""
    length = len(payload)
    if length < 126:
        header = bytes((0x80 | opcode, 0x80 | length))
    elif length < 0x10000:
        header = struct.pack(">BBH", 0x80 | opcode, 0xFE, length)
    else:
        header = struct.pack(">BBQ", 0x80 | opcode, 0xFF, length)
    key = _next_key()
    # One XOR of two big integers: the fastest masking that needs no compiled code.
    pattern = (key * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")
    return header + key + masked.to_bytes(length, "little")


_KEYS: Final = struct.Struct("4s" * 256)
_keys: list[bytes] = []


def _next_key() -> bytes:
    """Return four random bytes. Many are asked of the system at once, for each time costs."""
    try:
        return _keys.pop()
    except IndexError:
        keys: list[bytes] = list(_KEYS.unpack(os.urandom(_KEYS.size)))
        key = keys.pop()
        _keys.extend(keys)
        return key


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)  # both would use the same


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload of a close frame, its reason cut to what fits, at a character's end."""
    text = reason.encode("utf-8", "replace")[: _MAX_CONTROL - 2]
    return struct.pack(">H", code) + text.decode("utf-8", "ignore").encode()


def parse_close(payload: bytes) -> tuple[int | None, str]:
    """Return the code (None if the peer gave none) and reason of a close frame's payload.

    Raises:
        TransportProtocolError: the payload is not what RFC 6455, 5.5.1 allows.
    """
    if not payload:
        return None, ""
    if len(payload) == 1:
        raise TransportProtocolError("the peer sent half a close code")
    (code,) = struct.unpack_from(">H", payload)
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise TransportProtocolError(f"the peer sent the close code {code}, which nobody may send")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise TransportProtocolError("the peer's close reason is not UTF-8", code=1007) from error

"""Numbers as protobuf writes them, for the messages that are put together by hand."""

from __future__ import annotations

__all__ = ["varint"]


def varint(number: int) -> bytes:
    """Return a number, 0 or more, in seven bits a byte, the lowest first."""
    if number < 0x4000:  # as most are: no bytearray to fill
        return bytes((number & 0x7F | 0x80, number >> 7) if number > 0x7F else (number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

"""The framing of server-sent events, and of the chunked HTTP body that they come in."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MAX_FRAME_BYTES", "Chunks", "SseParser"]

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""An event larger than this ends the stream; a part may well hold an image."""

_LONGEST_CHUNK_LINE = 4096


class SseParser:
    """Turns bytes into events' data, however the bytes are split. For one thread."""

    _LINE_END = re.compile(rb"\r\n|\r|\n")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        """Begin a stream; an event of more than ``limit`` bytes is an error."""
        self._limit = limit
        self._line = bytearray()  # what has come of the line that is not at its end
        self._scanned = 0  # as much of it as holds no line end
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False  # a line feed that comes next belongs to the line before
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Take some bytes, and give the data of each event that they complete.

        Raises:
            ValueError: an event is larger than the limit; nothing can be made of what follows.
        """
        if self._after_return and chunk:
            self._after_return = False
            chunk = chunk.removeprefix(b"\n")
        self._line += chunk
        begin = 0
        while found := self._LINE_END.search(self._line, max(begin, self._scanned)):
            line = bytes(self._line[begin : found.start()])
            begin = found.end()
            if found[0] == b"\r" and begin == len(self._line):
                self._after_return = True
            data = self._take(line)
            if data is not None:
                yield data
        del self._line[:begin]
        self._scanned = len(self._line)
        self._check(self._size + len(self._line))

    def _take(self, line: bytes) -> str | None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if not self._data:
                return None
            data, self._data, self._size = b"\n".join(self._data), [], 0
            return data.decode("utf-8", "replace")
        name, _, value = line.partition(b":")
        if name == b"data":  # all else is a comment, or a field that OpenCode does not send
            value = value.removeprefix(b" ")
            self._size += len(value) + 1
            self._check(self._size)
            self._data.append(value)
        return None

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"an event has more than {self._limit} bytes")


class Chunks:
    """Takes off the framing of a chunked body, however the bytes are split."""

    _SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}(?=[ \t]*(?:;|\Z))")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # of the chunk
        self._between = False  # its data has come, the line end after it has not
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Return what the bytes hold; raises ValueError if they are not chunked."""
        self._buffer += data
        content = bytearray()
        while not self.ended:
            if self._left:
                piece = self._buffer[: self._left]
                del self._buffer[: self._left]
                content += piece
                self._left -= len(piece)
                if self._left:
                    break
                self._between = True
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > _LONGEST_CHUNK_LINE:
                    raise ValueError("a chunk has no size")
                break
            line = bytes(self._buffer[:end]).strip()
            del self._buffer[: end + 1]
            self._begin_chunk(line)
        return bytes(content)

    def _begin_chunk(self, line: bytes) -> None:
        if self._between:
            if line:
                raise ValueError("a chunk is longer than it says")
            self._between = False
            return
        size = self._SIZE.match(line)
        if size is None:
            raise ValueError("a chunk has no size")
        self._left = int(size[0], 16)
        self.ended = self._left == 0

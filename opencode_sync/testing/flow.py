"""One direction of a proxied connection: what came in, what the plan makes of it, what goes out.

The proxy's thread alone uses it. Nothing here waits: ``write`` says when to call it again.
"""

from __future__ import annotations

import enum
import math
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opencode_sync.testing.faults import ENDS, Direction, FaultKind
from opencode_sync.testing.plan import Stroke
from opencode_sync.testing.units import (
    Unit,
    UnitKind,
    UnitReader,
    close_frame,
    refragmented,
    with_host,
)

__all__ = ["Ending", "Flow", "Strikes"]

_READ_SIZE: Final = 65536
_FULL: Final = 262_144
"""Bytes that wait to be written from which on no more is read."""
_STEPS: Final = 50
"""Pieces a second that a throttle writes."""

Strikes = Callable[[Unit], list[Stroke]]
"""Tells which faults strike a unit."""


class Ending(enum.Enum):
    """How a flow wants its link to end."""

    EOF = enum.auto()
    """The source will send no more: tell the sink so; the other direction goes on."""

    CUT = enum.auto()
    """Both directions, in good order."""

    RESET = enum.auto()
    """Both directions, with a reset."""


@dataclass
class _Piece:
    """Bytes to write after a pause, and what to do then."""

    data: bytes = b""
    wait: float = 0.0
    ending: Ending | None = None
    frozen: bool = False
    """Whether nothing is read until it is done."""


class Flow:
    """One direction."""

    def __init__(
        self,
        direction: Direction,
        source: socket.socket,
        sink: socket.socket,
        *,
        websocket: bool,
        strikes: Strikes,
        host: str,
    ) -> None:
        """Make the flow of an open link.

        Args:
            direction: Which.
            source: Read here; it never waits.
            sink: Written here; it never waits.
            websocket: Whether the bytes are to be cut into messages.
            strikes: Tells which faults strike.
            host: What a request has to call the backend.
        """
        self.direction = direction
        self.source, self.sink = source, sink
        self.exhausted = False
        """Whether the source has sent its last byte."""
        self.finished = False
        """Whether the sink was told so."""
        self._reader = UnitReader(websocket=websocket)
        self._strikes = strikes
        self._host = host
        self._pieces: deque[_Piece] = deque()
        self._size = 0
        self._due: float | None = None  # when the first piece's pause is over
        self._blocked = False  # the sink takes nothing now
        self._deaf = False  # what comes in now is not passed on
        # A message that waits for another one to overtake it, and for how long at most.
        self._held: list[_Piece] = []
        self._held_until = math.inf

    @property
    def wants_to_read(self) -> bool:
        """Whether ``read`` should be called when the source has something."""
        frozen = any(piece.frozen for piece in self._pieces)
        return not self.exhausted and not frozen and self._size < _FULL

    @property
    def wants_to_write(self) -> bool:
        """Whether ``write`` should be called when the sink takes something."""
        return self._blocked

    def read(self, now: float) -> None:
        """Take in what the source has.

        Raises:
            OSError: the source is broken.
        """
        try:
            data = self.source.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        if data:
            for unit in self._reader.feed(data):
                self._take(unit, now)
            return
        self.exhausted = True
        rest = self._reader.rest()
        if rest is not None:
            self._take(rest, now)
        self._release()
        if not self._deaf:
            self._append([_Piece(ending=Ending.EOF)])

    def write(self, now: float) -> tuple[float, Ending | None]:
        """Write what is due.

        Returns:
            When to call again at the latest, and what ending has come, if one has.

        Raises:
            OSError: the sink is broken.
        """
        if now >= self._held_until:
            self._release()
        self._blocked = False
        while self._pieces:
            piece = self._pieces[0]
            if piece.wait:
                if self._due is None:
                    self._due = now + piece.wait
                if now < self._due:
                    return min(self._due, self._held_until), None
                self._due, piece.wait = None, 0.0
            if piece.data:
                try:
                    written = self.sink.send(piece.data)
                except (BlockingIOError, InterruptedError):
                    self._blocked = True
                    break
                self._size -= written
                piece.data = piece.data[written:]
                if piece.data:
                    continue
            self._pieces.popleft()
            if piece.ending is not None:
                return math.inf, piece.ending
        return self._held_until, None

    def inject(self, strokes: list[Stroke]) -> None:
        """Let faults strike now, behind what has come in."""
        self._release()
        self._append(self._struck(Unit(UnitKind.BYTES, 0, 0, b""), strokes))

    def swallow(self) -> None:
        """Pass nothing on any more, nor what waits already."""
        self._deaf = True
        self._pieces.clear()
        self._held.clear()
        self._size = 0
        self._due, self._held_until = None, math.inf
        self._blocked = False

    # --- From units to pieces ---

    def _take(self, unit: Unit, now: float) -> None:
        if self._deaf:
            return
        if unit.kind is UnitKind.HEAD and self.direction is Direction.TO_BACKEND:
            unit = unit._replace(data=with_host(unit.data, self._host))
        strokes = self._strikes(unit)
        pieces = self._struck(unit, strokes)
        if unit.kind is not UnitKind.MESSAGE:
            self._append(pieces)
            return
        for stroke in strokes:
            if stroke.fault.kind is FaultKind.REORDER:
                self._release()
                self._held, self._held_until = pieces, now + (stroke.fault.seconds or 0.0)
                return
        self._append(pieces)
        self._release()

    def _append(self, pieces: list[_Piece]) -> None:
        self._pieces.extend(pieces)
        self._size += sum(len(piece.data) for piece in pieces)

    def _release(self) -> None:
        held, self._held = self._held, []
        self._held_until = math.inf
        self._append(held)

    def _struck(self, unit: Unit, strokes: list[Stroke]) -> list[_Piece]:
        copies = [unit.data]
        for stroke in strokes:
            copies = _changed(copies, unit, stroke)
        stops = [(stroke.position(unit.start, len(unit.data)), stroke) for stroke in strokes]
        stops.sort(key=lambda stop: stop[0])
        pieces: list[_Piece] = []
        for data in copies:
            done = 0
            for place, stroke in stops:
                halt = self._halt(stroke)
                if halt is None:
                    continue
                pieces += _cut(data[done:place], strokes)
                pieces += halt
                done = min(place, len(data))
                if stroke.fault.kind in _LAST:
                    self._deaf = True
                    return pieces
            pieces += _cut(data[done:], strokes)
        return pieces

    def _halt(self, stroke: Stroke) -> list[_Piece] | None:
        """Return what happens at a fault's place in the stream; None when it has no place."""
        fault = stroke.fault
        seconds = fault.seconds or 0.0
        match fault.kind:
            case FaultKind.DELAY:
                return [_Piece(wait=seconds)]
            case FaultKind.SLICE if fault.offset is not None:
                return [_Piece(wait=seconds)]
            case FaultKind.FREEZE:
                return [_Piece(wait=math.inf if fault.seconds is None else seconds, frozen=True)]
            case FaultKind.HALF_OPEN:
                return []
            case FaultKind.RESET:
                return [_Piece(ending=Ending.RESET)]
            case FaultKind.CUT:
                return [_Piece(ending=Ending.CUT)]
            case FaultKind.CLOSE:
                masked = self.direction is Direction.TO_BACKEND
                key = stroke.chance.randbytes(4) if masked else None
                goodbye = close_frame(fault.code, fault.reason, key)
                return [_Piece(goodbye), _Piece(ending=Ending.CUT)]
        return None


_LAST: Final = ENDS | {FaultKind.HALF_OPEN}
"""Kinds after which nothing more of the direction is passed on."""


def _changed(copies: list[bytes], unit: Unit, stroke: Stroke) -> list[bytes]:
    """Return what becomes of a unit by a fault that changes what is sent."""
    message = unit.kind is UnitKind.MESSAGE
    match stroke.fault.kind:
        case FaultKind.DROP if message:
            return []
        case FaultKind.DUPLICATE if message:
            return copies * 2
        case FaultKind.FRAGMENT if message:
            return [refragmented(copy, stroke.fault.size or 1) for copy in copies]
        case FaultKind.CORRUPT:
            return [stroke.corrupted(copy, unit.start) for copy in copies]
    return copies


def _cut(data: bytes, strokes: list[Stroke]) -> list[_Piece]:
    """Return bytes in the pieces, and at the pace, in which they are to be written."""
    size, pause, pace = len(data), 0.0, 0.0
    for stroke in strokes:
        fault = stroke.fault
        if fault.kind is FaultKind.THROTTLE and fault.size:
            size = min(size, max(1, fault.size // _STEPS))
            pace = max(pace, 1 / fault.size)
        elif fault.kind is FaultKind.SLICE and fault.size and fault.offset is None:
            size = min(size, fault.size)
            pause = max(pause, fault.seconds or 0.0)
    return [
        _Piece(part, wait=pace * len(part) + (pause if at else 0.0))
        for at in range(0, len(data), size or 1)
        if (part := data[at : at + size])
    ]

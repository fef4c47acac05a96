"""Saying what shall go wrong, and where: ``Fault``, and a ``FaultPlan`` of several with a seed.

A fault is made by the constructor of its kind; where it strikes is said in the same words for all::

    Fault.drop(message=3)                                   the third message of either direction
    Fault.delay(0.2, probability=0.1)                       one message in ten, by the plan's seed
    Fault.reset(direction="to_client", message=2, offset=1) after one byte of the second answer
    Fault.refuse(connection=2)                              the second connection

==============  ==================================================================================
``direction``   ``"to_backend"`` or ``"to_client"``; both when left out
``connection``  the connection with this number, from 1; all when left out
``message``     the direction's message with this number, from 1; 0 is the opening handshake
``every``       each message whose number is a multiple of this
``probability`` each message with this probability, decided by the plan's seed
``offset``      with ``message``: before this byte of it; alone: before this byte of the direction
==============  ==================================================================================

At most one of ``message``, ``every`` and ``probability`` is given. Without any of them, and without
an ``offset``, a fault strikes every message, and one that ends or silences a link strikes at once.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass
from typing import Final, TypedDict, Unpack

from opencode_sync.errors import IpcArgumentError

__all__ = ["Direction", "Fault", "FaultKind", "Where"]


class Direction(enum.StrEnum):
    """Which way a message travels; the plain texts will do as well."""

    TO_BACKEND = "to_backend"
    TO_CLIENT = "to_client"


class FaultKind(enum.StrEnum):
    """What can go wrong. See the constructors of ``Fault`` for what each does."""

    DELAY = "delay"
    THROTTLE = "throttle"
    SLICE = "slice"
    FRAGMENT = "fragment"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DROP = "drop"
    CORRUPT = "corrupt"
    FREEZE = "freeze"
    HALF_OPEN = "half_open"
    RESET = "reset"
    CUT = "cut"
    CLOSE = "close"
    REFUSE = "refuse"


ENDS: Final = frozenset({FaultKind.RESET, FaultKind.CUT, FaultKind.CLOSE})
"""Kinds after which the link is over."""

OF_A_STREAM: Final = ENDS | {
    FaultKind.DELAY,
    FaultKind.THROTTLE,
    FaultKind.SLICE,
    FaultKind.FREEZE,
    FaultKind.HALF_OPEN,
}
"""Kinds that make sense for bytes that are no message: a handshake, or another protocol."""

OF_BYTES: Final = frozenset({FaultKind.SLICE, FaultKind.FRAGMENT})
"""Kinds that only a proxy can do: a transport carries whole messages."""


class Where(TypedDict, total=False):
    """Where a fault strikes; see the module's text."""

    direction: Direction | str
    connection: int
    message: int
    every: int
    probability: float
    offset: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong. Immutable; make it with the constructor of its kind.

    Raises:
        IpcArgumentError: a value is not usable; names the field.
    """

    kind: FaultKind
    direction: Direction | None = None
    connection: int | None = None
    message: int | None = None
    every: int | None = None
    probability: float | None = None
    offset: int | None = None
    seconds: float | None = None
    size: int | None = None
    mask: int | None = None
    code: int | None = None
    reason: str = ""

    # --- Slower, or in other pieces ---

    @classmethod
    def delay(cls, seconds: float, **where: Unpack[Where]) -> Fault:
        """Hold a message, and all behind it, back for some seconds."""
        return cls._made(FaultKind.DELAY, where, seconds=seconds)

    @classmethod
    def throttle(cls, bytes_per_second: int, **where: Unpack[Where]) -> Fault:
        """Let bytes through only so fast."""
        return cls._made(FaultKind.THROTTLE, where, size=bytes_per_second)

    @classmethod
    def slice(cls, size: int = 1, seconds: float = 0.0, **where: Unpack[Where]) -> Fault:
        """Write in pieces of ``size`` bytes, with a pause between them: 1 cuts at every boundary.

        With an ``offset``: one cut, there. The bytes are the same; a receiver sees more pieces.
        """
        return cls._made(FaultKind.SLICE, where, size=size, seconds=seconds)

    @classmethod
    def fragment(cls, size: int = 1, **where: Unpack[Where]) -> Fault:
        """Send a message as WebSocket fragments with ``size`` bytes of payload each."""
        return cls._made(FaultKind.FRAGMENT, where, size=size)

    # --- Other messages ---

    @classmethod
    def duplicate(cls, **where: Unpack[Where]) -> Fault:
        """Send a message twice."""
        return cls._made(FaultKind.DUPLICATE, where)

    @classmethod
    def reorder(cls, seconds: float = 0.1, **where: Unpack[Where]) -> Fault:
        """Send a message behind the next one, or after some seconds if none comes."""
        return cls._made(FaultKind.REORDER, where, seconds=seconds)

    @classmethod
    def drop(cls, **where: Unpack[Where]) -> Fault:
        """Lose a message, and nothing else."""
        return cls._made(FaultKind.DROP, where)

    @classmethod
    def corrupt(cls, mask: int | None = None, **where: Unpack[Where]) -> Fault:
        """Flip bits of one byte: that at ``offset``, or one chosen by the plan's seed.

        Args:
            mask: Which bits, 1 to 255; None has the seed choose.
            where: See the module's text. A proxy counts a frame's header in, a transport has none.
        """
        return cls._made(FaultKind.CORRUPT, where, mask=mask)

    # --- Silence ---

    @classmethod
    def freeze(cls, seconds: float | None = None, **where: Unpack[Where]) -> Fault:
        """Read and pass on nothing any more: the sender's buffers fill up.

        Args:
            seconds: After which all goes on where it stopped; None: never.
            where: See the module's text.
        """
        return cls._made(FaultKind.FREEZE, where, seconds=seconds)

    @classmethod
    def half_open(cls, **where: Unpack[Where]) -> Fault:
        """Swallow all that is sent from here on, ends included: the link only looks alive."""
        return cls._made(FaultKind.HALF_OPEN, where)

    @classmethod
    def stall_handshake(
        cls, seconds: float | None = None, *, connection: int | None = None
    ) -> Fault:
        """Do not answer the opening handshake, or only after some seconds."""
        where: Where = {"message": 0, "direction": Direction.TO_CLIENT}
        if connection is not None:
            where["connection"] = connection
        return cls._made(FaultKind.FREEZE, where, seconds=seconds)

    # --- The end ---

    @classmethod
    def reset(cls, **where: Unpack[Where]) -> Fault:
        """End the link with a TCP reset on both sides; with an ``offset`` in mid-frame."""
        return cls._made(FaultKind.RESET, where)

    @classmethod
    def cut(cls, **where: Unpack[Where]) -> Fault:
        """End the TCP link in good order on both sides, without a word on the WebSocket."""
        return cls._made(FaultKind.CUT, where)

    @classmethod
    def close(cls, code: int | None = 1000, reason: str = "", **where: Unpack[Where]) -> Fault:
        """Send a close frame, then end the link.

        Args:
            code: From 0 to 65535, those that nobody may send included; None sends none.
            reason: At most 123 bytes as UTF-8.
            where: See the module's text. Without a direction: as if the backend closed.
        """
        where.setdefault("direction", Direction.TO_CLIENT)
        return cls._made(FaultKind.CLOSE, where, code=code, reason=reason)

    @classmethod
    def refuse(cls, *, connection: int | None = None, probability: float | None = None) -> Fault:
        """Refuse a connection.

        A proxy's port goes on listening, so it accepts and resets. To have nobody listen for a
        while, use ``FaultProxy.go_down``.
        """
        where: Where = {}
        if connection is not None:
            where["connection"] = connection
        if probability is not None:
            where["probability"] = probability
        return cls._made(FaultKind.REFUSE, where)

    # --- Inner steps ---

    @classmethod
    def _made(cls, kind: FaultKind, where: Where, **what: object) -> Fault:
        fields: dict[str, object] = {**where, **what}
        direction = fields.get("direction")
        if direction is not None:
            if direction not in list(Direction):
                raise IpcArgumentError(
                    f'direction is {direction!r}; give "to_backend" or "to_client", or leave it '
                    "out for both",
                    field="direction",
                )
            fields["direction"] = Direction(str(direction))
        return cls(kind=kind, **fields)  # type: ignore[arg-type]  # checked by __post_init__

    def __post_init__(self) -> None:
        for name, low, high in _WHOLE:
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high
            ):
                _refuse(name, value, f"a whole number from {low} to {high}")
        for name, highest in (("seconds", math.inf), ("probability", 1.0)):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not (math.isfinite(value) and 0 <= value <= highest)
            ):
                _refuse(name, value, "a finite number from 0 up" if highest > 1 else "0 to 1")
        if len(self.reason.encode()) > _LONGEST_REASON:
            _refuse("reason", self.reason, f"at most {_LONGEST_REASON} bytes")
        given = [name for name in _TRIGGERS if getattr(self, name) is not None]
        if len(given) > 1:
            _refuse(given[1], getattr(self, given[1]), f"this or {given[0]}, not both")
        if self.offset is not None and given and given != ["message"]:
            _refuse("offset", self.offset, "it alone, or with message")

    def __repr__(self) -> str:
        """The expression that makes it again."""
        given = [
            f"{field.name}={_shown(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if field.name != "kind" and getattr(self, field.name) != field.default
        ]
        if self.kind is FaultKind.CLOSE and self.code is None:
            given.insert(0, "code=None")
        if self.kind is FaultKind.THROTTLE:
            given = [text.replace("size=", "bytes_per_second=") for text in given]
        return f"Fault.{self.kind}({', '.join(given)})"


_MANY: Final = 2**62
_LONGEST_REASON: Final = 123
_TRIGGERS: Final = ("message", "every", "probability")
_WHOLE: Final = (
    ("connection", 1, _MANY),
    ("message", 0, _MANY),
    ("every", 1, _MANY),
    ("offset", 0, _MANY),
    ("size", 1, _MANY),
    ("mask", 1, 255),
    ("code", 0, 65535),
)


def _shown(value: object) -> str:
    return repr(str(value)) if isinstance(value, enum.StrEnum) else repr(value)


def _refuse(field: str, value: object, wanted: str) -> None:
    raise IpcArgumentError(f"{field} is {value!r}; give {wanted}", field=field)

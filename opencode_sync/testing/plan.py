"""Which faults strike where, decided by a seed and by nothing else, and a record of those that did.

What a plan decides depends on its seed, the fault, the connection's number, the direction and the
message's number: not on the clock, nor on which thread came first. So the same plan in front of the
same traffic does the same again, and a failing run is replayed by its seed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.faults import ENDS, OF_A_STREAM, Direction, Fault, FaultKind

__all__ = ["FaultPlan", "Injection", "Journal", "Stroke", "check_plan"]

_SEEDS: Final = 2**32


@dataclass(frozen=True)
class Injection:
    """A fault that struck.

    Attributes:
        fault: Which.
        connection: The connection's number, from 1.
        direction: Which way the message went; None for a connection that was refused.
        message: The message's number; 0 for what came before the first.
    """

    fault: Fault
    connection: int
    direction: Direction | None
    message: int


class Journal:
    """What struck so far. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _injections
        self._injections: list[Injection] = []

    def note(self, injection: Injection) -> None:
        """Add one."""
        with self._lock:
            self._injections.append(injection)

    def injections(self) -> tuple[Injection, ...]:
        """Return all until now, in the order in which they struck."""
        with self._lock:
            return tuple(self._injections)


class Stroke(NamedTuple):
    """A fault that strikes one message."""

    fault: Fault
    chance: random.Random
    """Decides what the fault leaves open; the same for the same message of the same plan."""

    def position(self, start: int, length: int) -> int:
        """Return before which byte of a piece it strikes.

        Args:
            start: The piece's place in its direction.
            length: Its size; where an offset lies beyond, the fault strikes behind it.
        """
        offset = self.fault.offset
        if offset is None:
            return 0
        return min(offset if self.fault.message is not None else offset - start, length)

    def corrupted(self, data: bytes, start: int) -> bytes:
        """Return the data with one byte changed."""
        if not data:
            return data
        if self.fault.offset is None:
            place = self.chance.randrange(len(data))
        else:
            place = min(self.position(start, len(data)), len(data) - 1)
        mask = self.fault.mask or self.chance.randrange(1, 256)
        return data[:place] + bytes((data[place] ^ mask,)) + data[place + 1 :]


class FaultPlan:
    """Faults and a seed. Immutable; any number of proxies and transports may use one.

    Its ``repr`` is the expression that makes the same plan again.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int | None = None) -> None:
        """Make a plan.

        Args:
            faults: What goes wrong; all that strike a message strike together.
            seed: Decides every probability and choice; None takes a fresh one.

        Raises:
            IpcArgumentError: the seed is not a whole number, or one of the faults is none.
        """
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise IpcArgumentError(f"seed is {seed!r}; give a whole number", field="seed")
        self.faults = tuple(faults)
        for fault in self.faults:
            if not isinstance(fault, Fault):
                raise IpcArgumentError(
                    f"faults holds {fault!r:.60}, which is of type {type(fault).__name__}; give "
                    "faults, such as Fault.delay(0.1)",
                    field="faults",
                )
        self.seed = random.SystemRandom().randrange(_SEEDS) if seed is None else seed

    @classmethod
    def from_seed(
        cls,
        seed: int | None = None,
        *,
        count: int = 4,
        kinds: Sequence[FaultKind] | None = None,
        messages: int = 40,
        connections: int = 3,
        seconds: float = 0.05,
    ) -> FaultPlan:
        """Return a plan that the seed makes up.

        Args:
            seed: The same seed and arguments make the same plan; None takes a fresh one.
            count: How many faults.
            kinds: Which kinds to choose from; None: those a transport can do as well.
            messages: They strike one of so many first messages of a direction...
            connections: ...of one of so many first connections.
            seconds: The longest delay.
        """
        seed = random.SystemRandom().randrange(_SEEDS) if seed is None else seed
        chance = random.Random(f"plan/{seed}")
        choice = tuple(_EVERYWHERE if kinds is None else kinds)
        made = (_made_up(chance, choice, messages, connections, seconds) for _ in range(count))
        return cls(made, seed=seed)

    def refuses(self, connection: int) -> Fault | None:
        """Return the fault that refuses this connection, if one does."""
        for index, fault in enumerate(self.faults):
            if fault.kind is FaultKind.REFUSE and fault.connection in (None, connection):
                chance = self._chance(index, connection, "refuse", 0)
                if fault.probability is None or chance.random() < fault.probability:
                    return fault
        return None

    def strikes(
        self,
        connection: int,
        direction: Direction,
        message: int,
        *,
        start: int = 0,
        length: int = 0,
        is_message: bool = True,
    ) -> list[Stroke]:
        """Return the faults that strike one message, or one piece of a stream.

        Args:
            connection: The connection's number, from 1.
            direction: Which way it goes.
            message: The message's number; for a piece between two, that of the one before.
            start: Where in the direction it begins, in bytes.
            length: How many bytes it has.
            is_message: False for a piece that is no message: a handshake, a ping, other protocols.
        """
        strokes = []
        for index, fault in enumerate(self.faults):
            if (
                fault.kind is FaultKind.REFUSE
                or fault.direction not in (None, direction)
                or fault.connection not in (None, connection)
            ):
                continue
            chance = self._chance(index, connection, direction, message)
            if _strikes(fault, message, start, length, is_message, chance):
                strokes.append(Stroke(fault, chance))
        return strokes

    @contextmanager
    def reported(self) -> Iterator[FaultPlan]:
        """Have an exception that leaves the block say how to replay it, as a note."""
        try:
            yield self
        except BaseException as error:
            error.add_note(f"these faults were injected: {self!r}")
            raise

    def _chance(self, index: int, connection: int, way: str, message: int) -> random.Random:
        return random.Random(f"{self.seed}/{index}/{connection}/{way}/{message}")

    def __repr__(self) -> str:
        return f"FaultPlan([{', '.join(map(repr, self.faults))}], seed={self.seed})"


def check_plan(plan: object) -> FaultPlan:
    """Return a plan.

    Raises:
        IpcArgumentError: it is none.
    """
    if isinstance(plan, FaultPlan):
        return plan
    raise IpcArgumentError(
        f"plan is of type {type(plan).__name__}; give a FaultPlan, such as "
        "FaultPlan([Fault.delay(0.1)])",
        field="plan",
    )


def _strikes(
    fault: Fault, message: int, start: int, length: int, is_message: bool, chance: random.Random
) -> bool:
    if fault.message is not None:
        # 0 is the handshake, which is no message; a ping after message 3 is not message 3.
        return fault.message == message and is_message == (message > 0)
    if fault.offset is not None:
        return start <= fault.offset < start + length
    if fault.every is not None:
        return is_message and message % fault.every == 0
    if fault.probability is not None:
        return is_message and chance.random() < fault.probability
    return is_message or fault.kind in OF_A_STREAM


# What a transport can do: whole messages. Those that end or silence a link are as many as the rest.
_EVERYWHERE: Final = (
    FaultKind.DELAY,
    FaultKind.DUPLICATE,
    FaultKind.REORDER,
    FaultKind.DROP,
    FaultKind.HALF_OPEN,
    FaultKind.RESET,
    FaultKind.CUT,
    FaultKind.CLOSE,
    FaultKind.REFUSE,
)
_CODES: Final = (None, 1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000, 4999)


def _made_up(
    chance: random.Random,
    kinds: Sequence[FaultKind],
    messages: int,
    connections: int,
    seconds: float,
) -> Fault:
    kind = chance.choice(kinds)
    connection = chance.randint(1, connections)
    if kind is FaultKind.REFUSE:
        return Fault.refuse(connection=connection + 1)  # not the first: that is its caller's error
    what: dict[str, object] = {}
    if kind in (FaultKind.DELAY, FaultKind.REORDER, FaultKind.FREEZE):
        what["seconds"] = chance.uniform(0, seconds)
    elif kind is FaultKind.THROTTLE:
        what["size"] = chance.randint(10_000, 1_000_000)
    elif kind in (FaultKind.SLICE, FaultKind.FRAGMENT):
        what["size"] = chance.randint(1, 16)
    elif kind is FaultKind.CLOSE:
        what["code"] = chance.choice(_CODES)
    direction = chance.choice(list(Direction))
    if kind is FaultKind.CLOSE:
        direction = Direction.TO_CLIENT
    # What ends a link strikes one message; the rest may be a habit.
    if kind in ENDS or kind is FaultKind.HALF_OPEN or chance.random() < 0.5:
        what["message"] = chance.randint(2, messages)
    else:
        what["probability"] = chance.uniform(0.02, 0.3)
    return Fault(kind=kind, direction=direction, connection=connection, **what)  # type: ignore[arg-type]

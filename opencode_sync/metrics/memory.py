"""A recorder that keeps counts and times in memory."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from opencode_sync.state import ConnectionState

__all__ = ["InMemoryMetrics", "MetricsSnapshot", "OperationFigures"]

_KEPT: Final = 10_000
_TOGETHER: Final = 500
"""Records that are counted together."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class OperationFigures:
    """What was recorded of one operation.

    Attributes:
        sent: Requests put on the wire; one repeated after a lost connection counts again.
        succeeded: Requests that ended with a result.
        failed: Requests that ended with an error, time-outs and cancellations included.
        durations: Seconds that each of the newest 10,000 requests with a result took, oldest first.
        failed_durations: The same of those that failed. A call that is refused while the backend is
            down takes microseconds, one whose time runs out all of its time: neither says how fast
            the backend is.
    """

    sent: int
    succeeded: int
    failed: int
    durations: tuple[float, ...]
    failed_durations: tuple[float, ...] = ()

    def percentile(self, percent: float) -> float:
        """Return the duration (seconds) that ``percent`` of the requests did not exceed.

        Of those with a result only, so that an outage does not look like speed.

        Raises:
            ValueError: no request has succeeded, or ``percent`` is not within 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent is {percent}; give a number from 0 to 100")
        if not self.durations:
            raise ValueError("no request has succeeded, so there is no percentile")
        ordered = sorted(self.durations)
        # By the number as it is written: 16.1 % of 1000 are 161, and as floats a little more.
        rank = math.ceil(len(ordered) * Fraction(str(percent)) / 100)
        return ordered[max(0, rank - 1)]


@dataclass(frozen=True)
class MetricsSnapshot:
    """Everything an ``InMemoryMetrics`` held at one moment.

    Attributes:
        operations: The figures of each operation, by its name.
        state_changes: The newest 10,000 steps of the connection, from one state to another.
        messages_received: Messages that came in: answers, events, and what belonged to nobody.
        bytes_received: Their size together.
    """

    operations: dict[str, OperationFigures]
    state_changes: tuple[tuple[ConnectionState, ConnectionState], ...]
    messages_received: int
    bytes_received: int

    @property
    def state(self) -> ConnectionState | None:
        """The newest state of the connection; None when it never left its first."""
        return self.state_changes[-1][1] if self.state_changes else None


class _Times(NamedTuple):
    """The newest times of one kind. What is behind ``end`` in the list is not among them yet."""

    seconds: list[float]
    end: int = 0

    def plus(self, new: list[float]) -> _Times:
        """Return these and newer ones. These stay as they are, though the list is the same."""
        seconds, end = self
        if end > 2 * _KEPT:
            seconds, end = seconds[end - _KEPT : end], _KEPT
        seconds[end:] = new
        return _Times(seconds, end + len(new))

    def newest(self) -> tuple[float, ...]:
        """Return those that are kept."""
        return tuple(self.seconds[max(0, self.end - _KEPT) : self.end])


class _Operation(NamedTuple):
    """What was counted of one operation; never changed, only replaced."""

    sent: int
    succeeded: int
    failed: int
    times: _Times
    failed_times: _Times

    def plus(self, sent: int, times: list[float], failed_times: list[float]) -> _Operation:
        return _Operation(
            self.sent + sent,
            self.succeeded + len(times),
            self.failed + len(failed_times),
            self.times.plus(times),
            self.failed_times.plus(failed_times),
        )

    def figures(self) -> OperationFigures:
        return OperationFigures(
            self.sent,
            self.succeeded,
            self.failed,
            self.times.newest(),
            self.failed_times.newest(),
        )


class _Counted(NamedTuple):
    """What has been counted until now; never changed, only replaced."""

    operations: dict[str, _Operation]
    messages: int = 0
    bytes: int = 0


class InMemoryMetrics:
    """Keeps the figures in memory; ``snapshot`` reads them. Thread-safe.

    What is recorded is only put down, by one atomic step and without a lock, and counted together
    now and then: who records is in the middle of a request.
    """

    def __init__(self) -> None:
        # Appended to by any thread; taken out under the lock.
        self._sent: deque[str] = deque()
        self._ended: deque[tuple[str, float, bool]] = deque()
        self._sizes: deque[int] = deque()
        self._state_changes: deque[tuple[ConnectionState, ConnectionState]] = deque(maxlen=_KEPT)
        # Guards the two below. A signal handler may come in the middle of its own thread's turn.
        self._lock = threading.RLock()
        self._counting = False
        self._counted = _Counted({})

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        self._sent.append(operation)

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        ended = self._ended
        ended.append((operation, duration, success))
        if len(ended) >= _TOGETHER:
            self._count()

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``."""
        self._state_changes.append((old, new))

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        sizes = self._sizes
        sizes.append(size)
        if len(sizes) >= _TOGETHER:
            self._count()

    def snapshot(self) -> MetricsSnapshot:
        """Return a copy of all figures; a signal handler may, too.

        One that interrupts its own thread while that counts gets what was counted before: the
        newest few hundred records may be missing, and are in the next snapshot.
        """
        counted = self._count()
        return MetricsSnapshot(
            operations={name: each.figures() for name, each in counted.operations.items()},
            state_changes=tuple(self._state_changes.copy()),
            messages_received=counted.messages,
            bytes_received=counted.bytes,
        )

    def _count(self) -> _Counted:
        """Count what has been put down until now, which takes a fraction of a millisecond."""
        with self._lock:
            if not self._counting:
                self._counting = True
                try:
                    self._counted = self._with_new(self._counted)
                finally:
                    self._counting = False
            return self._counted

    def _with_new(self, counted: _Counted) -> _Counted:
        """Take out what has been put down, and return the figures with it."""
        sent = Counter(_taken(self._sent))
        times: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
        for operation, duration, success in _taken(self._ended):
            times[operation, success].append(duration)
        sizes = _taken(self._sizes)
        operations = dict(counted.operations)
        for name in {*sent, *(name for name, _ in times)}:
            before = operations.get(name) or _Operation(0, 0, 0, _Times([]), _Times([]))
            operations[name] = before.plus(sent[name], times[name, True], times[name, False])
        return _Counted(operations, counted.messages + len(sizes), counted.bytes + sum(sizes))


def _taken(queue: deque[_T]) -> list[_T]:
    """Take out what is there now; what comes meanwhile is for the next time."""
    return [queue.popleft() for _ in range(len(queue))]

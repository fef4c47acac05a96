"""A recorder that keeps counts and times in memory."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

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
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


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


class _Operation:
    def __init__(self) -> None:
        self.sent = self.succeeded = self.failed = 0
        self.durations: deque[float] = deque(maxlen=_KEPT)
        self.failed_durations: deque[float] = deque(maxlen=_KEPT)


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
        self._lock = threading.Lock()  # guards every attribute below
        self._operations: defaultdict[str, _Operation] = defaultdict(_Operation)
        self._messages = 0
        self._bytes = 0

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
        """Return a copy of all figures."""
        self._count()
        with self._lock:
            return MetricsSnapshot(
                operations={
                    name: OperationFigures(
                        sent=figures.sent,
                        succeeded=figures.succeeded,
                        failed=figures.failed,
                        durations=tuple(figures.durations),
                        failed_durations=tuple(figures.failed_durations),
                    )
                    for name, figures in self._operations.items()
                },
                state_changes=tuple(self._state_changes.copy()),
                messages_received=self._messages,
                bytes_received=self._bytes,
            )

    def _count(self) -> None:
        """Count what has been put down until now, which takes a fraction of a millisecond."""
        with self._lock:
            for operation, count in Counter(_taken(self._sent)).items():
                self._operations[operation].sent += count
            for operation, duration, success in _taken(self._ended):
                figures = self._operations[operation]
                if success:
                    figures.succeeded += 1
                    figures.durations.append(duration)
                else:
                    figures.failed += 1
                    figures.failed_durations.append(duration)
            sizes = _taken(self._sizes)
            self._messages += len(sizes)
            self._bytes += sum(sizes)


def _taken(queue: deque[_T]) -> list[_T]:
    """Take out what is there now; what comes meanwhile is for the next time."""
    return [queue.popleft() for _ in range(len(queue))]

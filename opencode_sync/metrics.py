"""What a client reports about itself, and two recorders for it."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from opencode_sync.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from opencode_sync.state import ConnectionState

__all__ = ["InMemoryMetrics", "Metrics", "MetricsSnapshot", "OperationFigures"]

_KEPT: Final = 10_000


class Metrics(Protocol):
    """Where a client reports what it does.

    Called on whatever thread does the thing, the one that reads the connection included (changes of
    state: on the notifier thread): an implementation must be thread-safe, return at once and never
    call the client. What it raises is logged and ignored. Durations are seconds, sizes are bytes.
    """

    def record_request_sent(self, operation: str) -> None:
        """A request was put on the wire."""

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """A request ended, one way or another, ``duration`` seconds after the call began."""

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """The connection changed state."""

    def record_message_received(self, size: int) -> None:
        """A message of ``size`` bytes came in."""


@dataclass(frozen=True)
class OperationFigures:
    """What was recorded of one operation.

    Attributes:
        sent: Requests put on the wire; one repeated after a lost connection counts again.
        succeeded: Requests that ended with a result.
        failed: Requests that ended with an error, time-outs and cancellations included.
        durations: Seconds each of the newest 10,000 completed requests took, oldest first.
    """

    sent: int
    succeeded: int
    failed: int
    durations: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Return the duration (seconds) that ``percent`` of the requests did not exceed.

        Raises:
            ValueError: no request has completed, or ``percent`` is not within 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent is {percent}; give a number from 0 to 100")
        if not self.durations:
            raise ValueError("no request has completed, so there is no percentile")
        ordered = sorted(self.durations)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class MetricsSnapshot:
    """Everything an ``InMemoryMetrics`` held at one moment."""

    operations: dict[str, OperationFigures]
    state_changes: tuple[tuple[ConnectionState, ConnectionState], ...]
    messages_received: int
    bytes_received: int


@dataclass
class _Operation:
    results: Counter[bool] = field(default_factory=Counter)
    sent: int = 0
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


class InMemoryMetrics:
    """Keeps the figures in memory; ``snapshot`` reads them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards every attribute below
        self._operations: dict[str, _Operation] = {}
        self._state_changes: deque[tuple[ConnectionState, ConnectionState]] = deque(maxlen=_KEPT)
        self._messages = 0
        self._bytes = 0

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        with self._lock:
            self._operations.setdefault(operation, _Operation()).sent += 1

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        with self._lock:
            figures = self._operations.setdefault(operation, _Operation())
            figures.results[success] += 1
            figures.durations.append(duration)

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``."""
        with self._lock:
            self._state_changes.append((old, new))

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        with self._lock:
            self._messages += 1
            self._bytes += size

    def snapshot(self) -> MetricsSnapshot:
        """Return a consistent copy of all figures."""
        with self._lock:
            return MetricsSnapshot(
                operations={
                    name: OperationFigures(
                        sent=figures.sent,
                        succeeded=figures.results[True],
                        failed=figures.results[False],
                        durations=tuple(figures.durations),
                    )
                    for name, figures in self._operations.items()
                },
                state_changes=tuple(self._state_changes),
                messages_received=self._messages,
                bytes_received=self._bytes,
            )


class GuardedMetrics:
    """Passes everything on, and keeps what the recorder raises away from the connection."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        self._guard(self._metrics.record_request_sent, operation)

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        self._guard(self._metrics.record_request_completed, operation, duration, success)

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``."""
        self._guard(self._metrics.record_connection_state_change, old, new)

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        self._guard(self._metrics.record_message_received, size)

    @staticmethod
    def _guard(record: Callable[..., None], *args: object) -> None:
        try:
            record(*args)
        except Exception:  # noqa: BLE001 - a broken recorder must not end a request, or the reader
            logger.opt(exception=True).warning("the metrics recorder failed; its figure is lost")

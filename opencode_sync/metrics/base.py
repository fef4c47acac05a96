"""What a client reports about itself: the interface, and what keeps a recorder's faults away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from opencode_sync.logger import logger

if TYPE_CHECKING:
    from opencode_sync.state import ConnectionState

__all__ = ["GuardedMetrics", "HasState", "Metrics", "WatchesConnections"]


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


class HasState(Protocol):
    """A client's connection, as one who watches it sees it."""

    @property
    def state(self) -> ConnectionState:
        """The state now; any thread may ask."""


@runtime_checkable
class WatchesConnections(Protocol):
    """What a recorder may have as well: then it can ask for the state instead of being told."""

    def watch_connection(self, connection: HasState) -> None:
        """Get to know a client's connection, when the client is made.

        It must not be kept alive, for its client is not: keep a weak reference.
        """


class GuardedMetrics:
    """Passes everything on, and keeps what the recorder raises away from the connection."""

    __slots__ = ("_completed", "_received", "_sent", "_state")

    def __init__(self, metrics: Metrics) -> None:
        # Bound once: three of these run for each request.
        self._sent = metrics.record_request_sent
        self._completed = metrics.record_request_completed
        self._state = metrics.record_connection_state_change
        self._received = metrics.record_message_received

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        try:
            self._sent(operation)
        except Exception:  # noqa: BLE001 - a broken recorder must not end a request
            _tell()

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        try:
            self._completed(operation, duration, success)
        except Exception:  # noqa: BLE001 - a broken recorder must not end a request
            _tell()

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``."""
        try:
            self._state(old, new)
        except Exception:  # noqa: BLE001 - nobody could do anything about it
            _tell()

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        try:
            self._received(size)
        except Exception:  # noqa: BLE001 - a broken recorder must not end the reader
            _tell()


def _tell() -> None:
    logger.opt(exception=True).warning("the metrics recorder failed; its figure is lost")

"""What a client reports about itself: the interface, and what keeps a recorder's faults away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from opencode_sync.errors import IpcConfigError
from opencode_sync.log_thread import log_soon
from opencode_sync.logger import logger

if TYPE_CHECKING:
    from opencode_sync.state import ConnectionState

__all__ = ["GuardedMetrics", "HasState", "Metrics", "WatchesConnections"]


class Metrics(Protocol):
    """Where a client reports what it does.

    Called on whatever thread does the thing, the one that reads the connection included (changes of
    state: on the notifier thread): an implementation must be thread-safe, return at once and never
    call the client. What it raises is logged and ignored, ``SystemExit`` and the like included; but
    a ``KeyboardInterrupt`` on the main thread is the user's, and goes on to the caller there.
    Durations are seconds, sizes are bytes.
    """

    def record_request_sent(self, operation: str) -> None:
        """A request was put on the wire."""

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """A request ended, one way or another, ``duration`` seconds after the call began.

        A subscription is a request, too: a success when it was closed or cancelled, which is how it
        ends, and none when it could not begin, was lost, or was ended by the backend.
        """

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


_METHODS: Final = (
    "record_request_sent",
    "record_request_completed",
    "record_connection_state_change",
    "record_message_received",
)


class GuardedMetrics:
    """Passes everything on, and keeps what the recorder raises away from the connection."""

    __slots__ = ("_completed", "_received", "_sent", "_state", "_told", "_watch")

    def __init__(self, metrics: Metrics) -> None:
        """Guard a recorder.

        Raises:
            IpcConfigError: it has not all methods of one.
        """
        missing = [name for name in _METHODS if not callable(getattr(metrics, name, None))]
        if missing:
            raise IpcConfigError(
                f"metrics is of type {type(metrics).__name__} and has no method {missing[0]}; give "
                "InMemoryMetrics(), an object with all methods of Metrics, or None for no figures",
                field="metrics",
            )
        # Bound once: three of these run for each request.
        self._sent = metrics.record_request_sent
        self._completed = metrics.record_request_completed
        self._state = metrics.record_connection_state_change
        self._received = metrics.record_message_received
        self._watch = metrics.watch_connection if isinstance(metrics, WatchesConnections) else None
        # Not locked: told twice is fine.
        self._told = False

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        try:
            self._sent(operation)
        except BaseException as error:  # noqa: BLE001 - a broken recorder must not end a request
            self._tell(error)

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        try:
            self._completed(operation, duration, success)
        except BaseException as error:  # noqa: BLE001 - a broken recorder must not end a request
            self._tell(error)

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``."""
        try:
            self._state(old, new)
        except BaseException as error:  # noqa: BLE001 - nobody could do anything about it
            self._tell(error)

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        try:
            self._received(size)
        except BaseException as error:  # noqa: BLE001 - a broken recorder must not end the reader
            self._tell(error)

    def watch_connection(self, connection: HasState) -> None:
        """See ``WatchesConnections``."""
        if self._watch is None:
            return
        try:
            self._watch(connection)
        except BaseException as error:  # noqa: BLE001 - a client is made all the same
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        """Tell of a fault, once: each request would bring it again.

        Raises:
            KeyboardInterrupt: that is what it is, where Python raises it: on the main thread.
        """
        on_main = threading.current_thread() is threading.main_thread()
        if isinstance(error, KeyboardInterrupt) and on_main:
            raise error
        if not self._told:
            self._told = True
            log_soon(_log_fault, error)


def _log_fault(error: BaseException) -> None:
    logger.opt(exception=error).warning("the metrics recorder failed; figures are lost")

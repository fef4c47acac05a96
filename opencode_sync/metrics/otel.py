"""A recorder that hands everything to OpenTelemetry. It is imported when one is made."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from opencode_sync.errors import IpcConfigError
from opencode_sync.extras import needs_opentelemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider, Observation

    from opencode_sync.metrics.base import HasState
    from opencode_sync.state import ConnectionState

__all__ = ["OpenTelemetryMetrics"]

_SCOPE: Final = "opencode_sync"


class OpenTelemetryMetrics:
    """Records by OpenTelemetry's instruments. Thread-safe; one may serve any number of clients.

    ========================  =========  ======  ==================================================
    instrument                kind       unit    attributes
    ========================  =========  ======  ==================================================
    ipc.requests.sent         counter    1       operation
    ipc.request.duration      histogram  ms      operation, success
    ipc.requests.failed       counter    1       operation, success (always false)
    ipc.messages.received     counter    1
    ipc.message.size          histogram  By
    ipc.connection.state      gauge      1       state: how many clients are in it; each state there
                                                 is has a value, so that 0 connected can be seen
    ========================  =========  ======  ==================================================
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        """Make the instruments.

        Args:
            meter_provider: Where they are made; None for OpenTelemetry's global provider.

        Raises:
            IpcConfigError: OpenTelemetry is not installed, or that is no provider.
        """
        with needs_opentelemetry("OpenTelemetryMetrics"):
            from opentelemetry import metrics

        if meter_provider is None:
            meter_provider = metrics.get_meter_provider()
        elif not isinstance(meter_provider, metrics.MeterProvider):
            raise IpcConfigError(
                f"meter_provider is of type {type(meter_provider).__name__}; give an OpenTelemetry "
                "MeterProvider, or None for the global one",
                field="meter_provider",
            )
        self._observation = metrics.Observation
        self._lock = threading.Lock()  # guards _connections, read on a thread of OpenTelemetry's
        self._connections: weakref.WeakSet[HasState] = weakref.WeakSet()
        meter = meter_provider.get_meter(_SCOPE)
        self._sent = meter.create_counter("ipc.requests.sent", "1", "Requests put on the wire")
        self._duration = meter.create_histogram(
            "ipc.request.duration", "ms", "From the call to its end"
        )
        self._failed = meter.create_counter(
            "ipc.requests.failed", "1", "Requests that ended with an error"
        )
        self._received = meter.create_counter("ipc.messages.received", "1", "Messages that came in")
        self._size = meter.create_histogram("ipc.message.size", "By", "Their size")
        # The provider keeps its callbacks for good; ours must not keep this recorder.
        recorder = weakref.ref(self)
        meter.create_observable_gauge(
            "ipc.connection.state",
            [lambda options: _observe(recorder())],
            "1",
            "Clients whose connection is in this state",
        )

    def watch_connection(self, connection: HasState) -> None:
        """See ``WatchesConnections``."""
        with self._lock:
            self._connections.add(connection)

    def record_request_sent(self, operation: str) -> None:
        """See ``Metrics``."""
        self._sent.add(1, {"operation": operation})

    def record_request_completed(self, operation: str, duration: float, success: bool) -> None:
        """See ``Metrics``."""
        attributes: dict[str, str | bool] = {"operation": operation, "success": success}
        self._duration.record(duration * 1000, attributes)
        if not success:
            self._failed.add(1, attributes)

    def record_connection_state_change(self, old: ConnectionState, new: ConnectionState) -> None:
        """See ``Metrics``. The gauge asks the connections themselves."""

    def record_message_received(self, size: int) -> None:
        """See ``Metrics``."""
        self._received.add(1)
        self._size.record(size)

    def _states(self) -> Iterator[Observation]:
        with self._lock:
            states = [each.state for each in self._connections]
        counts = Counter(states)
        for state in type(states[0]) if states else ():
            yield self._observation(counts[state], {"state": state.value})


def _observe(recorder: OpenTelemetryMetrics | None) -> Iterator[Observation]:
    return iter(()) if recorder is None else recorder._states()

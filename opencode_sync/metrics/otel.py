"""A recorder that hands everything to OpenTelemetry. It is imported when one is made."""

from __future__ import annotations

import collections
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from opencode_sync.errors import IpcConfigError
from opencode_sync.extras import needs_opentelemetry
from opencode_sync.logger import logger

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider, Observation

    from opencode_sync.metrics.base import HasState
    from opencode_sync.state import ConnectionState

__all__ = ["OpenTelemetryMetrics"]

_SCOPE: Final = "opencode_sync"


class OpenTelemetryMetrics:
    """Records by OpenTelemetry's instruments. Thread-safe; one may serve any number of clients.

    Several on one provider add up, as if they were one. An instrument that the provider fails to
    make is done without; the log says so, once.

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

        is_global = meter_provider is None
        if meter_provider is None:
            meter_provider = metrics.get_meter_provider()
        elif not isinstance(meter_provider, metrics.MeterProvider):
            raise IpcConfigError(
                f"meter_provider is of type {type(meter_provider).__name__}; give an OpenTelemetry "
                "MeterProvider, or None for the global one",
                field="meter_provider",
            )
        self._watched, is_new = _watched_on(
            # Asking for the global one may make it, so only those are compared who asked before.
            meter_provider,
            is_global=is_global
            or (_the_global.in_use and meter_provider is metrics.get_meter_provider()),
        )
        make = _Instruments(meter_provider, metrics.NoOpMeter(_SCOPE)).make
        self._sent: Counter = make(
            "create_counter", "ipc.requests.sent", "1", "Requests put on the wire"
        )
        self._duration: Histogram = make(
            "create_histogram", "ipc.request.duration", "ms", "From the call to its end"
        )
        self._failed: Counter = make(
            "create_counter", "ipc.requests.failed", "1", "Requests that ended with an error"
        )
        self._received: Counter = make(
            "create_counter", "ipc.messages.received", "1", "Messages that came in"
        )
        self._size: Histogram = make("create_histogram", "ipc.message.size", "By", "Their size")
        if is_new:  # of two of one name the provider asks the first only
            make(
                "create_observable_gauge",
                "ipc.connection.state",
                [self._watched.observe(metrics.Observation)],
                "1",
                "Clients whose connection is in this state",
            )

    def watch_connection(self, connection: HasState) -> None:
        """See ``WatchesConnections``."""
        self._watched.add(connection)

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


class _Watched:
    """The connections whose figures go to one provider. Any thread may call any method.

    The provider keeps it for good, and it keeps neither a recorder nor a client.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _connections, read on a thread of OpenTelemetry's
        self._connections: weakref.WeakSet[HasState] = weakref.WeakSet()
        self.in_use = False
        """Whether a gauge shows it."""

    def add(self, connection: HasState) -> None:
        with self._lock:
            self._connections.add(connection)

    def observe(self, make: type[Observation]) -> Callable[[object], Iterator[Observation]]:
        """Return a callback for the gauge."""

        def states(options: object) -> Iterator[Observation]:
            with self._lock:
                states = [each.state for each in self._connections]
            counts = collections.Counter(states)
            for state in type(states[0]) if states else ():
                yield make(counts[state], {"state": state.value})

        return states


_lock = threading.Lock()  # guards _known
_known: weakref.WeakKeyDictionary[MeterProvider, _Watched] = weakref.WeakKeyDictionary()
_the_global = _Watched()
"""What the global provider gets: before a program sets it there is another object in its place."""


def _watched_on(provider: MeterProvider, *, is_global: bool) -> tuple[_Watched, bool]:
    """Return what a provider observes, and whether it has to be told so."""
    with _lock:
        known = _known.get(provider)
        if known is not None:
            return known, False
        made = _known[provider] = _the_global if is_global else _Watched()
        made.in_use = True
        return made, True


def _version() -> str | None:
    from importlib import metadata  # which brings a lot along

    try:
        return metadata.version("opencode-sync-sdk")
    except metadata.PackageNotFoundError:  # used from a folder, without an installation
        return None


class _Instruments:
    """Makes a provider's instruments, and in the place of one that fails one that does nothing."""

    def __init__(self, provider: MeterProvider, silent: Meter) -> None:
        self._silent = silent
        self._told = False
        self._meter = silent
        try:
            self._meter = provider.get_meter(_SCOPE, _version())
        except Exception:  # noqa: BLE001 - it is the program's own, and must not end it
            self._tell()

    def make(self, method: str, *args: Any) -> Any:
        try:
            return getattr(self._meter, method)(*args)
        except Exception:  # noqa: BLE001 - as above
            self._tell()
            return getattr(self._silent, method)(*args)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.opt(exception=True).warning("the meter provider failed; figures are lost")

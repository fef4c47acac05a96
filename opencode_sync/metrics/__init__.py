"""What a client reports about itself, and where to."""

from __future__ import annotations

from opencode_sync.metrics.base import GuardedMetrics, HasState, Metrics, WatchesConnections
from opencode_sync.metrics.memory import InMemoryMetrics, MetricsSnapshot, OperationFigures
from opencode_sync.metrics.otel import OpenTelemetryMetrics

__all__ = [
    "HasState",
    "InMemoryMetrics",
    "Metrics",
    "MetricsSnapshot",
    "OpenTelemetryMetrics",
    "OperationFigures",
    "WatchesConnections",
    "guarded",
]


def guarded(metrics: Metrics) -> Metrics:
    """Return a recorder that raises nothing: this one, or one that keeps its faults to itself."""
    # Ours has none; and a request tells its recorder three times, each of which would be two calls.
    return metrics if type(metrics) is InMemoryMetrics else GuardedMetrics(metrics)

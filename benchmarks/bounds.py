"""What the figures have to reach, as ratios, and whether they do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.samples import Figure

__all__ = ["BOUNDS", "REAL_BOUNDS", "Bound", "Verdict", "judge"]

Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Bound:
    """One line of the table of aims.

    Attributes:
        text: What is compared.
        limit: The bound.
        at_least: Whether more is better; else less is.
        value: Takes it from the figures; None when something of it was not measured.
        spread: The quartiles of the same, round by round, where there are rounds to compare.
    """

    text: str
    limit: float
    at_least: bool
    value: Callable[[Figures], float | None]
    spread: Callable[[Figures], tuple[float, float] | None] = lambda figures: None


@dataclass(frozen=True)
class Verdict:
    """A bound beside what was measured."""

    bound: Bound
    value: float
    spread: tuple[float, float] | None

    @property
    def reached(self) -> bool:
        """Whether the bound is kept."""
        if self.bound.at_least:
            return self.value >= self.bound.limit
        return self.value <= self.bound.limit


def judge(figures: Figures, bounds: Sequence[Bound] | None = None) -> list[Verdict]:
    """Return a verdict on each bound whose figures were measured; None stands for ``BOUNDS``."""
    verdicts = []
    for bound in BOUNDS if bounds is None else bounds:
        value = bound.value(figures)
        if value is not None:
            verdicts.append(Verdict(bound, value, bound.spread(figures)))
    return verdicts


def _times(
    text: str, limit: float, key: str, one: str, other: str, *, least: bool = False
) -> Bound:
    """Bound the ratio of two contenders' times."""
    return Bound(
        text,
        limit,
        least,
        lambda figures: figures[key].ratio(one, other) if key in figures else None,
        lambda figures: figures[key].spread(one, other) if key in figures else None,
    )


def _tail(figures: Figures) -> float | None:
    if "round-trip" not in figures:
        return None
    summary = figures["round-trip"].summaries()["IpcClient"]
    return summary.p99 / summary.p50


def _threads_beside_one(figures: Figures) -> float | None:
    if "threads" not in figures or "pipelined" not in figures:
        return None
    one = figures["pipelined"].summaries()["IpcClient"]
    return one.p50 / figures["threads"].summaries()["IpcClient"].p50


def _alone(key: str, contender: str) -> Callable[[Figures], float | None]:
    return lambda figures: (
        figures[key].summaries()[contender].p50
        if key in figures and contender in figures[key].rounds
        else None
    )


_OURS: Final = "IpcClient"
_BARE: Final = "bare loop"

BOUNDS: Final = (
    _times("round trip: IpcClient / bare loop", 0.92, "round-trip", _OURS, _BARE),
    _times("round trip: IpcClient / raw socket", 1.4, "round-trip", _OURS, "raw socket"),
    _times("round trip: gRPC / IpcClient", 5.0, "round-trip", "gRPC", _OURS, least=True),
    _times(
        "round trip: websockets.sync / IpcClient",
        1.3,
        "round-trip",
        "websockets.sync",
        _OURS,
        least=True,
    ),
    Bound("round trip: p99 / p50 of IpcClient", 3.0, False, _tail),
    _times(
        "in memory: IpcClient / bare queues",
        1.5,
        "round-trip",
        "IpcClient in memory",
        "bare queues",
    ),
    _times(
        "pipelined throughput: IpcClient / bare loop", 2.0, "pipelined", _BARE, _OURS, least=True
    ),
    _times("queued throughput: IpcClient / bare loop", 2.5, "queued", _BARE, _OURS, least=True),
    _times("CPU per pipelined request: IpcClient / bare loop", 0.6, "cpu", _OURS, _BARE),
    Bound("throughput: 64 threads / one, pipelined", 0.7, True, _threads_beside_one),
    _times("list of sessions: IpcClient / bare loop", 1.1, "list", _OURS, _BARE),
    _times(
        "served by the gateway / by bare websockets.sync",
        0.6,
        "gateway",
        "bare websockets.sync",
        "gateway",
        least=True,
    ),
    Bound("memory per request in flight, KiB", 4.0, False, _alone("memory", _OURS)),
    _times("whole process: IpcClient / official SDK", 0.7, "start", _OURS, "official SDK"),
    _times("import: opencode_sync / opencode_ai", 0.5, "import", _OURS, "official SDK"),
    Bound("CPU of an idle client, %", 0.1, False, _alone("idle", _OURS)),
)

_SDK: Final = "official SDK"

REAL_BOUNDS: Final = (
    _times("list_sessions: launch / official SDK", 0.8, "real-list", "IpcClient, launch", _SDK),
    _times("list_sessions: gateway / official SDK", 0.95, "real-list", "IpcClient, gateway", _SDK),
)
"""The same for a real OpenCode."""

"""Samples of contenders and what is made of them: percentiles and ratios. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Figure", "Summary"]


@dataclass(frozen=True)
class Summary:
    """What is told of one contender's samples, in the figure's unit."""

    count: int
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """Summarise one sample or more."""
        if len(samples) == 1:
            return cls(1, samples[0], samples[0], samples[0])
        cuts = statistics.quantiles(samples, n=100, method="inclusive")
        return cls(len(samples), cuts[49], cuts[89], cuts[98])


@dataclass
class Figure:
    """One thing that was measured, of several contenders in turn.

    Attributes:
        key: What it is called in the command line, the JSON and the bounds.
        title: The same for people.
        unit: Of the samples. Less is better, always.
        rounds: For each contender one list of samples per round, in the order of the rounds.
    """

    key: str
    title: str
    unit: str
    rounds: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, contender: str, samples: list[float]) -> None:
        """Add what one contender did in one round."""
        self.rounds.setdefault(contender, []).append(samples)

    def samples(self, contender: str) -> list[float]:
        """Return all samples of one contender, but for those of the first round: it warms up."""
        rounds = self.rounds[contender]
        return [each for one in (rounds[1:] or rounds) for each in one]

    def summaries(self) -> dict[str, Summary]:
        """Return what to tell of each contender."""
        return {name: Summary.of(self.samples(name)) for name in self.rounds}

    def ratio(self, one: str, other: str) -> float | None:
        """Return the ratio of two contenders' medians; None when one did not take part."""
        if one not in self.rounds or other not in self.rounds:
            return None
        return statistics.median(self.samples(one)) / statistics.median(self.samples(other))

    def spread(self, one: str, other: str) -> tuple[float, float] | None:
        """Return the quartiles of the same ratio taken round by round: how far to trust it."""
        if one not in self.rounds or other not in self.rounds:
            return None
        pairs = zip(self.rounds[one], self.rounds[other], strict=False)
        ratios = [statistics.median(a) / statistics.median(b) for a, b in pairs][1:]
        if len(ratios) < 2:
            return None
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high

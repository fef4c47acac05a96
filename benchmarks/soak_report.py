"""What a soak found, as JSON, as a table, and as the list of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from benchmarks.soak_worker import Tally

__all__ = ["Growth", "as_document", "as_table", "problems"]

GROWTH_LIMIT: Final = 10.0
"""MiB that memory may grow after the warm-up."""

_KINDS: Final = (
    "lost",
    "duplicated",
    "hung",
    "wrong answer",
    "untruthful",
    "late",
    "unexpected exception",
)
_MIB: Final = 2**20
_PART: Final = 10  # the first and the last tenth of what comes after the warm-up are compared


@dataclass(frozen=True)
class Growth:
    """How much memory a process uses, in MiB.

    Attributes:
        before: After the warm-up.
        after: In the end.
        peak: At most.
    """

    before: float
    after: float
    peak: float

    @classmethod
    def of(cls, samples: Sequence[tuple[int, int]], warm_up: float) -> Growth | None:
        """Return the growth, or None if there are too few samples to tell.

        Args:
            samples: Requests made and bytes used, in the order of time.
            warm_up: The number of requests that are no part of it.
        """
        used = [size / _MIB for done, size in samples if done >= warm_up]
        part = len(used) // _PART
        if part < 1:
            return None
        return cls(median(used[:part]), median(used[-part:]), max(used))

    @property
    def grown(self) -> float:
        """MiB from the warm-up to the end."""
        return self.after - self.before


def as_document(
    *,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
    seconds: float,
    tally: Tally,
    proxy: Mapping[str, Any],
    growth: Mapping[str, Growth | None],
    before: Mapping[str, Mapping[str, int]],
    after: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """Return the report as JSON can hold it."""
    return {
        "settings": dict(settings),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "requests": tally.requests,
        "answered": tally.answered,
        "failures": dict(tally.failures.most_common()),
        "violations": {kind: tally.violations[kind] for kind in _KINDS},
        "examples": tally.examples,
        "connections": proxy.get("connections", 0),
        "faults": dict(proxy.get("faults", {})),
        "memory": {
            name: None if one is None else {**asdict(one), "grown": one.grown}
            for name, one in growth.items()
        },
        "before": {name: dict(held) for name, held in before.items()},
        "after": {name: dict(held) for name, held in after.items()},
    }


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return what is wrong, in words; nothing when all is as promised."""
    found = [f"{count} {kind}" for kind, count in report["violations"].items() if count]
    found += report["examples"]
    failed = sum(report["failures"].values())
    if report["answered"] + failed + report["violations"]["hung"] < report["requests"]:
        missing = report["requests"] - report["answered"] - failed
        found.append(f"{missing} requests have no end")
    for name, memory in report["memory"].items():
        if memory is not None and memory["grown"] > GROWTH_LIMIT:
            found.append(f"memory of the {name} grew by {memory['grown']:.1f} MiB")
    for name, held in report["after"].items():
        for what, count in held.items():
            if count > report["before"][name][what]:
                found.append(
                    f"the {name} has {count} {what}, and had {report['before'][name][what]}"
                )
    return found


def as_table(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    settings, seconds = report["settings"], report["seconds"]
    rows = [
        ("seed", settings["seed"]),
        ("clients, threads", f"{settings['clients']}, {settings['threads']}"),
        ("seconds", seconds),
        (
            "requests",
            f"{report['requests']} ({report['requests'] / max(seconds, 0.1):.0f} a second)",
        ),
        ("answered", report["answered"]),
        *((f"failed: {kind}", count) for kind, count in report["failures"].items()),
        ("connections", report["connections"]),
        *((f"fault {kind}", count) for kind, count in sorted(report["faults"].items())),
        *report["violations"].items(),
    ]
    for name, memory in report["memory"].items():
        shown = "too short to tell"
        if memory is not None:
            shown = (
                f"{memory['before']:.1f} MiB after warm-up, {memory['after']:.1f} in the end "
                f"(grown by {memory['grown']:.1f}), at most {memory['peak']:.1f}"
            )
        rows.append((f"memory of the {name}", shown))
    for name, held in report["after"].items():
        for what, count in held.items():
            rows.append((f"{what} of the {name}", f"{report['before'][name][what]} -> {count}"))
    return "\n".join(f"  {name:48} {value}" for name, value in rows)

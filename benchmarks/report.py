"""The run as tables, as JSON and as a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bounds import Verdict
from benchmarks.samples import Figure

__all__ = ["as_document", "as_table", "draw_chart", "verdict_table", "write_json"]

_REFERENCES = ("bare loop", "official SDK", "bare websockets.sync")
_OURS = ("IpcClient", "gateway")


def as_table(figure: Figure) -> str:
    """Return one figure as a table: less is better."""
    summaries = figure.summaries()
    reference = next((name for name in _REFERENCES if name in summaries), None)
    beside = f"/ {reference}" if reference else ""
    lines = [
        f"{figure.title} ({figure.unit})",
        f"  {'':22}{'p50':>10}{'p90':>10}{'p99':>10}{'samples':>10}  {beside:>22}",
    ]
    for name, one in summaries.items():
        ratio = None if reference is None else figure.ratio(name, reference)
        shown = "" if ratio is None else f"{ratio:.2f}"
        lines.append(
            f"  {name:22}{_short(one.p50)}{_short(one.p90)}{_short(one.p99)}{one.count:>10}"
            f"  {shown:>22}"
        )
    return "\n".join(lines)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Return the bounds and what was reached of them."""
    lines = [f"{'':50}{'value':>8}{'quartiles':>15}  {'bound':>14}"]
    for verdict in verdicts:
        bound, spread = verdict.bound, verdict.spread
        limit = f"at {'least' if bound.at_least else 'most'} {bound.limit:g}"
        quartiles = "" if spread is None else f"{spread[0]:.2f} to {spread[1]:.2f}"
        mark = "" if verdict.reached else "  NOT REACHED"
        lines.append(f"{bound.text:50}{verdict.value:>8.2f}{quartiles:>15}  {limit:>14}{mark}")
    return "\n".join(lines)


def as_document(
    machine: Mapping[str, Any],
    figures: Mapping[str, Figure],
    verdicts: Sequence[Verdict],
    missing: Sequence[str],
) -> dict[str, Any]:
    """Return the whole run as JSON can hold it."""
    return {
        "machine": dict(machine),
        "figures": {
            key: {
                "title": figure.title,
                "unit": figure.unit,
                "contenders": {
                    name: asdict(summary) for name, summary in figure.summaries().items()
                },
            }
            for key, figure in figures.items()
        },
        "bounds": [
            {
                "text": verdict.bound.text,
                "value": verdict.value,
                "quartiles": verdict.spread,
                "limit": verdict.bound.limit,
                "at_least": verdict.bound.at_least,
                "reached": verdict.reached,
            }
            for verdict in verdicts
        ],
        "left_out": list(missing),
    }


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write the run down."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw_chart(figures: Mapping[str, Figure], note: str, path: Path) -> bool:
    """Draw each figure's medians beside each other; returns False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 2
    rows = -(-len(figures) // columns)
    canvas, grid = pyplot.subplots(rows, columns, figsize=(13, 2.6 * rows + 0.6), squeeze=False)
    places = list(grid.flat)
    for place, figure in zip(places, figures.values(), strict=False):
        summaries = figure.summaries()
        names = list(summaries)[::-1]
        values = [summaries[name].p50 for name in names]
        colours = ["tab:blue" if name.startswith(_OURS) else "silver" for name in names]
        bars = place.barh(names, values, color=colours)
        place.bar_label(bars, [_short(value).strip() for value in values], padding=3)
        place.set_title(f"{figure.title} ({figure.unit}, median)", fontsize=10)
        place.margins(x=0.15)
        place.spines[["top", "right"]].set_visible(False)
    for place in places[len(figures) :]:
        place.set_visible(False)
    canvas.suptitle(f"Less is better. {note}", fontsize=9)
    canvas.tight_layout(rect=(0, 0, 1, 0.98))
    canvas.savefig(path, dpi=110)
    pyplot.close(canvas)
    return True


def _short(value: float) -> str:
    return f"{value:>10.4f}" if value < 1 else f"{value:>10.1f}"

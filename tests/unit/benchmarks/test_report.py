"""The run as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.bounds import judge
from benchmarks.report import as_document, as_table, verdict_table, write_json
from benchmarks.samples import Figure


def _cpu(ours: float) -> Figure:
    figure = Figure("cpu", "CPU time", "µs")
    figure.add("IpcClient", [ours])
    figure.add("bare loop", [50.0])
    return figure


def test_a_table_has_a_line_for_each_contender_and_the_ratio() -> None:
    title, head, ours, bare = as_table(_cpu(20.0)).splitlines()
    assert title == "CPU time (µs)"
    assert head.split() == ["p50", "p90", "p99", "samples", "/", "bare", "loop"]
    assert ours.split() == ["IpcClient", "20.0", "20.0", "20.0", "1", "0.40"]
    assert bare.split()[-1] == "1.00"


def test_a_table_without_a_reference_has_no_ratio() -> None:
    figure = Figure("idle", "Idle", "%")
    figure.add("IpcClient", [0.003])
    assert as_table(figure).splitlines()[2].split() == ["IpcClient", *["0.0030"] * 3, "1"]


def test_verdicts_say_what_was_not_reached() -> None:
    assert "NOT REACHED" in verdict_table(judge({"cpu": _cpu(40.0)}))
    assert "NOT REACHED" not in verdict_table(judge({"cpu": _cpu(20.0)}))


def test_the_document_is_json_and_whole(tmp_path: Path) -> None:
    figures = {"cpu": _cpu(20.0)}
    path = tmp_path / "run.json"
    write_json(as_document({"python": "3"}, figures, judge(figures), ["gRPC"]), path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["machine"] == {"python": "3"}
    assert read["figures"]["cpu"]["contenders"]["IpcClient"]["p50"] == 20.0
    assert read["bounds"][0]["reached"] is True
    assert read["left_out"] == ["gRPC"]

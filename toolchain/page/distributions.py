"""Latency as distributions: all samples of every file, and the order in which they were taken, so that drift shows.

A percentile hides a second hump, and a machine that slows down during a run slows all files alike, because they take turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from toolchain.page import charts
from toolchain.page.charts import COLOURS, INK, Chart, Choice, Spec, short
from toolchain.report import ArtifactReport, Latency, Report

SHOWN: Final = 1_000
"""Samples of a file that the chart of their order shows; of more, evenly spaced ones. The shapes come from all of them."""
BINS: Final = 48
ROW: Final = 54
"""Pixels from file to file."""
WIDEST: Final = 22
"""Pixels of a shape where most of a file's samples are."""


class Circumstances(NamedTuple):
    """What files were measured under."""

    files: tuple[str, ...]
    runtime: str
    threads: int
    rounds: int
    load_before: float
    load_after: float


class Distributions(NamedTuple):
    """The section."""

    shapes: Chart
    drift: Chart
    choice: Choice
    circumstances: tuple[Circumstances, ...]
    thinned: int
    """Files of which not every sample is in the chart of their order."""


class Timed(NamedTuple):
    """A file with its samples; `key` names it in the charts, since names of files may be anything."""

    key: str
    artifact: ArtifactReport
    latency: Latency


def latency(report: Report) -> Distributions | None:
    """The section; None where nothing was timed."""
    measured = [
        (artifact, artifact.latency)
        for artifact in report.artifacts
        if artifact.latency and min(artifact.latency.samples_ms, default=0.0) > 0
    ]
    if not measured:
        return None
    measured.sort(key=lambda one: one[1].p50_ms)
    files = [Timed(str(place), artifact, found) for place, (artifact, found) in enumerate(measured)]
    shapes = f"Durations of single inferences of {len(files)} files, the fastest first; the table of files holds the percentiles."
    drift = "Durations of a file in the order in which they were taken, and the medians of the rounds of all files."
    return Distributions(
        shapes=Chart("latency-shapes", shapes, _shapes(shapes, files)),
        drift=Chart("latency-drift", drift, _drift(drift, files)),
        choice=Choice("file", "samples of", [(file.key, file.artifact.name) for file in files], files[0].key),
        circumstances=tuple(_circumstances([file.latency for file in files], [file.artifact.name for file in files])),
        thinned=sum(len(file.latency.samples_ms) > SHOWN for file in files),
    )


def histogram(samples: Sequence[float]) -> list[tuple[float, float]]:
    """Places in ms, evenly spaced on a logarithmic scale, and the share of the fullest bin that each has."""
    ends = np.log(min(samples) * 0.999), np.log(max(samples) * 1.001)
    counts, edges = np.histogram(np.log(samples), BINS, ends)
    middles = np.exp((edges[1:] + edges[:-1]) / 2)
    return [(float(place), float(count) / float(counts.max())) for place, count in zip(middles, counts, strict=True)]


def in_rounds(found: Latency) -> list[float]:
    """The median of every round."""
    each = max(1, len(found.samples_ms) // max(1, found.rounds))
    return [float(np.median(found.samples_ms[start : start + each])) for start in range(0, len(found.samples_ms), each)]


def thinned(samples: Sequence[float]) -> list[float]:
    """At most SHOWN of them, evenly spaced, in their order."""
    return [samples[place] for place in np.linspace(0, len(samples) - 1, min(len(samples), SHOWN)).round().astype(int)]


def _circumstances(latencies: Sequence[Latency], names: Sequence[str]) -> Iterator[Circumstances]:
    alike: dict[tuple[str, int, int, float, float], list[str]] = {}
    for found, name in zip(latencies, names, strict=True):
        alike.setdefault((found.runtime, found.threads, found.rounds, found.load_before, found.load_after), []).append(name)
    for facts, files in alike.items():
        yield Circumstances(tuple(files), *facts)


def _shapes(label: str, files: Sequence[Timed]) -> Spec:
    bodies = [
        {"file": file.key, "format": file.artifact.format, "ms": short(place), "width": round(max(1.0, WIDEST * share), 1)}
        for file in files
        for place, share in histogram(file.latency.samples_ms)
    ]
    lines = [_percentiles(file) for file in files]
    across = {"field": "ms", "type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 8},
              "axis": {"title": "one inference on this machine, ms", "labelExpr": charts.AXIS_NUMBERS, **charts.FEW_TICKS}}  # fmt: skip
    row = {"field": "file", "type": "nominal", "axis": None, "scale": {"domain": [file.key for file in files]}}
    named = {"type": "text", "baseline": "bottom", "dy": -14, "aria": False, "fontSize": 12}
    told = {"expr": "datum.tip"}
    return charts.layered(
        label,
        {"data": charts.rows(bodies), "mark": {"type": "trail", "opacity": 0.55, "aria": False},
         "encoding": {"x": across, "y": row, "detail": {"field": "file", "type": "nominal"},
                      "size": {"field": "width", "type": "quantitative", "scale": None},
                      "color": charts.by_name("format", list(dict.fromkeys(file.artifact.format for file in files)), title=None)}},
        {"mark": {"type": "rule", "strokeWidth": 5, "color": INK, "aria": False},
         "encoding": {"x": across | {"field": "low"}, "x2": {"field": "high"}, "y": row}},
        *({"mark": {"type": "tick", "thickness": 2, "size": size, "color": INK, "tooltip": told, "aria": size == 24},
           "encoding": {"x": across | {"field": field}, "y": row, "description": {"field": "said", "type": "nominal"}}}
          for field, size in (("p50", 24), ("p90", 14), ("p99", 8))),
        *({"mark": named | {"align": align, "limit": 230},
           "encoding": {"x": {"value": x}, "y": row, "text": {"field": field, "type": "nominal"}}}
          for field, align, x in (("name", "left", 0), ("said", "right", "width"))),
        data=charts.rows(lines),
        height=ROW * len(files),
    )  # fmt: skip


def _percentiles(file: Timed) -> dict[str, Any]:
    found, (low, high) = file.latency, file.latency.interval_ms
    return {
        "file": file.key,
        "name": file.artifact.name,
        "said": f"{found.p50_ms:.3g} ms",
        "p50": found.p50_ms,
        "p90": found.p90_ms,
        "p99": found.p99_ms,
        "low": low,
        "high": high,
        "tip": {
            "title": file.artifact.name,
            "p50": f"{found.p50_ms:.4g} ms (95 % interval {low:.4g} to {high:.4g})",
            "p90": f"{found.p90_ms:.4g} ms",
            "p99": f"{found.p99_ms:.4g} ms",
            "fastest": f"{found.min_ms:.4g} ms",
            "samples": f"{len(found.samples_ms):,} in {found.rounds} rounds, measured with {found.runtime}",
        },
    }


def _drift(label: str, files: Sequence[Timed]) -> Spec:
    medians = [
        {"file": file.key, "name": file.artifact.name, "round": number, "times": short(median / file.latency.p50_ms)}
        for file in files
        for number, median in enumerate(in_rounds(file.latency), 1)
    ]
    samples = [
        {"file": file.key, "step": short(file.latency.rounds / len(taken)), "times": [short(ms / file.latency.p50_ms) for ms in taken]}
        for file in files
        for taken in [thinned(file.latency.samples_ms)]
    ]
    across = {
        "field": "at",
        "type": "quantitative",
        "scale": {"zero": False, "nice": False},
        "axis": {"title": "round", "grid": False, "tickMinStep": 1},
    }
    up = {"field": "times", "type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 8},
          "axis": {"title": "times the file's own p50", "format": "~g", "tickCount": 5}}  # fmt: skip
    counted: list[Spec] = [
        {"filter": "datum.file == file"},
        {"flatten": ["times"]},
        {"window": [{"op": "row_number", "as": "place"}]},
        {"calculate": "1 + (datum.place - 1) * datum.step", "as": "at"},
    ]
    return charts.layered(
        label,
        {"data": charts.rows(samples), "transform": counted,
         "mark": {"type": "point", "filled": True, "size": 10, "opacity": 0.45, "color": COLOURS[0], "aria": False},
         "encoding": {"x": across, "y": up}},
        {"data": charts.rows(medians), "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.2, "color": INK, "aria": False},
         "encoding": {"x": across | {"field": "round"}, "y": up, "detail": {"field": "file", "type": "nominal"}}},
        {"data": charts.rows(medians), "transform": [{"filter": "datum.file == file"}],
         "mark": {"type": "line", "strokeWidth": 2.5, "color": COLOURS[1], "point": False, "aria": False},
         "encoding": {"x": across | {"field": "round"}, "y": up}},
        height=260,
        params=[charts.parameter("file", files[0].key)],
    )  # fmt: skip

"""Plots as SVG, the same bytes for the same numbers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from toolchain.fidelity.noise import LOST

if TYPE_CHECKING:
    from toolchain.fidelity.findings import Ladder
    from toolchain.report import ArtifactReport
    from toolchain.sensitivity import Sensitivity


def pareto(artifacts: tuple[ArtifactReport, ...]) -> bytes:
    """Compressed size against accuracy (or agreement), marker area by median latency."""
    measured = [(a, a.accuracy if a.accuracy is not None else a.agreement) for a in artifacts]
    points = [(a, value) for a, value in measured if value is not None and a.latency is not None]
    figure, axes = _axes()
    if points:
        slowest = max(a.latency.p50_ms for a, _ in points if a.latency)
        for a, value in points:
            assert a.latency is not None
            colour = "#0b6e4f" if a.format == "tflite" else "#b5541c"
            axes.scatter(a.gzip_bytes / 1000, value, s=40 + 400 * a.latency.p50_ms / slowest, color=colour, alpha=0.6)
            axes.annotate(
                f"{a.name}\n{a.latency.p50_ms:.3f} ms", (a.gzip_bytes / 1000, value), xytext=(8, 8), textcoords="offset points", fontsize=7
            )
        axes.margins(0.25)
    axes.set_xlabel("compressed size, kB (gzip)")
    axes.set_ylabel(points[0][0].metric or "agreement with the original" if points else "")
    axes.set_title("Lower left costs nothing to ship, higher answers better; a larger marker is slower", fontsize=8)
    return _svg(figure)


def sensitivity(found: Sensitivity) -> bytes:
    """The score against the share of channels removed, one line a group."""
    figure, axes = _axes()
    for index, group in enumerate(found.groups):
        ratios, scores = [0.0, *(p.ratio for p in group.points)], [found.score, *(p.score for p in group.points)]
        style = ("-", "--", ":")[index // 10 % 3]
        axes.plot(ratios, scores, style, marker="o", markersize=3, label=f"{group.name} ({group.channels})")
    axes.set_xlabel("share of the group's channels removed, each group alone, without training")
    axes.set_ylabel(f"{found.metric} on {found.examples}")
    axes.set_title(f"{found.model}: channels chosen by {found.criterion}", fontsize=8)
    figure.legend(loc="outside right upper", fontsize=7, title="group (channels)", title_fontsize=7)
    return _svg(figure)


def error_along_depth(found: Ladder) -> bytes:
    """SQNR of every layer of every file, from the input to the output; the layer to blame is marked."""
    figure, axes = _axes()
    places = {name: place for place, name in enumerate(dict.fromkeys(layer.name for file in found.files for layer in file.layers))}
    for index, file in enumerate(found.files):
        known = [(layer.name, layer.level_db) for layer in file.layers if layer.level_db is not None]
        points = [(places[name], level, name) for name, level in known if level > LOST]
        if not points:
            continue
        colour, style = f"C{index % 10}", ("-", "--", ":")[index // 10 % 3]
        axes.plot([x for x, _, _ in points], [y for _, y, _ in points], style, color=colour, marker="o", markersize=3, label=file.file)
        for x, y, name in points:
            if name == file.blame.layer:
                axes.scatter(x, y, s=90, facecolors="none", edgecolors=colour, linewidths=1.5)
                axes.annotate(file.blame.reason.kind, (x, y), xytext=(6, -12), textcoords="offset points", fontsize=7, color=colour)
    axes.set_xticks(range(len(places)), [name[-40:] for name in places], rotation=90, fontsize=6)
    axes.set_ylabel("SQNR, dB")
    axes.set_title(f"Error along the depth against {found.model}; a higher line is closer, a circle is the layer to blame", fontsize=8)
    if axes.lines:
        axes.legend(fontsize=7)
    return _svg(figure)


def _axes() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Any) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "secateur"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()

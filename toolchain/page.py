"""report.html: the run on one self-contained page, with the table and a plot of size, accuracy and latency."""

from __future__ import annotations

import base64
import io
from typing import Any

from toolchain.report import ArtifactReport, Report


def render(report: Report) -> str:
    """The page as text; names from model files are escaped."""
    import jinja2  # with matplotlib half a second: only a page needs them

    environment = jinja2.Environment(loader=jinja2.PackageLoader("toolchain"), autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["kilobytes"] = lambda count: f"{count / 1000:,.1f} kB"
    return environment.get_template("report.html.j2").render(report=report, plot=_plot(report.artifacts))


def _plot(artifacts: tuple[ArtifactReport, ...]) -> str:
    """An SVG as a data URL: compressed size against accuracy (or agreement), marker area by median latency."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    measured = [(a, a.accuracy if a.accuracy is not None else a.agreement) for a in artifacts]
    points = [(a, value) for a, value in measured if value is not None and a.latency is not None]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes: Any = figure.subplots()
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
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "secateur"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()

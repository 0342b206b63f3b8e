"""report.html: the run on one self-contained page, with the table and a plot of size, accuracy and latency."""

from __future__ import annotations

import base64

from toolchain import plots, target_rows
from toolchain.fidelity.layers import short
from toolchain.report import Report


def render(report: Report) -> str:
    """The page as text; names from model files are escaped."""
    import jinja2  # with matplotlib half a second: only a page needs them

    environment = jinja2.Environment(loader=jinja2.PackageLoader("toolchain"), autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["short"] = short
    environment.filters["kilobytes"] = lambda count: f"{count / 1000:,.1f} kB"
    plot = "data:image/svg+xml;base64," + base64.b64encode(plots.pareto(report.artifacts)).decode()
    return environment.get_template("report.html.j2").render(
        report=report,
        plot=plot,
        target_row=target_rows.row,
        findings=target_rows.findings,
        layer_tables=target_rows.layer_tables(report.artifacts),
    )

"""The report's page from its sections, in the order of a reader's questions: what to ship, why, how sure, what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from toolchain import recommendation, target_rows
from toolchain.page import bundle, layers
from toolchain.page.classes import classes
from toolchain.page.curves import sensitivity as curves
from toolchain.page.decision import decision
from toolchain.page.distributions import latency
from toolchain.page.pareto import pareto
from toolchain.page.skipped import grouped
from toolchain.page.templates import environment, source
from toolchain.report import Report

if TYPE_CHECKING:
    from toolchain.sensitivity import Sensitivity


class Section(NamedTuple):
    """A partial template of the same name, under a heading of the page."""

    name: str
    title: str


def render(report: Report, sensitivity: Sensitivity | None = None) -> str:
    """The page as text, with what `secateur sensitivity` found for its model; names from model files are escaped."""
    drawn = {"pareto": pareto(report), "sensitivity": curves(sensitivity), "latency": latency(report), "classes": classes(report)}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            sections=tuple(_sections(report, drawn)),
            decision=decision(report),
            skipped=grouped(report.skipped),
            loss=recommendation.loss,
            layers=layers.section(report),
            target_rows=target_rows,
            style=source("page.css") + source("charts.css") + source("layers.css"),
            scripts=[*([bundle.javascript(), source("charts.js")] if any(drawn.values()) else []), source("page.js"), source("layers.js")],
            **drawn,
        )
    )


def _sections(report: Report, drawn: dict[str, Any]) -> Iterator[Section]:
    """A section for which the report has nothing is left out."""
    details = [step.details for step in report.steps]
    yield Section("decision", "What to ship")
    if drawn["pareto"]:
        yield Section("pareto", "Size, time, accuracy")
    if report.artifacts:
        yield Section("files", "Files")
    if any(artifact.targets for artifact in report.artifacts):
        yield Section("targets", "Targets")
    if any(artifact.layers for artifact in report.artifacts):
        yield Section("layers", "Layers")
    if drawn["sensitivity"]:
        yield Section("sensitivity", "Sensitivity")
    if drawn["latency"]:
        yield Section("latency", "Latency")
    if drawn["classes"]:
        yield Section("classes", "Classes")
    if report.attempts:
        yield Section("attempts", "Attempts")
    if any("groups" in found for found in details):
        yield Section("channels", "Channels")
    if any(found.get("package", {}).get("costs") for found in details):
        yield Section("package", "C package")
    if any("pareto" in found for found in details):
        yield Section("types", "Types of layers")
    if any("ranges" in found for found in details):
        yield Section("ranges", "Ranges of activations")
    if report.gate:
        yield Section("gate", "Gate")
    yield Section("skipped", "Skipped, replaced or refused")
    yield Section("steps", "Steps, data and host")

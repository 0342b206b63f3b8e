"""What a reader decides by: the file for every target with its reasons, and the first of them in figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from toolchain import target_rows
from toolchain.errors import ToolchainError
from toolchain.gate.judge import stopped
from toolchain.gate.wording import summary
from toolchain.measure import paired
from toolchain.page.templates import bytes_in_words
from toolchain.recommendation import Recommendation, loss, recommend
from toolchain.report import ArtifactReport, Report, TargetReport, percent

METRICS: Final = {"top1": "Accuracy (top1)", "auc": "AUC", "mean_absolute_error": "Mean absolute error"}


class Figure(NamedTuple):
    """A number that is read at a glance, and how it came about."""

    label: str
    value: str
    note: str


class Decision(NamedTuple):
    """The first section of the page."""

    choices: tuple[Recommendation, ...]
    titles: dict[str, str]
    """Devices in words, by target."""
    file: str
    """The first that is recommended; empty where none is."""
    figures: tuple[Figure, ...]
    """Of that file."""
    gate: str
    """The outcome in a sentence, empty where the recipe has no gate: `gate passed: 1 undecided, 7 passed`."""
    closed: bool
    """Whether the gate stops the run."""


def decision(report: Report) -> Decision:
    """Everything the section shows."""
    choices = recommend(report)
    chosen = next((choice for choice in choices if choice.file), None)
    file = next((row for row in report.artifacts if chosen and row.name == chosen.file), None)
    on = next((on for on in file.targets if chosen and on.target == chosen.target), None) if file else None
    return Decision(
        choices=choices,
        titles={on.target: on.title for row in report.artifacts for on in row.targets},
        file=file.name if file else "",
        figures=tuple(_figures(report, file, on)) if file else (),
        gate=summary(report.gate) if report.gate else "",
        closed=stopped(report.gate),
    )


def _figures(report: Report, file: ArtifactReport, on: TargetReport | None) -> Iterator[Figure]:
    original = next((row for row in report.artifacts if row.name == f"original_float32.{file.format}"), None)
    before, name = (original, original.name) if original else (report.model, report.model.name)
    yield Figure("Download", bytes_in_words(file.gzip_bytes), f"{_smaller(before.gzip_bytes, file.gzip_bytes)} {name}, both after gzip")
    yield Figure("Size", bytes_in_words(file.bytes), f"{_smaller(before.bytes, file.bytes)} {name}")
    if file.accuracy is not None:
        lost, label = loss(file, report.model, report.data), METRICS.get(str(file.metric), str(file.metric))
        yield Figure(label, percent(file.metric, file.accuracy), f"{lost.said}, on {file.accuracy_examples:,} test examples")
    elif file.agreement is not None:
        why = "there were no labels to score" if report.data else "on random inputs, which say nothing about accuracy"
        yield Figure("Agreement", f"{file.agreement:.2%}", f"of the answers are the original's; {why}")
    if on:
        yield from _on_target(on)
    if file.latency:
        yield _speed(report, file)


def _on_target(on: TargetReport) -> Iterator[Figure]:
    for result in target_rows.timed(on)[:1]:
        between = "" if result.interval_ms is None else "{:.3g} to {:.3g} in 90 %, ".format(*result.interval_ms)
        note = "; ".join([f"{between}{target_rows.origin(result)}", *result.notes[-1:]])
        yield Figure(f"Time on {on.target}", f"{result.ms:.3g} ms", note)
    for result in target_rows.counted(on)[:1]:
        note = ", ".join(filter(None, ("one inference", target_rows.origin(result), result.engine)))
        yield Figure(f"Instructions on {on.target}", f"{result.instructions:,}", note)


def _smaller(before: int, after: int) -> str:
    return f"{before / after:.1f} times smaller than" if 0 < after < before else f"{before:,} B in"


def _speed(report: Report, file: ArtifactReport) -> Figure:
    """Times the float file of the same format, timed in turns with this one."""
    assert file.latency is not None
    alone = Figure("Time on this machine", f"{file.latency.p50_ms:.3g} ms", "median, measured")
    names = [f"{stem}.{file.format}" for stem in ("original_float32", "float32")]
    reference = next((row for name in names for row in report.artifacts if row.name == name and row.latency), None)
    if reference is None or reference is file or reference.latency is None:
        return alone
    try:
        times, (low, high) = paired.ratio(reference.latency, file.latency)
    except ToolchainError:  # not timed together: no ratio to show
        return alone
    said = f"as {reference.name}, 95 % interval {low:.2f} to {high:.2f}; median {file.latency.p50_ms:.3g} ms, measured"
    if (load := file.latency.load_before) > report.host.cores:
        said += f" on a busy machine (load {load:.1f} on {report.host.cores} cores): trust the ratio, not the milliseconds"
    return Figure("Speed on this machine", f"{times:.2f} times as fast", said)

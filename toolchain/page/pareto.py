"""Size, time and accuracy of every file in one chart, for this machine and for every target: which files nobody needs is greyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from toolchain import target_rows
from toolchain.emulator import EmulatorResult
from toolchain.page.charts import Chart, Choice
from toolchain.page.dominance import Option, dominator
from toolchain.page.scatter import mark, scatter
from toolchain.page.templates import bytes_in_words, span
from toolchain.report import ArtifactReport, Report, TargetReport, percent

HERE: Final = "this machine"
AXES: Final = {
    "gzip": "download: bytes after gzip",
    "bytes": "bytes of the file",
    "p50": "p50 on this machine, ms",
    "ms": "time on the target, ms",
    "instructions": "instructions of one inference on the target",
    "arena": "arena on the target, bytes",
}

COSTS: Final = {True: ("p50",), False: ("ms", "instructions")}
"""Axes by which an inference costs something, here and on a target."""


class Remark(NamedTuple):
    """A sentence that holds for one target and, where it is about an axis, for that axis only."""

    target: str
    axis: str
    text: str


class Pareto(NamedTuple):
    """The section: the chart, its two lists and what they leave out."""

    chart: Chart
    choices: tuple[Choice, ...]
    remarks: tuple[Remark, ...]
    unscored: tuple[str, ...]
    """Files without accuracy or agreement, which are in no chart."""


def pareto(report: Report) -> Pareto | None:
    """The section; None where no file has an accuracy or an agreement."""
    scored = comparable(report.artifacts)
    if not scored:
        return None
    targets = list(dict.fromkeys(on.target for artifact in scored for on in artifact.targets))
    marks, remarks, titles = list[dict[str, Any]](), list[Remark](), dict[str, dict[str, str]]()
    for place, target in enumerate([None, *targets]):
        key, (sources, kind, placed) = str(place), _placed(scored, target)
        most = max((one.cost for one in placed if one.cost), default=0.0)
        found = [_mark(key, most, one) for one in placed]
        titles[key] = {axis: ", ".join(filter(None, (title, sources.get(axis)))) for axis, title in AXES.items()}
        marks += found
        remarks += _remarks(key, target, kind, titles[key], found)
    metric = scored[0].metric if scored[0].accuracy is not None else None
    label = f"Scatter plot of size or cost against {metric or 'agreement'} for {len(scored)} files; the tables hold the same numbers."
    chosen = "1" if len(targets) == 1 else "0"
    return Pareto(
        chart=Chart("pareto-chart", label, scatter(label, marks, metric, [row.format for row in scored], titles, chosen)),
        choices=(
            Choice("target", "for", [(str(place), name) for place, name in enumerate([HERE, *targets])], chosen),
            Choice("axis", "to the right", list(AXES.items()), "gzip"),
        ),
        remarks=tuple(remarks),
        unscored=tuple(artifact.name for artifact in report.artifacts if artifact not in scored),
    )


class Placed(NamedTuple):
    """A file on a target (None: here), with its places on the axes, its cost there and the file that makes it needless."""

    artifact: ArtifactReport
    on: TargetReport | None
    numbers: dict[str, float]
    cost: float | None
    beaten: str | None


def _placed(artifacts: Sequence[ArtifactReport], target: str | None) -> tuple[dict[str, str], str | None, list[Placed]]:
    """Where the numbers of each axis come from, what costs are (time, instructions or None), and the files that are known there."""
    where = [(artifact, next((on for on in artifact.targets if on.target == target), None)) for artifact in artifacts]
    if target is not None:
        where = [(artifact, on) for artifact, on in where if on is not None]
    sources = _sources([on for _, on in where if on])
    numbers = [dict(_numbers(artifact, on, sources)) for artifact, on in where]
    counted = Counter(axis for axis in COSTS[target is None] for found in numbers if axis in found)
    axis = max(counted, key=counted.__getitem__, default=None)
    costs = [found.get(axis) if axis else None for found in numbers]
    options = [
        Option(artifact.name, artifact.gzip_bytes, cost, quality(artifact), on.fits if on else True)
        for (artifact, on), cost in zip(where, costs, strict=True)
    ]
    beaten = [None if option.fits is False else dominator(option, options) for option in options]
    names = [by.name if by else None for by in beaten]
    placed = [Placed(artifact, on, *more) for (artifact, on), more in zip(where, zip(numbers, costs, names, strict=True), strict=True)]
    return sources, ("instructions" if axis == "instructions" else "time" if axis else None), placed


def _sources(targets: Sequence[TargetReport]) -> dict[str, str]:
    """By axis the one source that most files have, of several the best evidence: numbers of two sources do not compare."""
    counted = Counter((axis, target_rows.origin(result)) for on in targets for axis, result in _results(on))
    return {axis: source for (axis, source), _ in reversed(counted.most_common())}


def _results(on: TargetReport) -> Iterator[tuple[str, EmulatorResult]]:
    """What emulators found for the axes, the best evidence first."""
    yield from (("ms", result) for result in target_rows.timed(on))
    yield from (("instructions", result) for result in target_rows.counted(on))
    yield from (("arena", result) for result in target_rows.nearest(on) if result.arena_bytes is not None)


def comparable(artifacts: Sequence[ArtifactReport]) -> list[ArtifactReport]:
    """The files with an accuracy or, where none has one, with an agreement."""
    scored = [artifact for artifact in artifacts if artifact.accuracy is not None]
    return scored or [artifact for artifact in artifacts if artifact.agreement is not None]


def quality(artifact: ArtifactReport) -> float | None:
    """More is better."""
    if artifact.accuracy is None:
        return artifact.agreement
    return -artifact.accuracy if artifact.metric == "mean_absolute_error" else artifact.accuracy


def _mark(target: str, most: float, placed: Placed) -> dict[str, Any]:
    artifact, on, numbers, cost, beaten = placed
    return mark(
        target,
        artifact.name,
        artifact.format,
        fits=on.fits if on else True,
        beaten=beaten is not None,
        y=artifact.accuracy if artifact.accuracy is not None else artifact.agreement,
        interval=artifact.accuracy_interval,
        size=cost / most if cost and most > 0 else 0.1,
        tip=dict(told(artifact, on, beaten)),
        numbers=numbers,
    )


def _numbers(artifact: ArtifactReport, on: TargetReport | None, sources: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """The places of a file on the axes, on a target by one source each; what another source says is in its tip only."""
    yield "gzip", artifact.gzip_bytes
    yield "bytes", artifact.bytes
    if artifact.latency:
        yield "p50", artifact.latency.p50_ms
        yield "p50_low", artifact.latency.interval_ms[0]
        yield "p50_high", artifact.latency.interval_ms[1]
    for axis, result in _results(on) if on else ():
        if target_rows.origin(result) == sources[axis]:
            yield axis, {"ms": result.ms, "instructions": result.instructions, "arena": result.arena_bytes}[axis] or 0
            if axis == "ms" and result.interval_ms:
                yield "ms_low", result.interval_ms[0]
                yield "ms_high", result.interval_ms[1]


def told(artifact: ArtifactReport, on: TargetReport | None, beaten: str | None) -> Iterator[tuple[str, str]]:
    """What a reader sees who points at a file: every number, and how it came about."""
    yield "title", artifact.name
    yield "download", f"{bytes_in_words(artifact.gzip_bytes)} after gzip, {bytes_in_words(artifact.bytes)} unpacked, measured"
    if artifact.accuracy is not None:
        between = f" (95 % interval {span(artifact.metric, artifact.accuracy_interval)})" if artifact.accuracy_interval else ""
        examples = f" on {artifact.accuracy_examples:,} examples" if artifact.accuracy_examples else ""
        yield artifact.metric or "accuracy", f"{percent(artifact.metric, artifact.accuracy)}{between}, measured{examples}"
    if artifact.agreement is not None:
        yield "agreement", f"{artifact.agreement:.2%} of the answers are the original's, measured"
    if artifact.latency:
        low, high = artifact.latency.interval_ms
        yield "p50", f"{artifact.latency.p50_ms:.3g} ms (95 % interval {low:.3g} to {high:.3g}), measured on this machine"
    if on:
        fits = {True: "yes", None: "not known", False: "no"}[on.fits]
        yield f"fits {on.target}", f"{fits}: {'; '.join(on.reasons)}" if on.reasons else fits
        yield from _costs_told(on)
    if beaten:
        yield "not needed", f"{beaten} is as small, as fast and as good or better"


def _costs_told(on: TargetReport) -> Iterator[tuple[str, str]]:
    for place, result in enumerate(target_rows.timed(on)):
        yield f"ms, {target_rows.origin(result)}" if place else "ms", f"{target_rows.milliseconds(result)}, {target_rows.origin(result)}"
    for place, result in enumerate(target_rows.counted(on)):
        key = f"instructions, {result.emulator}" if place else "instructions"
        yield key, f"{result.instructions:,}, {target_rows.origin(result)}"
    arenas = [result for result in target_rows.nearest(on) if result.arena_bytes is not None]
    for result in arenas[:1]:
        yield "arena", f"{result.arena_bytes:,} B, {target_rows.origin(result)}"


def _remarks(key: str, target: str | None, kind: str | None, titles: Mapping[str, str], rows: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    """What the chart shows for a target, in words, and which files an axis leaves out."""
    out = sum(row["state"] == "out" for row in rows)
    front = sum(row["state"] == "front" for row in rows)
    by = f"download, accuracy and {kind}" if kind else "download and accuracy"
    yield Remark(key, "", f"{front} of {len(rows)} files are on the front by {by} for {target or HERE}; {out} do not fit.")
    for axis, title in titles.items():
        lacking = sum(axis not in row for row in rows)
        if lacking:
            yield Remark(key, axis, f"{lacking} of {len(rows)} files have no such number ({title}) and are not in the chart.")

"""Several runs on one page: what was set otherwise, and what came of it.

Sizes, accuracy and what emulators found compare across runs. Times on a machine do not, since its speed changes from one
run to the next; beside them stands how they compare with a file of the same run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from toolchain import target_rows
from toolchain.errors import ToolchainError
from toolchain.measure import paired
from toolchain.page import bundle
from toolchain.page.charts import Chart, Choice
from toolchain.page.dominance import Option, dominator
from toolchain.page.pareto import Pareto, comparable, quality, told
from toolchain.page.scatter import mark, scatter
from toolchain.page.templates import environment, source
from toolchain.report import ArtifactReport, Report, TargetReport

AXES: Final = {"gzip": "download: bytes after gzip", "bytes": "bytes of the file", "ratio": "p50, times that of the run's reference file"}
REFERENCES: Final = ("original_float32.tflite", "float32.tflite", "original_float32.onnx", "float32.onnx")


class Run(NamedTuple):
    """A report, and what it is called on the page: its folder as it was given."""

    name: str
    report: Report


class Difference(NamedTuple):
    """A setting that is not the same in all runs; empty where a run does not have it."""

    setting: str
    values: tuple[str, ...]


class Time(NamedTuple):
    """The p50 of a file, and how often it contains that of its run's reference, with the 95 % interval."""

    p50_ms: float
    ratio: float | None
    interval: tuple[float, float] | None


class File(NamedTuple):
    """A row of the table of files."""

    run: str
    artifact: ArtifactReport
    time: Time | None
    on: tuple[tuple[str, int | None], ...]
    """By target, whether it fits, and the instructions of one inference."""


def render(runs: Sequence[Run]) -> str:
    """The page as text; names from reports are escaped."""
    drawn = _pareto(runs)
    return (
        environment()
        .get_template("runs.html.j2")
        .render(
            runs=runs,
            facts=tuple(differences([_facts(run.report) for run in runs], all_of_them=True)),
            settings=tuple(differences([flat(run.report.settings) for run in runs])),
            references=[getattr(reference(run.report), "name", None) for run in runs],
            pareto=drawn,
            same_data=len({_tested_on(run.report) for run in runs}) < 2,
            targets=_targets(runs),
            files=tuple(_files(runs)),
            style=source("page.css") + source("charts.css"),
            scripts=[*([bundle.javascript(), source("charts.js")] if drawn else []), source("page.js")],
        )
    )


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Nested settings as one table: `stages.0.ratio` and its value in words."""
    match value:
        case dict():
            inner: Any = value.items()
        case list() | tuple():
            inner = enumerate(value)
        case _:
            return {path: str(value)}
    return {key: text for name, one in inner for key, text in flat(one, f"{path}.{name}" if path else str(name)).items()}


def differences(tables: Sequence[dict[str, str]], *, all_of_them: bool = False) -> Iterator[Difference]:
    """What is not the same in all tables, in the order in which it comes up."""
    for setting in dict.fromkeys(key for table in tables for key in table):
        values = tuple(table.get(setting, "") for table in tables)
        if all_of_them or len(set(values)) > 1:
            yield Difference(setting, values)


def reference(report: Report) -> ArtifactReport | None:
    """The file that times of a run are compared with: the original in float32, else the first that was timed."""
    timed = [artifact for artifact in report.artifacts if artifact.latency]
    return next((artifact for name in REFERENCES for artifact in timed if artifact.name == name), timed[0] if timed else None)


def time(artifact: ArtifactReport, against: ArtifactReport | None) -> Time | None:
    """What a file takes; None where it was not timed."""
    if artifact.latency is None:
        return None
    if against is None or against.latency is None:
        return Time(artifact.latency.p50_ms, None, None)
    try:
        return Time(artifact.latency.p50_ms, *paired.ratio(artifact.latency, against.latency))
    except ToolchainError:  # not timed together: there is no ratio
        return Time(artifact.latency.p50_ms, None, None)


def _facts(report: Report) -> dict[str, str]:
    data = report.data
    return {
        "model": f"{report.model.name}, {report.model.parameters:,} parameters, sha256 {report.model.digest[:12]}",
        "recipe": report.recipe,
        "data": f"{data.name}, {data.train:,} + {data.validation:,} + {data.test:,} examples, seed {data.seed}, sha256 {data.digest[:12]}"
        if data
        else "none",
        "host": f"{report.host.cpu}, {report.host.cores} cores, {report.host.system}",
        "secateur": report.secateur,
    }


def _targets(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(on.target for run in runs for artifact in run.report.artifacts for on in artifact.targets))


def _files(runs: Sequence[Run]) -> Iterator[File]:
    targets = _targets(runs)
    for run in runs:
        against = reference(run.report)
        for artifact in run.report.artifacts:
            on = {one.target: one for one in artifact.targets}
            yield File(run.name, artifact, time(artifact, against), tuple(_cell(on.get(target)) for target in targets))


def _cell(on: TargetReport | None) -> tuple[str, int | None]:
    if on is None:
        return "", None
    return target_rows.FITS[on.fits], next((result.instructions for result in target_rows.counted(on)), None)


def _pareto(runs: Sequence[Run]) -> Pareto | None:
    """All files of one metric; those of another have no place on its axis and stand in the table only."""
    everything = [(run, artifact) for run in runs for artifact in run.report.artifacts]
    known = [(run, artifact) for run in runs for artifact in comparable(run.report.artifacts)]
    if not known:
        return None
    metric = _metric(known[0][1])
    shown = [(run, artifact) for run, artifact in known if _metric(artifact) == metric]
    options = [(_tested_on(run.report), Option(artifact.name, artifact.gzip_bytes, None, quality(artifact))) for run, artifact in shown]
    needless = [dominator(option, [other for data, other in options if data == tested]) is not None for tested, option in options]
    marks = [
        mark(
            "", f"{artifact.name} ({run.name})", run.name, fits=True, beaten=beaten,
            y=artifact.accuracy if artifact.accuracy is not None else artifact.agreement, interval=artifact.accuracy_interval, size=0.1,
            tip={**dict(told(artifact, None, None)), "run": run.name}, numbers=_numbers(artifact, time(artifact, reference(run.report))),
        )
        for (run, artifact), beaten in zip(shown, needless, strict=True)
    ]  # fmt: skip
    label = f"Size against {metric or 'agreement'} of {len(shown)} files of {len(runs)} runs; the table holds the same numbers."
    chart = Chart("runs-pareto", label, scatter(label, marks, metric, [run.name for run in runs], {"": AXES}, ""))
    return Pareto(chart, (Choice("axis", "to the right", list(AXES.items()), "gzip"),), (), _left_out(everything, shown))


def _tested_on(report: Report) -> tuple[str, int] | None:
    """What accuracies are of: only those of the same examples make one file better than another."""
    return (report.data.digest, report.data.test) if report.data else None


def _metric(artifact: ArtifactReport) -> str | None:
    return artifact.metric if artifact.accuracy is not None else None


def _left_out(everything: Sequence[tuple[Run, ArtifactReport]], shown: Sequence[tuple[Run, ArtifactReport]]) -> tuple[str, ...]:
    drawn = {(run.name, artifact.name) for run, artifact in shown}
    return tuple(f"{artifact.name} ({run.name})" for run, artifact in everything if (run.name, artifact.name) not in drawn)


def _numbers(artifact: ArtifactReport, taken: Time | None) -> dict[str, float]:
    found: dict[str, float] = {"gzip": artifact.gzip_bytes, "bytes": artifact.bytes}
    if taken and taken.ratio is not None:
        found["ratio"] = taken.ratio
    return found

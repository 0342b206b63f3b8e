"""Run a recipe on a model: every step in a child process, cached by its inputs, resumed where a killed run stopped.

The files reach the output folder only when they are complete, and never over a file that a run did not write.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from toolchain import attempts, cache, delivery, jobs, measurement, recipe, report, target
from toolchain.artifact import Artifact, Format
from toolchain.errors import ToolchainError
from toolchain.files import digest, write
from toolchain.gate.judge import judged
from toolchain.layer_reports import Exported
from toolchain.measure.size import size
from toolchain.page import folder
from toolchain.prepared_data import open_data
from toolchain.stage import Export
from toolchain.steps import Run
from toolchain.worker import Progress, Worker, silent


def run(
    recipe_name: str,
    *,
    model: str | Path,
    out: str | Path,
    data: str | None = None,
    targets: Sequence[str] = (),
    changes: Sequence[str] = (),
    trust: bool = False,
    threads: int = 1,
    limit_s: float = 1800.0,
    progress: Progress = silent,
) -> report.Report:
    """Do what `secateur run` does; write the files, report.json and report.html to `out`, and return the report.

    `recipe_name` is a name or a path, `changes` are `stage.key=value`. Raises ToolchainError; then `out` is as before.
    """
    model, out = Path(model), Path(out)
    plan = recipe.load(recipe_name, changes)
    chosen = [target.load(name) for name in targets]
    artifact = Artifact.of(model)
    plan.check_accepts(model, artifact.format)
    if artifact.format is Format.KERAS and not trust:
        with Worker(progress) as worker:
            worker.call("toolchain.keras_models:refuse_unsafe", model, type(None), model.name, limit_s)
    exports = _exports(plan)
    possible = [*(name for one in plan.attempts for name in (one.product, one.alternative)), *(export.name for export in exports)]
    delivery.check_free(out, [*possible, *([delivery.MODEL] if plan.all_stages else []), *delivery.REPORTS])
    store = cache.Cache()
    dataset = open_data(data, "run", plan.data, plan.seed, store, progress) if data else None
    options = measurement.Options(threads, plan.data.synthetic, plan.seed, limit_s)
    with Worker(progress) as worker:
        work = Run(artifact, plan, dataset, trust, limit_s, store, worker)
        original, outputs = work.original()
        final, choice = work.stages(plan.stages, work.start), None
        made = list[Product]()
        if plan.attempts:
            choice = attempts.choose(work, final, chosen)
            final = choice.chosen.model
            made += [Product(name, one.attempt.export, one.file.path, one.model.path) for name, one in choice.files.items()]
        for export in (e for e in exports if e.name not in work.chosen):
            if choice and (why := attempts.without_source(export, choice)):
                work.skipped.append(report.Skipped(export.name, "export", why))
                continue
            try:
                begin = work.start if export.of == "original" else final
                made.append(Product(export.name, export, work.export(export, final).path, begin.path))
            except ToolchainError as err:
                if choice is None:
                    raise
                work.skipped.append(report.Skipped(export.name, "export", str(err)))  # the chosen file stands
        layers = work.layers([Exported(one.name, one.path, one.model) for one in made if one.export.produces is Format.TFLITE])
    measured = _measured(work, [one for one in made if not _is_package(one.export)], outputs, chosen, options, progress)
    rows = {row.name: msgspec.structs.replace(row, layers=layers.get(row.name, ())) for row in measured.artifacts}
    rows |= {one.name: _packaged(one, rows) for one in made if _is_package(one.export)}
    work.skipped += [report.Skipped(one.name, "accuracy and latency", PACKAGE) for one in made if _is_package(one.export)]
    found = judged(_report(work, original, measured, [rows[one.name] for one in made], choice.reports if choice else ()), plan.gate)
    changed = final != work.start
    files = {one.name: one.path for one in made} | ({delivery.MODEL: final.path} if changed else {})
    page = folder.page(out, found)  # before anything is delivered: what fails here leaves `out` as it was
    with delivery.announced(out, files):
        delivery.remove_stale(out, files)
        for name, path in files.items():
            delivery.put(path, out / name)
        write(out / "report.json", report.dumps(found))
        write(out / "report.html", page.encode())
    return found


class Product(msgspec.Struct, frozen=True):
    """A file or package that goes to the output folder under this name."""

    name: str
    export: Export
    path: Path
    model: Path
    """What it was exported from."""


def _measured(
    work: Run, made: Sequence[Product], outputs: Path, targets: Sequence[target.Target], options: measurement.Options, progress: Progress
) -> measurement.Benchmark:
    """All files measured together, or found in the cache."""
    candidates = [measurement.Candidate(one.name, one.export.scheme, Artifact.of(one.path)) for one in made]
    missing = [emulator.missing(device.device) for device in targets for emulator in device.emulators]
    named = [(candidate.name, candidate.artifact.digest) for candidate in candidates]
    entry = cache.key("benchmark", named, work.data, targets, missing, options, outputs)

    def run(_: Path) -> measurement.Benchmark:
        return measurement.measure(candidates, work.data, outputs, targets, options, progress)

    found: measurement.Benchmark = work.cached("benchmark", entry, measurement.Benchmark, run)
    return found


PACKAGE = "C is not run by a runtime of this machine; how its answers were compared, and its cost on cores, stand in its README.md"


def _exports(plan: recipe.Recipe) -> list[Export]:
    """What is written: a C package brings the file that it holds, which is what can be measured."""
    found = [part for export in plan.exports for part in ((export.source, export) if _is_package(export) else (export,)) if part]
    return list({export.name: export for export in found}.values())


def _is_package(export: Export) -> bool:
    return export.produces is Format.C_SOURCE


def _packaged(package: Product, rows: Mapping[str, report.ArtifactReport]) -> report.ArtifactReport:
    """The row of a C package: its size, and what its .tflite says about weights and work."""
    export, path = package.export, package.path
    assert export.source is not None
    held, sizes = rows[export.source.name], size(path)
    return report.ArtifactReport(
        name=package.name,
        path=str(path),
        format=export.produces.value,
        scheme=export.scheme,
        digest=digest(path),
        how="measured",
        bytes=sizes.raw,
        gzip_bytes=sizes.gzip,
        zstd_bytes=sizes.zstd,
        parameters=held.parameters,
        nonzero_parameters=held.nonzero_parameters,
        macs=held.macs,
        operators=held.operators,
    )


def _report(
    work: Run,
    original: jobs.Original,
    measured: measurement.Benchmark,
    rows: Sequence[report.ArtifactReport],
    tried: tuple[report.AttemptReport, ...],
) -> report.Report:
    artifact, data, sizes, plan = work.model, work.data, size(work.model.path), work.plan
    score = original.score
    return report.Report(
        secateur=importlib.metadata.version("secateur"),
        recipe=plan.name,
        settings=msgspec.to_builtins(plan),
        model=report.ModelReport(
            artifact.path.name,
            artifact.format.value,
            artifact.digest,
            sizes.raw,
            sizes.gzip,
            original.parameters,
            original.nonzero_parameters,
            score.metric if score else None,
            score.value if score else None,
            score.interval if score else None,
            original.answers,
        ),
        data=None
        if data is None
        else report.DataReport(
            data.name,
            data.digest,
            data.size("train"),
            data.size("validation"),
            data.size("test"),
            data.settings.factor,
            data.settings.offset,
            plan.seed,
            data.labels,
        ),
        host=measured.host,
        artifacts=tuple(_warned(row, original, plan, tried) for row in rows),
        skipped=(*work.skipped, *measured.skipped),
        steps=tuple(work.steps),
        attempts=tried,
        pictures=measured.pictures,
    )


def _warned(
    row: report.ArtifactReport, original: jobs.Original, plan: recipe.Recipe, tried: tuple[report.AttemptReport, ...]
) -> report.ArtifactReport:
    """The row by its name in the output folder, with a note where its accuracy fell out of the original's interval.

    Attempts that were not chosen have that in their own table.
    """
    notes, score = row.notes, original.score
    rejected = any(one.artifact == row.name and not one.chosen for one in tried)
    if score is None or row.accuracy is None or score.metric == "mean_absolute_error" or rejected:
        return msgspec.structs.replace(row, path=row.name)
    if score.interval and row.accuracy < score.interval[0]:
        advice = "prune less or train longer" if plan.stages else "secateur compare names the layer, static_w8a8_auto tries more"
        notes = (
            *notes,
            f"loses {100 * (score.value - row.accuracy):.1f} points of {score.metric}, outside the original's interval; {advice}",
        )
    return msgspec.structs.replace(row, path=row.name, notes=notes)

"""Run a recipe on a model: every step in a child process, cached by its inputs, resumed where a killed run stopped.

The files reach the output folder only when they are complete, and never over a file that a run did not write.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import cache, checksums, jobs, keras_models, measurement, recipe, report, target
from toolchain.artifact import Artifact, Format
from toolchain.data import Dataset
from toolchain.errors import StorageError, ToolchainError
from toolchain.files import copy, digest, write
from toolchain.measure.size import size
from toolchain.page import render
from toolchain.prepared_data import open_data
from toolchain.stage import Export, Outcome, Stage
from toolchain.worker import Progress, Worker, silent


class Timed(msgspec.Struct, frozen=True):
    """A step's result as the cache keeps it, with the time it took."""

    result: dict[str, Any]
    seconds: float


class Run:
    """One run: its inputs, and the steps done so far."""

    def __init__(self, model: Artifact, plan: recipe.Recipe, data: Dataset | None, trust: bool, store: cache.Cache, worker: Worker) -> None:
        self.model, self.plan, self.data, self.trust = model, plan, data, trust
        self.store, self.worker = store, worker
        self.steps: list[report.StepReport] = []
        self.skipped: list[report.Skipped] = []
        self._start = cache.key(model.digest, data, plan.seed, trust, plan.data)

    def cached(self, name: str, entry: str, kind: type[Any], work: Callable[[Path], Any]) -> Any:
        """The result of a step, computed or found, and a line about it in the report."""
        found = self.store.load(entry, Timed)
        known = found is not None
        if found is None:
            begun = time.monotonic()
            found = self.store.make(
                entry, lambda scratch: Timed(msgspec.to_builtins(work(scratch), enc_hook=str), time.monotonic() - begun)
            )
        result = msgspec.convert(found.result, kind)
        outcome = result if isinstance(result, Outcome) else Outcome(getattr(result, "notes", ()))
        self.steps.append(report.StepReport(name, round(found.seconds, 3), known, outcome.examples, outcome.details))
        self.skipped += [report.Skipped(name, note.what, note.reason) for note in outcome.notes]
        return result

    def original(self) -> tuple[jobs.Original, Path]:
        """Measure the model the run starts from; its outputs are what every file is compared with."""
        entry = cache.key("original", self._start)

        def work(scratch: Path) -> Any:
            job = jobs.OriginalJob(
                self.model.path, scratch / "outputs.npz", self.data, self.plan.data.synthetic, self.plan.seed, self.trust
            )
            return self.worker.call("toolchain.jobs:measure_original", job, jobs.Original, self.model.path.name)

        return self.cached("original", entry, jobs.Original, work), self.store.folder(entry) / "outputs.npz"

    def stages(self) -> tuple[Path, str]:
        """Run the stages in order; the last model and the key of all that made it."""
        current, entry = self.model.path, self._start
        for index, stage in enumerate(self.plan.stages):
            entry = cache.key("stage", entry, _settings(stage), [digest(file) for file in stage.files])
            current = self._stage(f"{index + 1} {recipe.name_of(stage)}", entry, stage, current)
        return current, entry

    def _stage(self, name: str, entry: str, stage: Stage, model: Path) -> Path:
        self.cached(name, entry, Outcome, lambda scratch: self._step("stages", stage, model, scratch / "model.keras"))
        return self.store.folder(entry) / "model.keras"

    def export(self, export: Export, final: tuple[Path, str], limit_s: float) -> Path:
        """Write one file, and first the file it starts from."""
        model, entry = (self.model.path, self._start) if export.of == "original" else final
        source = self.export(export.source, final, limit_s) if export.source else None
        entry = cache.key("export", entry, _settings(export))
        path = self.store.folder(entry) / export.name
        name = f"export {export.name}"
        if any(step.name == name for step in self.steps):
            return path
        self.cached(name, entry, Outcome, lambda scratch: self._step("exports", export, model, scratch / export.name, source, limit_s))
        return path

    def _step(
        self, kind: str, step: Stage | Export, model: Path, out: Path, source: Path | None = None, limit_s: float | None = None
    ) -> Any:
        job = jobs.StepJob(
            kind, _settings(step), model, out, self.model.path, source, self.data, self.plan.data.synthetic, self.plan.seed, self.trust
        )
        return self.worker.call("toolchain.jobs:run_step", job, Outcome, f"{recipe.name_of(step)} on {self.model.path.name}", limit_s)


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
        keras_models.check_safe(model, keras_models.read_config(model)[0])
    exports = _exports(plan)
    products = [export.name for export in exports]
    _check_free(out, [*products, *(["final.keras"] if plan.stages else []), "report.json", "report.html"])
    store = cache.Cache()
    dataset = open_data(data, "run", plan.data, plan.seed, store, progress) if data else None
    options = measurement.Options(threads, plan.data.synthetic, plan.seed, limit_s)
    with Worker(progress) as worker:
        work = Run(artifact, plan, dataset, trust, store, worker)
        original, outputs = work.original()
        final = work.stages()
        made = [(export, work.export(export, final, limit_s)) for export in exports]
    candidates = [measurement.Candidate(export.name, export.scheme, Artifact.of(path)) for export, path in made if not _is_package(export)]
    missing = [emulator.missing(device.device) for device in chosen for emulator in device.emulators]
    entry = cache.key("benchmark", [c.artifact.digest for c in candidates], dataset, chosen, missing, options, outputs)
    measured = work.cached(
        "benchmark",
        entry,
        measurement.Benchmark,
        lambda scratch: measurement.measure(candidates, dataset, outputs, chosen, options, progress),
    )
    rows = {row.name: row for row in measured.artifacts}
    rows |= {export.name: _packaged(export, path, rows) for export, path in made if _is_package(export)}
    work.skipped += [report.Skipped(export.name, "accuracy and latency", PACKAGE) for export in exports if _is_package(export)]
    found = _report(work, original, measured, [rows[name] for name in products])
    _remove_stale(out, {*products, *(["final.keras"] if plan.stages else [])})
    for export, path in made:
        (checksums.deliver if _is_package(export) else copy)(path, out / export.name)
    if plan.stages:
        copy(final[0], out / "final.keras")
    write(out / "report.html", render(found).encode())
    write(out / "report.json", report.dumps(found))
    return found


PACKAGE = "C is not run by a runtime of this machine; how its answers were compared, and its cost on cores, stand in its README.md"


def _exports(plan: recipe.Recipe) -> list[Export]:
    """What is written: a C package brings the file that it holds, which is what can be measured."""
    found = [part for export in plan.exports for part in ((export.source, export) if _is_package(export) else (export,)) if part]
    return list({export.name: export for export in found}.values())


def _is_package(export: Export) -> bool:
    return export.produces is Format.C_SOURCE


def _packaged(export: Export, path: Path, rows: Mapping[str, report.ArtifactReport]) -> report.ArtifactReport:
    """The row of a C package: its size, and what its .tflite says about weights and work."""
    assert export.source is not None
    held, sizes = rows[export.source.name], size(path)
    return report.ArtifactReport(
        name=export.name,
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


def _report(work: Run, original: jobs.Original, measured: measurement.Benchmark, rows: Sequence[report.ArtifactReport]) -> report.Report:
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
        ),
        host=measured.host,
        artifacts=tuple(_warned(row, original) for row in rows),
        skipped=(*work.skipped, *measured.skipped),
        steps=tuple(work.steps),
    )


def _settings(step: Stage | Export) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(step)
    return found


def _check_free(out: Path, names: Sequence[str]) -> None:
    """Raise StorageError where a file in `out` would be overwritten that no run wrote."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is a file; give --out a folder")
    present = [name for name in names if (out / name).exists()]
    if not present:
        return
    try:
        ours = {row.name for row in report.load(out / "report.json").artifacts} | {"final.keras", "report.json", "report.html"}
    except ToolchainError:
        ours = set()
    if foreign := [name for name in present if name not in ours]:
        raise StorageError(f"{out} already holds {', '.join(foreign)}, which no earlier run wrote; choose another --out")
    for path in (out / name for name in present if (out / name).is_dir()):
        checksums.check(path)


def _remove_stale(out: Path, products: set[str]) -> None:
    """Remove what an earlier run wrote and this one does not, so that no file stands beside a report that is not about it."""
    try:
        earlier = report.load(out / "report.json")
    except ToolchainError:
        return
    for row in earlier.artifacts:
        path = out / row.name
        if row.name in products:
            continue
        if path.is_dir():
            checksums.withdraw(path)
        elif path.is_file() and digest(path) == row.digest:
            path.unlink()
    if earlier.settings.get("stages") and "final.keras" not in products:
        (out / "final.keras").unlink(missing_ok=True)


def _warned(row: report.ArtifactReport, original: jobs.Original) -> report.ArtifactReport:
    """The row by its name in the output folder, with a note where its accuracy fell out of the original's interval."""
    notes, score = row.notes, original.score
    if score is not None and row.accuracy is not None and score.metric != "mean_absolute_error" and row.accuracy < score.interval[0]:
        lost = 100 * (score.value - row.accuracy)
        notes = (*notes, f"loses {lost:.1f} points of {score.metric}, outside the original's interval; prune less or train longer")
    return msgspec.structs.replace(row, path=row.name, notes=notes)

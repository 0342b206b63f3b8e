"""The steps of one run, each in the run's child process and kept by the digest of all that led to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import cache, jobs, judging, layer_reports, recipe, report
from toolchain.artifact import Artifact
from toolchain.data import Dataset
from toolchain.errors import ToolchainError
from toolchain.files import digest
from toolchain.measure.drop import Drop
from toolchain.stage import Export, Note, Outcome, Stage
from toolchain.worker import Worker


class Timed(msgspec.Struct, frozen=True):
    """A step's result as the cache keeps it, with the time it took."""

    result: dict[str, Any]
    seconds: float


class Made(msgspec.Struct, frozen=True):
    """A file, and the key of all that made it."""

    path: Path
    entry: str


class Run:
    """One run: its inputs, and the steps done so far."""

    def __init__(
        self, model: Artifact, plan: recipe.Recipe, data: Dataset | None, trust: bool, limit_s: float, store: cache.Cache, worker: Worker
    ) -> None:
        self.model, self.plan, self.data, self.trust, self.limit_s = model, plan, data, trust, limit_s
        self.store, self.worker = store, worker
        self.steps: list[report.StepReport] = []
        self.skipped: list[report.Skipped] = []
        self.start = Made(model.path, cache.key(model.digest, data, plan.seed, trust, plan.data))
        self.chosen: dict[str, Made] = {}
        """The file that the attempts chose, by its name: exports that start from it find it here."""

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
        if any(step.name == name for step in self.steps):
            return result
        outcome = result if isinstance(result, Outcome) else Outcome(getattr(result, "notes", ()), getattr(result, "used", {}))
        self.steps.append(report.StepReport(name, round(found.seconds, 3), known, outcome.examples, outcome.details))
        self.skipped += [report.Skipped(name, note.what, note.reason) for note in outcome.notes]
        return result

    def original(self) -> tuple[jobs.Original, Path]:
        """Measure the model the run starts from; its outputs are what every file is compared with."""
        entry = cache.key("original", self.start.entry)

        def work(scratch: Path) -> Any:
            job = jobs.OriginalJob(
                self.model.path, scratch / "outputs.npz", self.data, self.plan.data.synthetic, self.plan.seed, self.trust
            )
            return self.worker.call("toolchain.jobs:measure_original", job, jobs.Original, self.model.path.name)

        return self.cached("original", entry, jobs.Original, work), self.store.folder(entry) / "outputs.npz"

    def stages(self, stages: Sequence[Stage], begin: Made, prefix: str = "") -> Made:
        """Run stages in order; the last model."""
        current = begin
        for index, stage in enumerate(stages):
            entry = cache.key("stage", current.entry, _settings(stage), [digest(file) for file in stage.files])
            current = self._stage(f"{prefix}{index + 1} {recipe.name_of(stage)}", entry, stage, current.path)
        return current

    def _stage(self, name: str, entry: str, stage: Stage, model: Path) -> Made:
        self.cached(name, entry, Outcome, lambda scratch: self._step("stages", stage, model, scratch / "model.keras"))
        return Made(self.store.folder(entry) / "model.keras", entry)

    def export(self, export: Export, final: Made, prefix: str = "") -> Made:
        """Write one file, and first the file it starts from."""
        begin = self.start if export.of == "original" else final
        source = (self.chosen.get(export.source.name) or self.export(export.source, final, prefix)) if export.source else None
        entry = cache.key("export", begin.entry, _settings(export), source.entry if source else None)

        def work(scratch: Path) -> Any:
            return self._step("exports", export, begin.path, scratch / export.name, source.path if source else None, self.limit_s)

        self.cached(f"{prefix}export {export.name}", entry, Outcome, work)
        return Made(self.store.folder(entry) / export.name, entry)

    def judge(self, name: str, file: Made) -> Drop:
        """What a finished file loses against the original on the validation split."""
        reference = self._validated()
        entry = cache.key("judge", reference.entry, file.entry)

        def work(_: Path) -> Any:
            return self.worker.call("toolchain.judging:judge", self._judgement(file.path, reference.path), Drop, name, self.limit_s)

        found: Drop = self.cached(name, entry, Drop, work)
        return found

    def _validated(self) -> Made:
        """The original model's answers on the validation split."""
        entry = cache.key("validation", self.start.entry)

        def work(scratch: Path) -> Outcome:
            job = self._judgement(self.model.path, scratch / "outputs.npz")
            used = self.worker.call("toolchain.judging:answers_of_original", job, str, self.model.path.name)
            return Outcome(examples={"judging": used})

        self.cached("original on the validation split", entry, Outcome, work)
        return Made(self.store.folder(entry) / "outputs.npz", entry)

    def _judgement(self, file: Path, reference: Path) -> judging.JudgeJob:
        return judging.JudgeJob(file, reference, self.data, self.plan.data.synthetic, self.plan.seed, self.trust)

    def layers(self, files: Sequence[layer_reports.Exported]) -> dict[str, tuple[report.LayerReport, ...]]:
        """Every operator of .tflite files, by the file's name."""
        if not files:
            return {}
        entry = cache.key("layers", self.start.entry, [(one.name, digest(one.path), digest(one.model)) for one in files])

        def call(compared: bool) -> layer_reports.LayerReports:
            job = layer_reports.LayerReportsJob(
                self.model.path, tuple(files), self.data, self.plan.data.synthetic, self.plan.seed, self.trust, compared
            )
            found: layer_reports.LayerReports = self.worker.call(
                "toolchain.layer_reports:layer_reports", job, layer_reports.LayerReports, "layers", self.limit_s
            )
            return found

        def work(_: Path) -> layer_reports.LayerReports:
            try:
                return call(compared=True)
            except (ToolchainError, RuntimeError) as err:  # evidence beside the files: they stand without it, whatever is wrong here
                why = Note("names and errors of layers, channels before", str(err).splitlines()[-1])
                return msgspec.structs.replace(call(compared=False), notes=(why,))

        found: layer_reports.LayerReports = self.cached("layers", entry, layer_reports.LayerReports, work)
        return found.files

    def _step(
        self, kind: str, step: Stage | Export, model: Path, out: Path, source: Path | None = None, limit_s: float | None = None
    ) -> Any:
        job = jobs.StepJob(
            kind, _settings(step), model, out, self.model.path, source, self.data, self.plan.data.synthetic, self.plan.seed, self.trust
        )
        return self.worker.call("toolchain.jobs:run_step", job, Outcome, f"{recipe.name_of(step)} on {self.model.path.name}", limit_s)


def _settings(step: Stage | Export) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(step)
    return found

"""Compare files with the model they came from: what `secateur compare MODEL FILE...` does."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import ladder_jobs as jobs
from toolchain.artifact import Format, sniff
from toolchain.cache import Cache
from toolchain.data import Dataset, DataSettings
from toolchain.errors import DataError, ModelError, ToolchainError
from toolchain.fidelity.engines import ENGINES
from toolchain.fidelity.findings import Anomaly, Blame, EngineDifference, FileLayers, Ladder, Reason, Rung
from toolchain.prepared_data import open_data
from toolchain.worker import Progress, Worker, silent

MEASURES = ("top1", "sqnr", "cosine", "accuracy")
"""What a floor can be set for: agreement of the top-1 answers, SQNR in dB, cosine, the score against the labels."""

SHARES = ("top1", "cosine")
"""Of them, those that are at most 1."""


def climb(
    model: Path,
    files: Sequence[Path],
    *,
    data: str | None = None,
    scale: str | float = 1.0,
    offset: float = 0.0,
    examples: int = 200,
    seed: int = 0,
    trust: bool = False,
    limit_s: float = 600.0,
    progress: Progress = silent,
) -> Ladder:
    """Every file on every engine that runs it, against the model, and each file layer by layer.

    Keras files run in Keras; for their layers they are converted to a float .tflite, which keeps their values. What an
    engine refuses, and a crash of it, is a rung with its reason. Raises ModelError for a model that does not run, DataError.
    """
    formats = {path: sniff(path) for path in (model, *files)}
    if Format.C_SOURCE in formats.values():
        raise ModelError("compare takes Keras, .tflite and .onnx files; compare the .tflite that the C was made from")
    dataset = open_data(data, "bench", DataSettings.of(scale, offset), seed, Cache(), progress) if data else None
    with tempfile.TemporaryDirectory() as scratch, Worker(progress) as keras, Worker(progress) as light:
        folder = Path(scratch)

        def opened(path: Path, index: int) -> jobs.Opened:
            job = jobs.OpenJob(path, folder, str(index), folder / "inputs.npz", dataset, examples, (0.0, 1.0), seed, trust, index == 0)
            return _open(keras if formats[path] in (Format.KERAS, Format.SAVED_MODEL) else light, job, limit_s)

        reference = opened(model, 0)
        run = _Run(light, folder, reference, limit_s)
        rungs = [
            run.rung(model.name, model, "keras" if formats[model] in (Format.KERAS, Format.SAVED_MODEL) else "model", reference.outputs)
        ]
        engines, layers, notes = list[EngineDifference](), list[FileLayers](), list(reference.notes)
        if formats[model] is Format.ONNX:
            notes.append("layers: an .onnx has its channels first; give the Keras file or the .tflite as the model to see them")
        notes += [f"{name}: its values are not in the converted file: it was folded into another layer" for name in reference.unmatched]
        for index, (name, path) in enumerate(zip(_distinct(files), files, strict=True), 1):
            walked = path
            if formats[path] in (Format.KERAS, Format.SAVED_MODEL):
                try:
                    made = opened(path, index)
                except ToolchainError as err:
                    rungs.append(Rung(name, "", "keras", None, str(err)))
                    continue
                rungs.append(run.rung(name, path, "keras", made.outputs))
                notes += [note for note in made.notes if note not in notes]
                walked = made.path
            else:
                answered = {engine: folder / f"{index}_{engine}.npz" for engine in ENGINES[formats[path]]}
                rungs += [run.rung(name, path, engine, answers) for engine, answers in answered.items()]
                engines += run.differences(name, {engine: file for engine, file in answered.items() if file.exists()})
            if formats[model] is not Format.ONNX and any(rung.file == name and rung.runtime is not None for rung in rungs[1:]):
                layers.append(run.layers(name, walked))
        try:
            broken = () if formats[model] is Format.ONNX else run.anomalies()
        except ToolchainError as err:
            broken = ()
            notes.append(f"the model's channels were not looked at: {err}")
        return Ladder(model.name, _described(dataset, examples), tuple(rungs), tuple(engines), tuple(layers), broken, tuple(notes))


def _open(worker: Worker, job: jobs.OpenJob, limit_s: float) -> jobs.Opened:
    """A model's outputs, with the names of its layers where they can be found without a crash."""
    try:
        found: jobs.Opened = worker.call("toolchain.ladder_jobs:open_model", job, jobs.Opened, job.path.name, limit_s)
    except ModelError as err:
        if not job.named or sniff(job.path) is not Format.KERAS:
            raise
        plain = msgspec.structs.replace(job, named=False)
        found = worker.call("toolchain.ladder_jobs:open_model", plain, jobs.Opened, job.path.name, limit_s)
        return msgspec.structs.replace(found, notes=(*found.notes, f"layers carry the converter's names: {err}"))
    return found


class _Run(msgspec.Struct, frozen=True):
    """Calls of the child without TensorFlow."""

    worker: Any
    folder: Path
    reference: jobs.Opened
    limit_s: float

    def rung(self, name: str, path: Path, engine: str, answers: Path) -> Rung:
        """One file on one engine; a crash is a rung, too."""
        job = jobs.RunJob(name, path, engine, answers, self.folder / "inputs.npz", self.reference.outputs)
        try:
            found: Rung = self.worker.call("toolchain.ladder_jobs:judge", job, Rung, f"{name} on {engine}", self.limit_s)
            return found
        except ModelError as err:
            return Rung(name, "", engine, None, str(err))

    def differences(self, name: str, answers: dict[str, Path]) -> list[EngineDifference]:
        """Engines that ran the file, two by two."""
        job = jobs.DifferJob(name, answers)
        found: list[EngineDifference] = self.worker.call("toolchain.ladder_jobs:differ", job, list[EngineDifference], name)
        return found

    def layers(self, name: str, walked: Path) -> FileLayers:
        """The file layer by layer; where that fails, the reason stands in its place."""
        job = self._layers_job(name, walked)
        try:
            found: FileLayers = self.worker.call("toolchain.ladder_jobs:layers", job, FileLayers, f"{name}: layers", self.limit_s)
            return found
        except ToolchainError as err:
            return FileLayers(name, 0, (), Blame(None, Reason("unknown", str(err))), (), (), (), ())

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Channels of the model that do not work."""
        job = self._layers_job("model", self.reference.path)
        return tuple(self.worker.call("toolchain.ladder_jobs:model_anomalies", job, list[Anomaly], "the model's channels", self.limit_s))

    def _layers_job(self, name: str, walked: Path) -> jobs.LayersJob:
        return jobs.LayersJob(name, self.reference, walked, self.folder / "inputs.npz")


def _distinct(files: Sequence[Path]) -> list[str]:
    """File names, or whole paths where two files share a name."""
    names = [path.name for path in files]
    return names if len(set(names)) == len(names) else [str(path) for path in files]


def _described(data: Dataset | None, examples: int) -> str:
    return f"{examples} uniform random inputs in [0, 1]" if data is None else data.describe("test", min(examples, data.size("test")))


class Failure(msgspec.Struct, frozen=True):
    """A rung under a floor."""

    file: str
    engine: str
    measure: str
    found: float | None
    """None where there is no number."""
    floor: float


def floors(given: Sequence[str]) -> dict[str, float]:
    """`["top1=0.99", "sqnr=20"]` as numbers. Raises DataError with the choices."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if name not in MEASURES or math.isnan(found[name]) or (name in SHARES and found[name] > 1):
            raise DataError(f"--fail-under {text}: write MEASURE=NUMBER with {', '.join(MEASURES)}, such as top1=0.99 or sqnr=20")
    return found


def failures(ladder: Ladder, floors: Mapping[str, float]) -> list[Failure]:
    """Rungs under a floor, and files that no engine ran; an engine that is missing or refuses does not fail a file that others run."""
    rows = []
    ran = {rung.file for rung in ladder.rungs[1:] if rung.distance is not None}
    for rung in ladder.rungs[1:]:
        for measure, floor in floors.items():
            if rung.distance is None:
                broken = rung.runtime is not None or rung.file not in ran
                rows += [Failure(rung.file, rung.engine, measure, None, floor)] if broken else []
                continue
            value = _measured(rung, measure)
            if value is None or not value >= floor:
                rows.append(Failure(rung.file, rung.engine, measure, value, floor))
    return rows


def _measured(rung: Rung, measure: str) -> float | None:
    assert rung.distance is not None
    if measure == "sqnr":
        return float("inf") if rung.distance.max_difference == 0 else rung.distance.sqnr_db
    if measure == "accuracy":
        return None if rung.score is None else rung.score.value
    return rung.distance.cosine if measure == "cosine" else rung.agreement

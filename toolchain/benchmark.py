"""Benchmark finished files: what `secateur bench` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from toolchain import bench_jobs, measurement, target
from toolchain.artifact import Artifact, Format
from toolchain.cache import Cache
from toolchain.comparison import Comparison
from toolchain.data import DataSettings
from toolchain.errors import DependencyError, ModelError
from toolchain.measure.fit import ARENAS, RUNS
from toolchain.prepared_data import open_data
from toolchain.report import TargetReport
from toolchain.worker import Progress, Worker, silent


def bench(
    files: Sequence[str | Path],
    *,
    data: str | None = None,
    targets: Sequence[str] = (),
    scale: str | float = 1.0,
    offset: float = 0.0,
    threads: int = 1,
    limit_s: float = 1800.0,
    progress: Progress = silent,
) -> measurement.Benchmark:
    """Measure .tflite and .onnx files, interleaved; the first is the one the others are compared with.

    Inputs are `x * scale + offset`. Raises ModelError, DataError, TargetError, DependencyError.
    """
    chosen = [target.load(name) for name in targets]
    artifacts = [Artifact.of(Path(path)) for path in files]
    for artifact in artifacts:
        if artifact.format not in (Format.TFLITE, Format.ONNX):
            raise ModelError(
                f"{artifact.path}: bench takes .tflite and .onnx files; "
                f"export it first: secateur run float32 --model {artifact.path} --out out"
            )
    settings = DataSettings.of(scale, offset)
    dataset = open_data(data, "bench", settings, 0, Cache(), progress) if data else None
    names = _distinct(artifacts)
    candidates = [measurement.Candidate(name, "", artifact) for name, artifact in zip(names, artifacts, strict=True)]
    return measurement.measure(candidates, dataset, None, chosen, measurement.Options(threads, limit_s=limit_s), progress)


def compare(
    first: Path,
    second: Path,
    targets: Sequence[str],
    *,
    data: str | None = None,
    scale: str | float = 1.0,
    offset: float = 0.0,
    limit_s: float = 600.0,
    progress: Progress = silent,
) -> list[Comparison]:
    """Two .tflite or .onnx files on the same inputs, on every emulator of the targets, layer by layer where it tells them apart.

    Raises ModelError, DataError, TargetError.
    """
    chosen = [target.load(name) for name in targets]
    for path in (first, second):
        Artifact.of(path)
    dataset = open_data(data, "bench", DataSettings.of(scale, offset), 0, Cache(), progress) if data else None
    return measurement.compare(first, second, chosen, dataset, measurement.Options(limit_s=limit_s), progress)


def _distinct(artifacts: Sequence[Artifact]) -> list[str]:
    """File names, or whole paths where two files share a name."""
    names = [artifact.path.name for artifact in artifacts]
    return names if len(set(names)) == len(names) else [str(artifact.path) for artifact in artifacts]


def check(path: Path, target_name: str, *, limit_s: float = 300.0, progress: Progress = silent) -> TargetReport:
    """Whether a .tflite or .onnx file fits a target, with every reason.

    Raises ModelError, TargetError, and DependencyError where a missing emulator leaves the answer open.
    """
    whole = target.load(target_name)
    decisive = {*ARENAS, *RUNS.values()}
    chosen = msgspec.structs.replace(whole, emulators=tuple(e for e in whole.emulators if e.__struct_config__.tag in decisive))
    artifact = Artifact.of(path)
    with Worker(progress) as worker:
        facts = worker.call("toolchain.bench_jobs:facts", path, bench_jobs.Facts, path.name, limit_s)
    options = measurement.Options(limit_s=limit_s)
    (found,) = measurement.on_targets([(artifact.path, facts.activation_dtypes)], [chosen], None, options, progress)
    if found.fits is None:
        raise DependencyError("; ".join(found.reasons))
    return found

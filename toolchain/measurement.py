"""Size, accuracy, latency and fit of finished files, each in a fresh process that never imports TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import bench_jobs
from toolchain.artifact import Artifact
from toolchain.data import Dataset
from toolchain.emulator import EmulatorResult
from toolchain.errors import ToolchainError
from toolchain.measure.fit import fit
from toolchain.measure.latency import Timing
from toolchain.measure.size import size
from toolchain.report import ArtifactReport, HostFacts, Latency, Skipped, TargetReport
from toolchain.target import Target
from toolchain.worker import Progress, Worker


class Options(msgspec.Struct, frozen=True):
    """How a benchmark is run."""

    threads: int = 1
    synthetic: tuple[float, float] = (0.0, 1.0)
    seed: int = 0
    limit_s: float = 1800.0
    """Time limit of each process."""
    timing: Timing = Timing()


class Benchmark(msgspec.Struct, frozen=True):
    """The result: one record a file, in the order given."""

    host: HostFacts
    artifacts: tuple[ArtifactReport, ...]
    skipped: tuple[Skipped, ...]


class Candidate(msgspec.Struct, frozen=True):
    """A file to measure, under the name and scheme it is reported with; no scheme: what the file looks like."""

    name: str
    scheme: str
    artifact: Artifact


def measure(
    candidates: Sequence[Candidate],
    data: Dataset | None,
    reference: Path | None,
    targets: Sequence[Target],
    options: Options,
    progress: Progress,
) -> Benchmark:
    """Measure files. `reference` holds the outputs to agree with (.npz); without it the first file's are taken.

    Raises ModelError for a file that does not run: a broken artifact is an error, not a result.
    """
    with tempfile.TemporaryDirectory() as folder:
        examined = []
        for index, candidate in enumerate(candidates):
            outputs = Path(folder) / f"{index}.npz"
            job = bench_jobs.ExamineJob(candidate.artifact.path, outputs, reference, data, options.threads, options.synthetic, options.seed)
            with Worker(progress) as worker:
                examined.append(worker.call("toolchain.bench_jobs:examine", job, bench_jobs.Examined, candidate.name, options.limit_s))
            reference = reference or outputs
        timing = bench_jobs.TimeJob(
            tuple(c.artifact.path for c in candidates), options.threads, data, options.synthetic, options.seed, options.timing
        )
        with Worker(progress) as worker:
            timed = worker.call("toolchain.bench_jobs:time_all", timing, bench_jobs.Timed, "latency", options.limit_s)
    rows, skipped = [], []
    for candidate, found, latency in zip(candidates, examined, timed.latencies, strict=True):
        on_targets = tuple(
            on_target(candidate.artifact.path, found.facts.activation_dtypes, target, data, options, progress) for target in targets
        )
        rows.append(_row(candidate, found, latency, on_targets))
        skipped += [
            Skipped(f"{candidate.name} on {row.target}", result.emulator, f"{result.status}: {result.reason}")
            for row in on_targets
            for result in row.results
            if result.status != "ok"
        ]
    return Benchmark(timed.host, tuple(rows), tuple(skipped))


def on_target(
    path: Path, activation_dtypes: Sequence[str], target: Target, data: Dataset | None, options: Options, progress: Progress
) -> TargetReport:
    """Run every emulator of a target on a file, each in its own process, and judge the fit."""
    results: list[EmulatorResult] = []
    if path.suffix.removeprefix(".") in target.device.runtime.formats:
        for emulator in target.emulators:
            kind = str(emulator.__struct_config__.tag)
            job = bench_jobs.EmulateJob(kind, msgspec.to_builtins(emulator), target.device, path, data, options.synthetic, options.seed)
            with Worker(progress) as worker:
                try:
                    results.append(
                        worker.call("toolchain.bench_jobs:emulate", job, EmulatorResult, f"{path.name} on {target.name}", options.limit_s)
                    )
                except ToolchainError as err:  # a crash or a hang of the guest is a result
                    results.append(EmulatorResult(emulator=kind, how="executed", status="refused", reason=str(err)))
    return fit(path, activation_dtypes, target, results)


def _row(candidate: Candidate, found: bench_jobs.Examined, latency: Latency, targets: tuple[TargetReport, ...]) -> ArtifactReport:
    path, facts, score = candidate.artifact.path, found.facts, found.score
    measured = size(path)
    scored: dict[str, Any] = {}
    if score is not None:
        scored = {
            "metric": score.metric,
            "accuracy": score.value,
            "accuracy_interval": score.interval,
            "accuracy_examples": score.examples,
            "other_metrics": score.others,
        }
    return ArtifactReport(
        name=candidate.name,
        path=str(path),
        format=candidate.artifact.format.value,
        scheme=candidate.scheme or facts.scheme,
        digest=candidate.artifact.digest,
        how="measured",
        bytes=measured.raw,
        gzip_bytes=measured.gzip,
        zstd_bytes=measured.zstd,
        parameters=facts.parameters,
        nonzero_parameters=facts.nonzero_parameters,
        macs=facts.macs,
        operators=facts.operators,
        **scored,
        agreement=found.fidelity.agreement if found.fidelity else None,
        max_error=found.fidelity.max_error if found.fidelity else None,
        mean_error=found.fidelity.mean_error if found.fidelity else None,
        latency=latency,
        peak_memory_bytes=found.peak_memory_bytes,
        base_memory_bytes=found.base_memory_bytes,
        targets=targets,
        notes=facts.notes,
    )

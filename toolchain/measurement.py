"""Size, accuracy, latency and fit of finished files, each in a fresh process that never imports TensorFlow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from toolchain import bench_jobs
from toolchain.artifact import Artifact
from toolchain.comparison import Comparison
from toolchain.data import Dataset
from toolchain.emulator import Emulator, EmulatorResult
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
    pictures: dict[str, str] = {}
    """Of the test examples whose answer changed, by index; see `Report.pictures`."""


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
        shown = sorted({one.index for e in examined if e.answers for one in e.answers.changed})
        drawn: dict[str, str] = {}
        if data is not None and shown:
            with Worker(progress) as worker:
                drawing = bench_jobs.DrawJob(data, tuple(shown))
                drawn = worker.call("toolchain.bench_jobs:draw", drawing, dict[str, str], "pictures of examples", options.limit_s)
        with Worker(progress) as worker:
            timed = worker.call("toolchain.bench_jobs:time_all", timing, bench_jobs.Timed, "latency", options.limit_s)
    reports = iter(on_targets([(c.artifact.path, e.facts.activation_dtypes) for c, e in zip(candidates, examined, strict=True)],
                              targets, data, options, progress))  # fmt: skip
    rows, skipped = [], []
    for candidate, found, latency in zip(candidates, examined, timed.latencies, strict=True):
        of_file = tuple(next(reports) for _ in targets)
        rows.append(_row(candidate, found, latency, of_file))
        skipped += [
            Skipped(f"{candidate.name} on {row.target}", result.emulator, f"{result.status}: {result.reason}")
            for row in of_file
            for result in row.results
            if result.status != "ok"
        ]
    return Benchmark(timed.host, tuple(rows), tuple(skipped), drawn)


def on_targets(
    files: Sequence[tuple[Path, Sequence[str]]], targets: Sequence[Target], data: Dataset | None, options: Options, progress: Progress
) -> list[TargetReport]:
    """Run every emulator of every target on every file (with its activation types), and judge the fits: file by file, target by target.

    Nothing is timed here, so that emulators run side by side; a process serves several, and a new one follows one that crashed.
    """
    pairs = [(path, dtypes, target) for path, dtypes in files for target in targets]
    count = os.cpu_count() or 1
    idle: SimpleQueue[Worker] = SimpleQueue()
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        for _ in range(count):
            idle.put(stack.enter_context(Worker(progress)))

        def emulate(emulator: Emulator, path: Path, target: Target) -> EmulatorResult:
            worker = idle.get()
            try:
                return _emulate(worker, _job(emulator, path, target, data, options), emulator, options)
            finally:
                idle.put(worker)

        waiting = [[pool.submit(emulate, emulator, path, target) for emulator in _suited(target, path)] for path, _, target in pairs]
        return [
            fit(path, dtypes, target, [future.result() for future in futures])
            for (path, dtypes, target), futures in zip(pairs, waiting, strict=True)
        ]


def _suited(target: Target, path: Path) -> tuple[Emulator, ...]:
    return target.emulators if path.suffix.removeprefix(".") in target.device.runtime.formats else ()


def compare(
    first: Path, second: Path, targets: Sequence[Target], data: Dataset | None, options: Options, progress: Progress
) -> list[Comparison]:
    """Two files on the same inputs, on every emulator of every target that takes both. Raises ModelError, DataError."""
    found = []
    for target in targets:
        for emulator in _suited(target, first):
            if emulator in _suited(target, second):
                job = bench_jobs.CompareJob(_job(emulator, first, target, data, options), second)
                with Worker(progress) as worker:
                    what = f"{first.name} and {second.name} on {target.name}"
                    found.append(worker.call("toolchain.bench_jobs:compare_two", job, Comparison, what, options.limit_s))
    return found


def _job(emulator: Emulator, path: Path, target: Target, data: Dataset | None, options: Options) -> bench_jobs.EmulateJob:
    kind = str(emulator.__struct_config__.tag)
    return bench_jobs.EmulateJob(kind, msgspec.to_builtins(emulator), target.device, path, data, options.synthetic, options.seed)


def _emulate(worker: Worker, job: bench_jobs.EmulateJob, emulator: Emulator, options: Options) -> EmulatorResult:
    try:
        what = f"{job.path.name} on {job.device.name}"
        found: EmulatorResult = worker.call("toolchain.bench_jobs:emulate", job, EmulatorResult, what, options.limit_s)
        return found
    except ToolchainError as err:  # a crash or a hang of the guest is a result
        return EmulatorResult(emulator=job.kind, how=emulator.how, status="refused", reason=str(err))


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
        agreement=_agreement(found),
        max_error=found.fidelity.max_error if found.fidelity else None,
        mean_error=found.fidelity.mean_error if found.fidelity else None,
        answers=found.answers,
        latency=latency,
        peak_memory_bytes=found.peak_memory_bytes,
        base_memory_bytes=found.base_memory_bytes,
        targets=targets,
        notes=facts.notes,
    )


def _agreement(found: bench_jobs.Examined) -> float | None:
    """Of classes where labels tell that there are some, otherwise of outputs that are probabilities."""
    if found.answers and found.fidelity:
        return 1 - found.answers.differing / sum(found.answers.support)
    return found.fidelity.agreement if found.fidelity else None

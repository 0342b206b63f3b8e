"""What a benchmark's child processes do. None of them imports TensorFlow, so a runtime's memory and time are its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain import comparison, registry
from toolchain.artifact import Format, sniff
from toolchain.comparison import Comparison
from toolchain.data import Array, Dataset, save_outputs
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult
from toolchain.errors import DataError, DependencyError, TargetError
from toolchain.measure import accuracy, host, latency
from toolchain.measure.answers import answers
from toolchain.measure.fidelity import Fidelity, compare
from toolchain.onnx_file import OnnxFile
from toolchain.pictures import as_uri, is_image
from toolchain.report import Answers, HostFacts, Latency
from toolchain.runners import Runner, open_runner
from toolchain.tflite_file import TfliteFile
from toolchain.worker import Progress

SYNTHETIC_EXAMPLES = 64
CHUNK = 100


class ExamineJob(msgspec.Struct, frozen=True):
    """One file: what is in it, what it answers, how much memory it takes."""

    path: Path
    outputs: Path
    reference: Path | None
    data: Dataset | None
    threads: int
    synthetic: tuple[float, float]
    seed: int


class Facts(msgspec.Struct, frozen=True):
    """What a file says about itself, and what it does not tell."""

    scheme: str
    parameters: int | None
    nonzero_parameters: int | None
    macs: int | None
    operators: dict[str, int]
    activation_dtypes: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Examined(msgspec.Struct, frozen=True):
    """What ExamineJob found."""

    facts: Facts
    score: accuracy.Score | None
    fidelity: Fidelity | None
    answers: Answers | None
    peak_memory_bytes: int
    base_memory_bytes: int


class TimeJob(msgspec.Struct, frozen=True):
    """Files to time against each other."""

    paths: tuple[Path, ...]
    threads: int
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int
    timing: latency.Timing


class Timed(msgspec.Struct, frozen=True):
    """Latencies in the order of the files, and the machine they were measured on."""

    latencies: tuple[Latency, ...]
    host: HostFacts


class DrawJob(msgspec.Struct, frozen=True):
    """Examples of the test split to make pictures of."""

    data: Dataset
    indices: tuple[int, ...]


class EmulateJob(msgspec.Struct, frozen=True):
    """One file on one emulator of a device."""

    kind: str
    settings: dict[str, Any]
    device: Device
    path: Path
    data: Dataset | None
    synthetic: tuple[float, float]
    seed: int


def examine(job: ExamineJob, progress: Progress) -> Examined:
    """Load a file, run it on the test split, score it and compare it with the reference outputs."""
    base = host.resident_bytes()
    runner = open_runner(job.path, job.threads)
    runner.predict(_synthetic(runner, 1, job.synthetic, job.seed))
    peak = host.peak_resident_bytes()
    reference = np.load(job.reference, allow_pickle=False) if job.reference else None
    inputs = _inputs(runner, job.data, job.synthetic, job.seed, reference)
    count = len(inputs[0])
    parts = []
    for start in range(0, count, CHUNK):
        parts.append(runner.predict([x[start : start + CHUNK] for x in inputs]))
        progress(f"{job.path.name}: test examples", min(start + CHUNK, count), count)
    outputs = np.concatenate(parts)
    labels = job.data.raw("test")[1] if job.data else None
    if job.data:
        job.data.check_labels(int(np.prod(outputs.shape[1:])))
    save_outputs(job.outputs, outputs, inputs if job.data is None else [])
    expected = None if reference is None else reference["outputs"]
    fidelity = None if expected is None else compare(job.path.name, outputs, expected)
    return Examined(
        facts=facts(job.path, progress),
        score=None if labels is None else accuracy.score(outputs, np.asarray(labels)),
        fidelity=fidelity,
        answers=None if labels is None else answers(outputs, np.asarray(labels), outputs if expected is None else expected),
        peak_memory_bytes=peak,
        base_memory_bytes=base,
    )


def time_all(job: TimeJob, progress: Progress) -> Timed:
    """Time the files interleaved, on the first example."""
    runners = [open_runner(path, job.threads) for path in job.paths]
    for runner in runners:
        runner.predict([x[:1] for x in _inputs(runner, job.data, job.synthetic, job.seed, None)])
    before = os.getloadavg()[0]
    samples = latency.interleaved(
        {str(index): runner.invoke for index, runner in enumerate(runners)},
        job.timing,
        job.seed,
        lambda done, total: progress("latency: rounds", done, total),
    )
    found = tuple(latency.summarize(samples[str(i)], runner.runtime, job.threads, before) for i, runner in enumerate(runners))
    return Timed(found, host.facts())


def draw(job: DrawJob, progress: Progress) -> dict[str, str]:
    """Pictures of examples as data: URIs by index; none where examples are no images."""
    progress("pictures of examples whose answer changed", 0, 0)
    x = job.data.raw("test")[0]
    if not is_image(x):
        return {}
    low, high = (0, 255) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
    return {str(index): as_uri(x[index], low, high) for index in job.indices}


def emulate(job: EmulateJob, progress: Progress) -> EmulatorResult:
    """Run one emulator of a target."""
    emulator, inputs, labels = _prepared(job)
    progress(f"{job.path.name} on {job.kind}", 0, 0)
    return emulator.run(job.path, inputs, labels, job.device)


class CompareJob(msgspec.Struct, frozen=True):
    """Two files on one emulator of a device: `emulate` tells how, with the first file's path."""

    emulate: EmulateJob
    second: Path


def compare_two(job: CompareJob, progress: Progress) -> Comparison:
    """Run both files on the same inputs and set them side by side."""
    emulator, inputs, labels = _prepared(job.emulate)
    second = _prepared(msgspec.structs.replace(job.emulate, path=job.second))[1]
    if [x.shape for x in second] != [x.shape for x in inputs]:
        raise DataError(f"{job.emulate.path.name} and {job.second.name} take different inputs and cannot be compared")
    paths, device = (job.emulate.path, job.second), job.emulate.device
    progress(f"{paths[0].name} and {paths[1].name} on {job.emulate.kind}", 0, 0)
    results = [emulator.run(path, inputs, labels, device) for path in paths]
    traces = [emulator.trace(path, inputs, device) for path in paths]
    return comparison.compare(device.name, (results[0], results[1]), (traces[0], traces[1]))


def _prepared(job: EmulateJob) -> tuple[Emulator, list[Array], Array | None]:
    """The emulator with its settings, and the examples."""
    emulator: Emulator = msgspec.convert(job.settings, registry.find("emulators", job.kind, "kind", TargetError))
    inputs = _inputs(open_runner(job.path), job.data, job.synthetic, job.seed, None)
    labels = job.data.raw("test")[1] if job.data else None
    return emulator, inputs, None if labels is None else np.asarray(labels)


def _inputs(runner: Runner, data: Dataset | None, limits: tuple[float, float], seed: int, reference: Any) -> list[Array]:
    """Test examples, or the random inputs of the reference, or new random inputs."""
    if data is not None:
        data.check_inputs(runner.input_shapes)
        return [data.inputs("test")]
    if reference is not None:
        found = [reference[f"input_{i}"] for i in range(len(runner.input_shapes))]
        if [x.shape[1:] for x in found] != runner.input_shapes:
            raise DataError("files with different input shapes cannot be compared; bench them one at a time")
        return found
    return _synthetic(runner, SYNTHETIC_EXAMPLES, limits, seed + 1)


def _synthetic(runner: Runner, count: int, limits: tuple[float, float], seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 2, (count, *shape)) if integer else rng.uniform(*limits, (count, *shape)).astype(np.float32)
        for shape, integer in zip(runner.input_shapes, runner.integer_inputs, strict=True)
    ]


def facts(path: Path, progress: Progress) -> Facts:
    """Read a .tflite or .onnx without running it."""
    if sniff(path) is Format.TFLITE:
        file = TfliteFile.read(path)
        notes = () if file.macs is not None else ("MACs unknown: the graph has a loop",)
        return Facts(file.scheme, file.parameters, file.nonzero_parameters, file.macs, file.operator_counts, file.activation_dtypes, notes)
    try:
        model = OnnxFile.read(path)
    except DependencyError as err:
        return Facts("", None, None, None, {}, (), (str(err),))
    return Facts(model.scheme, model.parameters, model.nonzero_parameters, model.macs, model.operator_counts, ())

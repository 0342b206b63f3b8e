"""What an export costs: seconds and memory of each scheme, each in a process of its own that does nothing else."""

from __future__ import annotations

import tempfile
import time
import typing
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.quantization import examples
from benchmarks.structural import networks as structural
from toolchain import jobs, keras_models
from toolchain.data import Dataset, DataSettings
from toolchain.errors import ToolchainError
from toolchain.exports.onnx import Onnx
from toolchain.exports.tflite import Tflite
from toolchain.measure import host
from toolchain.normalization import recalibrate
from toolchain.stage import Export
from toolchain.worker import Progress, Worker

KINDS: tuple[type[Export], ...] = (Tflite, Onnx)


class Cost(msgspec.Struct, frozen=True):
    """Of one export, its check against the model included; the frameworks were loaded before."""

    seconds: float
    base_bytes: int
    """Largest resident size before, with the frameworks."""
    peak_bytes: int
    """Largest resident size of the process."""


def run() -> dict[str, Any]:
    """A row for each scheme of each format, or the reason why a scheme is refused."""
    photographs = examples.opened(examples.photographs(), examples.PIXELS)
    mobile = structural.mobilenet_v2()
    recalibrate(mobile, photographs.inputs("train"))  # untrained, its activations would vanish with the depth
    with tempfile.TemporaryDirectory() as scratch:
        keras_models.save(mobile, Path(scratch) / "mobilenet_v2.keras")
        return {
            "models": {
                "ResNet-8": _rows(structural.RESNET8, examples.opened(examples.cifar10(), DataSettings())),
                "MobileNetV2 0.35 @96": _rows(Path(scratch) / "mobilenet_v2.keras", photographs),
            }
        }


def _rows(model: Path, data: Dataset) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for scheme in _schemes(kind):
                name = f"{scheme}.{kind.produces.value}"
                try:
                    rows[name] = _row(kind(scheme=scheme), model, data, Path(folder))
                except (ToolchainError, ValueError) as err:  # a scheme that a format cannot take is refused when it is named
                    rows[name] = {"refused": str(err).replace(f"{folder}/", "")}
                print(model.stem, name, rows[name], flush=True)
    return rows


def _row(export: Export, model: Path, data: Dataset, folder: Path) -> dict[str, Any]:
    """One export; the file that it starts from lies in the folder, because its scheme comes before."""
    source, out = folder / export.source.name if export.source else None, folder / export.name
    job = jobs.StepJob("exports", msgspec.to_builtins(export), model, out, model, source, data, (0.0, 1.0), 0, False)
    with Worker() as worker:
        cost = worker.call("benchmarks.quantization.cost:measure", job, Cost, export.name)
    return {**msgspec.to_builtins(cost), "bytes": out.stat().st_size}


def _schemes(kind: type[Export]) -> tuple[str, ...]:
    return typing.get_args(typing.get_type_hints(kind)["scheme"])


def measure(job: jobs.StepJob, progress: Progress) -> Cost:
    """Run one export; called in a child process."""
    import tensorflow  # noqa: F401  (its import is not the export's cost)

    base, begun = host.peak_resident_bytes(), time.perf_counter()
    jobs.run_step(job, progress)
    return Cost(round(time.perf_counter() - begun, 2), base, host.peak_resident_bytes())

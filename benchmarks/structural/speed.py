"""What removal buys: MACs, bytes and latency of the int8 TFLite file at 30, 50 and 70 % of the channels, interleaved."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.structural import networks
from toolchain import keras_models
from toolchain.channels import ChannelGraph
from toolchain.exports.tflite import Tflite
from toolchain.measure.latency import Samples, Timing, interleaved, median_interval
from toolchain.runners.litert import LiteRT
from toolchain.stage import Context
from toolchain.worker import silent

RATIOS = (0.3, 0.5, 0.7)
ROUND_TO = (1, 8)
KERNELS = ("xnnpack", "builtin")
MODELS = {"ResNet-8": networks.resnet8, "MobileNetV2 0.35 @96": networks.mobilenet_v2}


def run() -> dict[str, Any]:
    """Rows of both networks; each network's files are timed together."""
    return {"runtime": "LiteRT, int8, one thread", "models": {name: _rows(build()) for name, build in MODELS.items()}}


def _rows(model: Any) -> list[dict[str, Any]]:
    graph = ChannelGraph(model)
    plans = {"original": graph.plan(0.0)}
    for ratio in RATIOS:
        for multiple in ROUND_TO:
            plans[f"{ratio:.0%} gone, multiple of {multiple}"] = graph.plan(ratio, criterion="l2", scope="layer", round_to=multiple)
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: _export(plan.apply(), Path(scratch) / str(index)) for index, (name, plan) in enumerate(plans.items())}
        runs = {(name, kernels): LiteRT(path, 1, kernels) for name, path in files.items() for kernels in KERNELS}  # type: ignore[arg-type]
        samples = interleaved({f"{name}/{kernels}": run.invoke for (name, kernels), run in runs.items()}, Timing())
        sizes = {name: path.stat().st_size for name, path in files.items()}
    return [
        {
            "what": name,
            "macs": plan.macs_after,
            "bytes": sizes[name],
            "macs_ratio": round(plan.macs_before / plan.macs_after, 3),
            "bytes_ratio": round(sizes["original"] / sizes[name], 3),
            **{kernels: speedup(samples[f"original/{kernels}"], samples[f"{name}/{kernels}"]) for kernels in KERNELS},
        }
        for name, plan in plans.items()
    ]


def _export(model: Any, folder: Path) -> Path:
    folder.mkdir()
    keras_models.save(model, folder / "model.keras")
    context = Context(folder / "model.keras", None, None, (0.0, 255.0), 0, False, silent)
    Tflite(scheme="static_w8a8").run(folder / "model.keras", folder / "int8.tflite", context)
    return folder / "int8.tflite"


def speedup(original: Samples, smaller: Samples) -> dict[str, Any]:
    """The original's time over the smaller model's, round by round: both were timed in each."""
    ratios = [statistics.median(before) / statistics.median(after) for before, after in zip(original, smaller, strict=True)]
    low, high = median_interval(ratios)
    return {
        "p50_ms": round(statistics.median(sample for turn in smaller for sample in turn), 5),
        "speedup": round(statistics.median(ratios), 3),
        "interval": [round(low, 3), round(high, 3)],
    }

"""What fine-tuning wins back: the recipe beside this file, run by the pipeline as a user runs it, float and int8.

The validation split chooses the epoch; test_a is read by the report only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.structural import networks
from benchmarks.structural.criteria import top1
from benchmarks.structural.teacher import trained
from toolchain import keras_models, pipeline, report

RECIPE = Path(__file__).with_name("recovery.toml")
RUNS = ((1 / 1.5, 900), (0.5, 900))
"""Share of the MACs that stays, and seconds of fine-tuning."""


def run() -> dict[str, Any]:
    """Accuracy, bytes and latency against the original's int8 file, for each run of fifteen minutes."""
    return measure(RUNS)


def measure(runs: tuple[tuple[float, int], ...]) -> dict[str, Any]:
    """The same for any runs."""
    teacher = trained()
    rows = []
    for share, seconds in runs:
        changes = [
            "prune_channels.epochs=1000",  # the clock ends it
            f"prune_channels.target={{macs = {share}}}",
            f"prune_channels.budget_s={seconds}",
            f'prune_channels.teachers=["{teacher}", "{networks.RESNET8}"]',
        ]
        with tempfile.TemporaryDirectory() as out:
            found = pipeline.run(str(RECIPE), model=networks.RESNET8, data=str(networks.npz()), out=out, changes=changes)
        rows.append(_row(found, share, seconds))
        print(rows[-1], flush=True)
    return {
        "model": "ResNet-8",
        "data": "CIFAR-10, top-1 on test_a",
        "recipe": RECIPE.read_text(),
        "teachers": {"larger network": top1(keras_models.load(teacher), networks.cifar10()), "original": found.model.accuracy},
        "rows": rows,
    }


def _row(found: report.Report, share: float, seconds: int) -> dict[str, Any]:
    files = {row.name: row for row in found.artifacts}
    original, pruned = files["original_static_w8a8.tflite"], files["static_w8a8.tflite"]
    step = next(step for step in found.steps if "prune_channels" in step.name)
    assert original.latency is not None
    assert pruned.latency is not None
    return {
        "macs_wanted": share,
        "macs_ratio": round(step.details["macs"]["before"] / step.details["macs"]["after"], 3),
        "budget_s": seconds,
        "step_s": step.seconds,
        "epochs": len(step.details["validation"]),
        "validation": [round(score, 4) for score in step.details["validation"]],
        "groups": {name: group["after"] for name, group in step.details["groups"].items()},
        "original_top1": found.model.accuracy,
        "float32_top1": files["float32.tflite"].accuracy,
        "int8_top1": pruned.accuracy,
        "int8_interval": pruned.accuracy_interval,
        "bytes_ratio": round(original.bytes / pruned.bytes, 3),
        "latency_ratio": round(original.latency.p50_ms / pruned.latency.p50_ms, 3),
        "p50_ms": [original.latency.p50_ms, pruned.latency.p50_ms],
    }

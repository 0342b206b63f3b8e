"""Networks whose channels were spread over many octaves: the float function is the same, plain quantization collapses.

All channels of an activation share one scale: where some are large, those that are small are left with a few steps. The
normalizations are folded before, because they would undo at once what scales the kernels before them. Goal: the automatic
recipe comes to within half a point of float.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quantization import examples, networks
from benchmarks.quantization.automatic import attempts, chosen, quantized
from benchmarks.quantization.scores import answers, scores
from benchmarks.quantization.spread import spread
from benchmarks.quantization.trained import trained
from toolchain import keras_models
from toolchain.exports.tflite import Tflite
from toolchain.stage import Context
from toolchain.stages.fold_batchnorm import FoldBatchnorm
from toolchain.worker import silent

OCTAVES = 4
POINT = 0.005
"""What may be lost to float: half a point."""


def run() -> dict[str, Any]:
    """A row for each family: float, plain int8 before the ranges were spread, and every attempt afterwards."""
    return {"data": "CIFAR-10, test_a", "octaves": OCTAVES, "models": {name: _measure(name) for name in networks.FAMILIES}}


def _measure(name: str) -> dict[str, Any]:
    data, model = examples.opened(examples.cifar10(), examples.PIXELS), trained(name)
    expected = answers(model, data.inputs("test"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        context = Context(model, None, data, (-1.0, 1.0), 0, False, silent)
        Tflite(scheme="static_w8a8").run(model, folder / "before.tflite", context)
        before = scores(folder / "before.tflite", data, expected)
        wide = folder / "spread.keras"
        FoldBatchnorm().run(model, wide, context)
        net = keras_models.load(wide)
        spread(net, 0, OCTAVES)
        keras_models.save(net, wide)
        difference = float(np.abs(answers(wide, data.inputs("test")) - expected).max())
        found = quantized(wide, examples.cifar10(), examples.PIXELS, folder / "run")
        tried = attempts(found)
        rows = {one["attempt"]: scores(folder / "run" / one["file"], data, expected) for one in tried if one["file"]}
    taken, float32 = chosen(tried)["attempt"], found.model.accuracy
    assert float32 is not None
    print(name, float32, before, taken, rows, flush=True)
    return {
        "float": round(float32, 4),
        "largest_difference_of_float": difference,
        "plain_before": before,
        "rows": rows,
        "attempts": tried,
        "chosen": taken,
        "goal": rows[taken]["top1"] >= float32 - POINT,
    }

"""What a finished file answers, against labels and against the float model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolchain.data import Array, Dataset
from toolchain.keras_function import open_function
from toolchain.measure.fidelity import agreement
from toolchain.runners import open_runner
from toolchain.task import are_probabilities

BATCH = 128


def answers(file: Path, inputs: Array) -> Array:
    """Outputs `[N, ...]` in float32 of a .tflite, an .onnx or a Keras file."""
    if file.suffix in (".tflite", ".onnx"):
        return open_runner(file).predict([inputs])
    return open_function(file, batch=BATCH).predict([inputs])[0]


def scores(file: Path, data: Dataset, expected: Array) -> dict[str, Any]:
    """Bytes, and on the test split: top-1 where there are labels, and the distance to the float model's outputs `expected`."""
    found, labels = answers(file, data.inputs("test")), data.raw("test")[1]
    scored = {} if labels is None else {"top1": top1(found, np.asarray(labels))}
    same = {"agreement": round(agreement(found, expected) or 0.0, 4)} if are_probabilities(expected) else {}
    return {"bytes": file.stat().st_size} | scored | same | distance(found, expected)


def top1(outputs: Array, labels: Array) -> float:
    """Share of right answers."""
    return round(float((outputs.argmax(1) == labels).mean()), 4)


def distance(found: Array, expected: Array) -> dict[str, float]:
    """Mean squared error, and the signal-to-quantization-noise ratio: the power of the float outputs over that of the error."""
    error = float(((found - expected).astype(np.float64) ** 2).mean())
    power = float((expected.astype(np.float64) ** 2).mean())
    return {"mse": error, "sqnr_db": round(10 * float(np.log10(power / error)), 2)} if error else {"mse": 0.0}

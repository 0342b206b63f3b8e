"""Every exported file is loaded again and compared with the Keras model it came from, before anyone relies on it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.keras_function import ModelFunction
from toolchain.measure.fidelity import Fidelity, compare, require_close
from toolchain.runners import open_runner
from toolchain.stage import Context, Note

EXAMPLES = 64


def calibration_inputs(function: ModelFunction, context: Context) -> tuple[list[Array], str, tuple[Note, ...]]:
    """Inputs that set quantization ranges, what they are, and a note where they are only random numbers."""
    data = context.data
    if data is None:
        low, high = context.synthetic
        why = f"no data was given: calibrated on 64 uniform random inputs in [{low:g}, {high:g}]; expect a lower accuracy"
        return function.synthetic(EXAMPLES, context.synthetic, context.seed), "64 random inputs", (Note("calibration", why),)
    chosen = data.calibration(context.seed)
    return [data.inputs("train", chosen)], data.describe("train", len(chosen)), ()


def verify(path: Path, function: ModelFunction, context: Context, *, exact: bool) -> tuple[Fidelity, str]:
    """Run the file and its model on the same inputs; `exact` refuses a float file that differs.

    Uses validation examples, or random ones without data. Raises ModelError for NaN, another shape, or a difference.
    """
    data = context.data
    if data is None:
        inputs, used = function.synthetic(EXAMPLES, context.synthetic, context.seed + 1), f"{EXAMPLES} random inputs"
    else:
        count = min(EXAMPLES, data.size("validation"))
        inputs, used = [data.inputs("validation", slice(0, count))], data.describe("validation", count)
    expected = function.predict(inputs)[0]
    result = compare(path.name, open_runner(path).predict(inputs), expected)
    if exact:
        require_close(result, expected, path.name)
    return result, used


def as_details(result: Fidelity) -> dict[str, object]:
    """The comparison as it stands in a report."""
    return {"fidelity": msgspec.to_builtins(result)}


def one_by_one(inputs: list[Array]) -> list[list[Array]]:
    """The examples as batches of one, the form in which converters calibrate."""
    return [[np.asarray(x[i : i + 1]) for x in inputs] for i in range(len(inputs[0]))]

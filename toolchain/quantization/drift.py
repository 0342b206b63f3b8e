"""How far a stage that changes the float function on purpose has moved it."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.keras_function import of_keras
from toolchain.stage import Context

EXAMPLES = 256


def drift(model: Any, changed: Any, context: Context) -> tuple[dict[str, float], str]:
    """Largest and mean difference of two models' outputs beside the largest output, and the inputs that gave them.

    On the first validation examples, or on random inputs without data.
    """
    functions = [of_keras(m, m.name, 64) for m in (model, changed)]
    if context.data is None:
        inputs, used = functions[0].synthetic(EXAMPLES, context.synthetic, context.seed), f"{EXAMPLES} random inputs"
    else:
        count = min(EXAMPLES, context.data.size("validation"))
        inputs, used = [context.data.inputs("validation", slice(0, count))], context.data.describe("validation", count)
    before, after = (np.concatenate([y.ravel() for y in function.predict(inputs)]) for function in functions)
    error = np.abs(after - before)
    return {"max": float(error.max()), "mean": float(error.mean()), "largest_output": float(np.abs(before).max())}, used

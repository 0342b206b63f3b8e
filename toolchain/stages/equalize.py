"""Even out the ranges of channels, so that int8 has bits for all of them; the float function stays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from toolchain import keras_models
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.keras_function import ModelFunction, of_keras
from toolchain.quantization.absorption import absorb
from toolchain.quantization.channel_ranges import observe
from toolchain.quantization.equalization import equalize, equalize_without_data
from toolchain.quantization.scaling import ScaleGraph
from toolchain.stage import Context, Note, Outcome, Stage

BATCH, EXAMPLES = 32, 256
TOLERANCE = 1e-4
"""Largest accepted change of an output on the calibration examples, relative to the output's scale."""


class Equalize(Stage, frozen=True, tag="equalize", kw_only=True):
    """Cross-layer equalization and high-bias absorption; put fold_batchnorm before it."""

    strength: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """Whose ranges are evened out: 1 those of activations, 0 those of the weights that read them."""
    absorb: bool = True
    """Move what channels never fall below into the biases after them; needs data."""

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises ModelError for a model without a graph, and where outputs change on the calibration examples."""
        net = keras_models.load(model, trust=context.trust)
        function, graph = of_keras(net, model.name, BATCH), ScaleGraph(net)
        seen, unseen, used = self._inputs(function, context)
        before = [function.predict(inputs) for inputs in (seen, unseen)]
        notes, details = list(graph.notes()), dict[str, Any]()
        if used:
            details["equalized"] = msgspec.to_builtins(equalize(graph, observe(graph, seen), self.strength))
            details["absorbed_channels"] = absorb(net, seen) if self.absorb else 0
        else:
            notes.append(Note("equalize", "no data for this model: ranges are those of weights, clipped channels and biases stay"))
            details["equalized"] = msgspec.to_builtins(equalize_without_data(graph, self.strength))
        changes = [_difference(a, function.predict(inputs)) for a, inputs in zip(before, (seen, unseen), strict=True)]
        if not changes[0] <= TOLERANCE:
            raise ModelError(f"{model.name}: equalization changes its outputs by {changes[0]:.1e} of their scale; leave equalize out")
        details["difference"] = dict(zip(("calibration", "held_out") if used else ("random", "more_random"), changes, strict=True))
        keras_models.save(net, out)
        return Outcome(tuple(notes), used, details)

    def _inputs(self, function: ModelFunction, context: Context) -> tuple[list[Array], list[Array], dict[str, str]]:
        """Examples that are looked at, others that only tell how the outputs changed, and what they are; random without data."""
        data = context.data
        if data is None or len(function.specs) != 1:
            random = [function.synthetic(BATCH, context.synthetic, context.seed + i) for i in range(2)]
            return random[0], random[1], {}
        chosen = data.calibration(context.seed)
        others = np.setdiff1d(np.arange(data.size("train")), chosen)
        if not len(others):
            others = chosen
        others = np.sort(np.random.default_rng(context.seed).permutation(others)[:EXAMPLES])
        used = {"calibration": data.describe("train", len(chosen)), "difference": data.describe("train", len(others))}
        return [data.inputs("train", chosen)], [data.inputs("train", others)], used


def _difference(expected: list[Array], found: list[Array]) -> float:
    """Largest difference of outputs, relative to the scale of the output."""
    return max(float(np.abs(a - b).max()) / max(float(np.abs(a).max()), 1e-6) for a, b in zip(expected, found, strict=True))

"""Move the weights to those grid points that keep the layers' outputs, which are not always the nearest.

The weights come to lie where the int8 converter rounds them to themselves, so that its file holds the learned rounding.
"""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import msgspec

from toolchain import keras_models
from toolchain.channels.nodes import nodes, shape_of
from toolchain.data import balanced_sample
from toolchain.errors import StageError
from toolchain.quantization.drift import drift
from toolchain.quantization.folding import Folding
from toolchain.quantization.grid import Granularity, nearest_weights
from toolchain.quantization.replay import Visit, replay, visited
from toolchain.quantization.rounding import Learning, learn
from toolchain.stage import Context, Note, Outcome, Stage

MEMORY_BYTES = 6_000_000_000
TENSORS = 10
"""Of a layer's values for all examples, how many are held at once; measured."""


class Adaround(Stage, frozen=True, tag="adaround", kw_only=True):
    """Nagel et al. 2020, for int8 weights. After fold_batchnorm and equalize, before an export."""

    examples: Annotated[int, msgspec.Meta(ge=1)] = 500
    """Training examples to learn from, the same number of each class."""
    steps: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Of gradient descent, for each layer."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.01
    correct_bias: bool = True
    """Take back what the rounding shifts the mean of each channel; a bias has 32 bits, so that costs nothing."""
    granularity: Granularity = "per_channel"
    """That of the export: the weights are moved to its grid."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers that are rounded to nearest."""

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError for unfolded normalizations, several inputs, and a pattern in `keep` that matches no layer."""
        net, rounded = (keras_models.load(model, trust=context.trust) for _ in range(2))
        if context.data is None:
            keras_models.save(net, out)
            return Outcome((Note("adaround", "no data was given to learn from: the converter rounds all weights to nearest"),))
        found, notes = visited(rounded)
        for pattern in self.keep:
            if not any(fnmatchcase(name, pattern) for name in found):
                raise StageError(f"adaround: no layer matches {pattern!r}; they are {', '.join(found)}")
        if Folding(net).folded:
            raise StageError("adaround: BatchNormalization will change the weights beside it; put fold_batchnorm before adaround")
        x, y = context.data.raw("train")
        count = min(self.examples, len(x), _held(net))
        if count < min(self.examples, len(x)):
            notes += (Note("adaround", f"{count} instead of {self.examples} examples: more would not fit in {MEMORY_BYTES / 1e9:g} GB"),)
        chosen = balanced_sample(len(x), y, count, context.seed)
        how = Learning(self.steps, self.learning_rate, self.correct_bias, self.granularity)
        layers: list[dict[str, Any]] = []

        def visit(seen: Visit) -> None:
            name = seen.kernel.layer.name
            context.progress(f"adaround {name}", list(found).index(name), len(found))
            if any(fnmatchcase(name, pattern) for pattern in self.keep):
                seen.kernel.assign(nearest_weights(seen.kernel.rows, granularity=self.granularity))
            else:
                layers.append({"layer": name, **msgspec.structs.asdict(learn(seen, how, context.seed))})

        replay(net, rounded, context.data.inputs("train", chosen), visit)
        keras_models.save(rounded, out)
        moved, compared = drift(net, rounded, context)
        used = {"calibration": context.data.describe("train", len(chosen)), "difference": compared}
        return Outcome(notes, used, {"layers": layers, "difference": moved})


def _held(net: Any) -> int:
    """How many examples fit: for each, the values of the largest layer are held several times."""
    largest = max(math.prod(shape_of(node.outputs[0])) for node in nodes(net))
    return max(1, MEMORY_BYTES // (TENSORS * 4 * largest))

"""Train with int8 rounding in the loop, for a network that still loses accuracy in int8 (Jacob et al. 2018).

The file stays a plain Keras model: only weights come back, and the export calibrates the activations again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from toolchain import keras_models
from toolchain.errors import StageError
from toolchain.finetuning import Course, Recovery
from toolchain.keras_bridge import Crossing, custom_activations
from toolchain.optional import require
from toolchain.quantization.fake_quantization import calibrate, fake_quantized, return_weights
from toolchain.stage import Context, Note, Outcome


class Qat(Recovery, frozen=True, tag="qat", kw_only=True):
    """Train on with fake quantization; the best epoch on the validation split, with the rounding in place, is kept.

    Run `fold_batchnorm` before: the converter rounds folded weights.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1)] = 3
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-4
    preserve: Literal["sparsity", "clusters"] = "sparsity"
    """Zeros stay zero; with "clusters", weights of a kernel that are equal also stay equal."""

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Without labelled data the model stays as it is, and the report says so. Raises StageError, and ModelError from the bridge."""
        net = keras_models.load(model, trust=context.trust)
        data = context.data
        if data is None or data.raw("train")[1] is None:
            keras_models.save(net, out)
            return Outcome((Note("training", "no labelled data was given: the model is as it was"),))
        crossing = Crossing(net) if keras_models.flavor_of(net) is keras_models.Flavor.KERAS3 else None
        ours = crossing.model if crossing else net
        before = _kernels(ours)
        with require("tf_keras", "tf").utils.custom_object_scope(custom_activations()):
            course = Course(ours, context, self)
            wrapped, notes = fake_quantized(ours, tied=self.preserve == "clusters")
            calibrate(wrapped, data.inputs("train", data.calibration(context.seed)))
            scores = course.train(wrapped, self.epochs, "qat")
        return_weights(wrapped, ours)
        after = _kernels(ours)
        self._check(before, after)
        if all(np.array_equal(before[name], after[name]) for name in before):
            notes.append(Note("training", "no epoch scored higher in int8 than the network did before: its weights are as they were"))
        if crossing:
            crossing.return_weights(ours)
        keras_models.save(net, out)
        used = {
            "training": data.describe("train"),
            "calibration": data.describe("train", len(data.calibration(context.seed))),
            "choice of the epoch": data.describe("validation"),
        }
        return Outcome(tuple(notes), used, {"validation": scores})

    def _check(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Raise StageError where a zero, or with `preserve = "clusters"` a cluster, was lost."""
        for name, kernel in before.items():
            if after[name][kernel == 0].any():
                raise StageError(f"qat: {name!r} lost zeros that it came with")
            if self.preserve == "clusters":
                values, cluster = np.unique(kernel, return_inverse=True)
                pairs = np.unique(np.stack([cluster.ravel(), np.unique(after[name], return_inverse=True)[1].ravel()]), axis=1)
                if pairs.shape[1] != len(values):
                    raise StageError(f"qat: {name!r} came with {len(values)} clusters, of which some broke up")


def _kernels(model: Any) -> dict[str, Any]:
    """Every weight with more than one axis, by its name."""
    return {f"{layer.name}/{i}": w for layer in model.layers for i, w in enumerate(layer.get_weights()) if w.ndim > 1}

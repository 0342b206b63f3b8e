"""Change biases so that the mean of each channel survives the rounding of the weights.

The float function changes on purpose: it is the int8 file that comes closer to the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from toolchain import keras_models
from toolchain.quantization.bias import correct_analytic, correct_empirical
from toolchain.quantization.drift import drift
from toolchain.quantization.grid import Granularity
from toolchain.stage import Context, Note, Outcome, Stage


class CorrectBias(Stage, frozen=True, tag="correct_bias", kw_only=True):
    """Nagel et al. 2019. The last stage before an export: whatever changes weights afterwards makes the correction wrong."""

    method: Literal["empirical", "analytic"] = "empirical"
    """From calibration examples, after fold_batchnorm; or without data from the statistics of BatchNormalization, before it."""
    activations: bool = True
    """empirical: also take back what rounding the values between the layers shifts."""

    granularity: Granularity = "per_channel"
    """That of the export. per_tensor is for the empirical method: the analytic one sees weights before they are folded."""

    def __post_init__(self) -> None:
        if self.method == "analytic" and self.granularity == "per_tensor":
            raise ValueError('granularity: folding changes which weight is the largest of a tensor; choose method = "empirical"')

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Layers that keep their bias are Notes. Raises StageError for empirical correction of a model with several inputs."""
        net, corrected = (keras_models.load(model, trust=context.trust) for _ in range(2))
        used = {}
        if self.method == "analytic":
            shifts, notes = correct_analytic(corrected)
        elif context.data is None:
            keras_models.save(net, out)
            return Outcome((Note("bias correction", 'needs calibration examples, none were given; without data use method = "analytic"'),))
        else:
            chosen = context.data.calibration(context.seed)
            inputs = context.data.inputs("train", chosen)
            used["calibration"] = context.data.describe("train", len(chosen))
            shifts, notes = correct_empirical(net, corrected, inputs, activations=self.activations, granularity=self.granularity)
        keras_models.save(corrected, out)
        moved, used["difference"] = drift(net, corrected, context)
        layers = [{"layer": name, "largest_shift": float(np.abs(shift).max())} for name, shift in shifts.items()]
        return Outcome(notes, used, {"layers": layers, "difference": moved})

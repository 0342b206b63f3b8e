"""Train on, so that the network recovers from what was taken from it; zeros stay zero."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from toolchain import keras_models, sparsity, training
from toolchain.finetuning import finetune
from toolchain.stage import Context, Note, Outcome, Stage


class Finetune(Stage, frozen=True, tag="finetune", kw_only=True):
    """Train with Adam and a cosine decay, optionally distilling from the original model (Hinton et al. 2015)."""

    epochs: Annotated[int, msgspec.Meta(ge=1)] = 3
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 5e-4
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 64
    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Weight of the original model's outputs against the labels; 0 is plain training."""
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    """Softens both models' outputs before they are compared."""
    budget_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Stop after the epoch in which that many seconds have passed; the best epoch so far is kept."""

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Without labelled data the model stays as it is, and the report says so."""
        net = keras_models.load(model, trust=context.trust)
        if context.data is None or context.data.raw("train")[1] is None:
            keras_models.save(net, out)
            return Outcome((Note("training", "no labelled data was given: the model is as it was"),))
        schedule = training.Schedule(self.epochs, self.learning_rate, self.batch_size)
        scores = finetune(net, context, schedule, "finetune", self.alpha, self.temperature, self.budget_s)
        keras_models.save(net, out)
        kernels = [np.asarray(w) for w in net.trainable_weights if len(w.shape) > 1]
        used = {"training": context.data.describe("train"), "choice of the epoch": context.data.describe("validation")}
        return Outcome((), used, {"validation": scores, "sparsity": sparsity.of(kernels)})

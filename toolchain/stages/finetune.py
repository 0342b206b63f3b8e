"""Train on, so that the network recovers from what was taken from it; zeros stay zero."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from toolchain import keras_models, sparsity
from toolchain.finetuning import Course, Recovery
from toolchain.stage import Context, Note, Outcome


class Finetune(Recovery, frozen=True, tag="finetune", kw_only=True):
    """Train on labels, and on the answers of larger models where `alpha` is above 0."""

    epochs: Annotated[int, msgspec.Meta(ge=1)] = 3
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 5e-4

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Without labelled data the model stays as it is, and the report says so."""
        net = keras_models.load(model, trust=context.trust)
        if context.data is None or context.data.raw("train")[1] is None:
            keras_models.save(net, out)
            return Outcome((Note("training", "no labelled data was given: the model is as it was"),))
        scores = Course(net, context, self).train(net, self.epochs, "finetune")
        keras_models.save(net, out)
        kernels = [np.asarray(w) for w in net.trainable_weights if len(w.shape) > 1]
        used = {"training": context.data.describe("train"), "choice of the epoch": context.data.describe("validation")}
        return Outcome((), used, {"validation": scores, "sparsity": sparsity.of(kernels)})

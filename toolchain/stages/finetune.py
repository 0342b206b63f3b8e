"""Train on, so that the network recovers from what was taken from it; zeros stay zero.

The best epoch on the validation split is kept. With `alpha > 0` the original model teaches beside the labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from toolchain import keras_models, sparsity, training
from toolchain.data import Dataset
from toolchain.keras_function import of_keras
from toolchain.measure import accuracy
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

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Without labelled data the model stays as it is, and the report says so."""
        net = keras_models.load(model, trust=context.trust)
        if context.data is None or context.data.raw("train")[1] is None:
            keras_models.save(net, out)
            return Outcome((Note("training", "no labelled data was given: the model is as it was"),))
        task, probabilities = training.goal(net, context.data)
        loss, teacher = training.label_loss(task, probabilities), None
        if self.alpha:
            original = keras_models.load(context.original, trust=context.trust)
            loss = training.distillation_loss(loss, task, probabilities, self.temperature, self.alpha)

            def teacher(inputs: Any) -> Any:
                return original(inputs, training=False)

        zeros, best = KeepZeros(net), KeepBest(net, context.data)
        hooks = training.hooks(net, after_batch=zeros.apply, after_epoch=best.look)
        schedule = training.Schedule(self.epochs, self.learning_rate, self.batch_size)
        training.fit(net, context, schedule, loss, "finetune", callbacks=(hooks,), teacher=teacher)
        best.restore()
        keras_models.save(net, out)
        used = {"training": context.data.describe("train"), "choice of the epoch": context.data.describe("validation")}
        return Outcome((), used, {"validation": best.scores, "sparsity": sparsity.of([np.asarray(w) for w in zeros.kernels])})


class KeepZeros:
    """Write zeros back after every update, for kernels that came with zeros."""

    def __init__(self, model: Any) -> None:
        self.kernels = [w for w in model.trainable_weights if len(w.shape) > 1]
        masks = [(w, np.asarray(w) != 0) for w in self.kernels]
        self._masks = [(w, mask.astype(np.float32)) for w, mask in masks if not mask.all()]

    def apply(self) -> None:
        """Zero again what was zero at the start."""
        for weight, mask in self._masks:
            weight.assign(weight * mask)


class KeepBest:
    """Remember the weights of the epoch with the best score on the validation split."""

    def __init__(self, model: Any, data: Dataset) -> None:
        self.model, self.data = model, data
        self.scores: list[float] = []
        self._best = model.get_weights()

    def look(self) -> None:
        """Score the current weights and keep them if none were better."""
        outputs = of_keras(self.model, self.model.name, batch=128).predict([self.data.inputs("validation")])[0]
        labels = self.data.raw("validation")[1]
        assert labels is not None
        score = accuracy.quality(outputs, np.asarray(labels))
        if not self.scores or score >= max(self.scores):
            self._best = self.model.get_weights()
        self.scores.append(score)

    def restore(self) -> None:
        """Put the best weights back."""
        self.model.set_weights(self._best)

"""Train on after something was taken from a network: zeros stay zero, the best epoch on the validation split is kept.

With `alpha > 0` the original model teaches beside the labels (Hinton et al. 2015).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from toolchain import keras_models, training
from toolchain.data import Dataset
from toolchain.keras_function import of_keras
from toolchain.measure import accuracy
from toolchain.stage import Context


def finetune(
    net: Any, context: Context, schedule: training.Schedule, label: str, alpha: float, temperature: float, budget_s: float | None = None
) -> list[float]:
    """Train `net` in place; the scores on the validation split after each epoch. Ends early after `budget_s` seconds.

    Raises StageError without labelled data.
    """
    assert context.data is not None
    task, probabilities = training.goal(net, context.data)
    loss, teacher = training.label_loss(task, probabilities), None
    if alpha:
        original = keras_models.load(context.original, trust=context.trust)
        loss = training.distillation_loss(loss, task, probabilities, temperature, alpha)

        def teacher(inputs: Any) -> Any:
            return original(inputs, training=False)

    zeros, best = KeepZeros(net), KeepBest(net, context.data)
    until = None if budget_s is None else time.monotonic() + budget_s

    def after_epoch() -> None:
        best.look()
        if until is not None and time.monotonic() > until:
            net.stop_training = True

    hooks = training.hooks(net, after_batch=zeros.apply, after_epoch=after_epoch)
    training.fit(net, context, schedule, loss, label, callbacks=(hooks,), teacher=teacher)
    best.restore()
    return best.scores


class KeepZeros:
    """Write zeros back after every update, for kernels that came with zeros."""

    def __init__(self, model: Any) -> None:
        kernels = [w for w in model.trainable_weights if len(w.shape) > 1]
        masks = [(w, np.asarray(w) != 0) for w in kernels]
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

"""Train on after something was taken from a network: zeros stay zero, the best epoch on the validation split is kept.

With `alpha > 0` one or more larger models teach beside the labels (Hinton et al. 2015), by default the original.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from toolchain import keras_models, losses
from toolchain.data import Array, Dataset
from toolchain.keras_function import of_keras
from toolchain.measure import accuracy
from toolchain.stage import Context
from toolchain.task import Task, are_probabilities
from toolchain.training import TrainedStage, fit, hooks

BATCH = 256
"""Examples that a model answers at once; bounds memory, nothing else."""


class Recovery(TrainedStage, frozen=True, kw_only=True):
    """The settings of every stage that trains a network to recover."""

    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Weight of the teachers' answers against the labels; 0 is plain training."""
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    """Softens the answers of teachers and pupil before they are compared."""
    teachers: tuple[str, ...] = ()
    """Keras files whose mean answer teaches; by default the model the run started from."""
    budget_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Stop after that many seconds, at a learning rate of zero; the best epoch so far is kept."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The teachers."""
        return tuple(Path(teacher) for teacher in self.teachers)


def finetune(net: Any, context: Context, settings: Recovery, label: str) -> list[float]:
    """Train `net` in place; the scores on the validation split after each epoch.

    Raises StageError without labelled data, ModelError for a teacher that cannot be loaded.
    """
    assert context.data is not None
    until = None if settings.budget_s is None else time.monotonic() + settings.budget_s
    task, probabilities = losses.goal(net, context.data)
    loss, answers = losses.label_loss(task, probabilities), None
    if settings.alpha:
        loss = losses.distillation_loss(task, probabilities, settings.temperature, settings.alpha)
        answers = ask(settings, task, context)
    zeros, best = KeepZeros(net), KeepBest(net, context.data)
    looks = hooks(net, after_batch=zeros.apply, after_epoch=best.look)
    fit(net, context, settings, loss, label, callbacks=(looks,), answers=answers, until=until)
    best.restore()
    return best.scores


def ask(settings: Recovery, task: Task, context: Context) -> Array:
    """The teachers' mean answers to every copy of the training set: `[copies, N, outputs]`, logits for classes.

    Asked once, not in every epoch. Raises ModelError.
    """
    data = context.data
    assert data is not None
    files = settings.files or (context.original,)
    teachers = [of_keras(keras_models.load(file, trust=context.trust), file.name, BATCH) for file in files]
    size, found = data.size("train"), []
    for copy in range(settings.copies):
        for start in range(0, size, BATCH):
            context.progress("asking the teacher", copy * size + start, settings.copies * size)
            inputs = settings.examples(data, np.arange(start, min(start + BATCH, size)), copy, context.seed)
            found.append(np.mean([_answer(teacher.predict([inputs])[0], task) for teacher in teachers], axis=0))
    mean = np.concatenate(found).reshape(settings.copies, size, -1).astype(np.float32)
    return np.log(np.maximum(mean, 1e-7)) if task is Task.CLASSIFICATION else mean


def _answer(outputs: Array, task: Task) -> Array:
    """Probabilities for classes; values as they are."""
    if task is not Task.CLASSIFICATION or are_probabilities(outputs):
        return outputs
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


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
        labels = data.raw("validation")[1]
        assert labels is not None
        self._model, self._data, self._labels = model, data, np.asarray(labels)
        self._function = of_keras(model, model.name, BATCH)
        self.scores: list[float] = []
        self._best = model.get_weights()

    def look(self) -> None:
        """Score the current weights and keep them if none were better."""
        score = accuracy.quality(self._function.predict([self._data.inputs("validation")])[0], self._labels)
        if not self.scores or score >= max(self.scores):
            self._best = self._model.get_weights()
        self.scores.append(score)

    def restore(self) -> None:
        """Put the best weights back."""
        self._model.set_weights(self._best)

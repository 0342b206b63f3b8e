"""Train on after something was taken from a network: zeros stay zero, the best epoch on the validation split is kept.

With `alpha > 0` one or more larger models teach beside the labels (Hinton et al. 2015), by default the original.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from toolchain import keras_models, losses
from toolchain.data import Array, Dataset
from toolchain.errors import StageError
from toolchain.keras_function import ModelFunction, of_keras
from toolchain.measure import accuracy
from toolchain.stage import Context
from toolchain.task import Task
from toolchain.training import TrainedStage, fit, hooks

BATCH = 256
"""Examples that a model answers at once; bounds memory, nothing else."""

COPIES = 4
"""Changed copies of the training set that teachers answer to; epochs go through them in turn."""


class Recovery(TrainedStage, frozen=True, kw_only=True):
    """The settings of every stage that trains a network to recover."""

    alpha: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Weight of the teachers' answers against the labels; 0 is plain training."""
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    """Softens the answers of teachers and pupil, where these are classes, before they are compared."""
    teachers: tuple[str, ...] = ()
    """Keras files, from the working directory, whose mean answer teaches; by default the model the run started from."""
    budget_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Stop after that many seconds, the teachers' included, at a learning rate of zero; the best epoch so far is kept."""

    def __post_init__(self) -> None:
        if self.teachers and not self.alpha:
            raise ValueError("teachers without alpha: say how much their answers count, for example alpha = 0.5")

    @property
    def files(self) -> tuple[Path, ...]:
        """The teachers."""
        return tuple(Path(teacher) for teacher in self.teachers)

    @property
    def copies(self) -> int:
        """As many as there are epochs, but no more than the teachers answer to."""
        return min(super().copies, COPIES) if self.alpha else super().copies


class Course:
    """What a network is trained with: a loss, the teachers' answers, and the time that is left. They serve every step."""

    def __init__(self, net: Any, context: Context, settings: Recovery) -> None:
        """Raises StageError without labels or for a teacher of something else, ModelError for one that cannot be loaded."""
        assert context.data is not None
        self._context, self._settings = context, settings
        self._until = None if settings.budget_s is None else time.monotonic() + settings.budget_s
        self._task, probabilities = losses.goal(net, context.data)
        self._loss, self._answers = losses.label_loss(self._task, probabilities), None
        if settings.alpha:
            self._loss = losses.distillation_loss(self._task, probabilities, settings.temperature, settings.alpha)
            self._answers = self._ask(net)
        if self._until is not None and time.monotonic() > self._until:
            raise StageError(f"budget_s = {settings.budget_s:g} was used up by asking the teachers; raise it, or let fewer teach")

    def train(self, net: Any, epochs: int, label: str) -> list[float]:
        """Train `net` in place; the scores on the validation split after each epoch. Nothing is kept that scores lower than before."""
        context, settings = self._context, msgspec.structs.replace(self._settings, epochs=epochs)
        assert context.data is not None
        zeros, best = KeepZeros(net), KeepBest(net, context.data)
        looks = hooks(net, after_batch=zeros.apply, after_epoch=best.look)
        fit(net, context, settings, self._loss, label, callbacks=(looks,), answers=self._answers, until=self._until)
        best.restore()
        return best.scores[1:]

    def _ask(self, net: Any) -> Array:
        """The teachers' mean answers to every copy of the training set: `[copies, N, outputs]`, logits for classes."""
        context, settings, data = self._context, self._settings, self._context.data
        assert data is not None
        files = tuple(Path(teacher) for teacher in settings.teachers) or (context.original,)
        teachers = [self._teacher(file, net) for file in files]
        size, total = data.size("train"), settings.copies * data.size("train")
        answers = np.empty((settings.copies, size, math.prod(net.outputs[0].shape[1:])), np.float32)
        for copy in range(settings.copies):
            changes = settings.changes(data, copy, context.seed)
            for start in range(0, size, BATCH):
                context.progress("asking the teachers", copy * size + start, total)
                index = np.arange(start, min(start + BATCH, size))
                inputs = data.inputs("train", index)
                inputs = inputs if changes is None else changes.apply(inputs, index)
                found = [self._answer(teacher.predict([inputs])[0], probabilities) for teacher, probabilities in teachers]
                answers[copy, index] = np.mean(found, axis=0).reshape(len(index), -1)
        return np.log(np.maximum(answers, 1e-7, out=answers), out=answers) if self._task is Task.CLASSIFICATION else answers

    def _teacher(self, file: Path, net: Any) -> tuple[ModelFunction, bool]:
        """A teacher of the same task, and whether it answers with probabilities. Raises StageError, ModelError."""
        teacher = keras_models.load(file, trust=self._context.trust)
        for what, theirs, ours in (("takes", teacher.inputs, net.inputs), ("answers", teacher.outputs, net.outputs)):
            shapes = [[tuple(tensor.shape[1:]) for tensor in tensors] for tensors in (theirs, ours)]
            if shapes[0] != shapes[1]:
                raise StageError(f"teacher {file.name} {what} {shapes[0]}, {net.name} {shapes[1]}; teach with a model of the same task")
        assert self._context.data is not None
        return of_keras(teacher, file.name, BATCH), losses.goal(teacher, self._context.data)[1]

    def _answer(self, outputs: Array, probabilities: bool) -> Array:
        """Probabilities for classes; values as they are."""
        if self._task is Task.REGRESSION or probabilities:
            return outputs
        if self._task is Task.BINARY:
            return np.asarray(1 / (1 + np.exp(-outputs)))
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


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
    """Remember the weights with the best score on the validation split, from before the first epoch on."""

    def __init__(self, model: Any, data: Dataset) -> None:
        labels = data.raw("validation")[1]
        assert labels is not None
        self._model, self._data, self._labels = model, data, np.asarray(labels)
        self._function = of_keras(model, model.name, BATCH)
        self.scores: list[float] = []
        self._best = model.get_weights()
        self.look()

    def look(self) -> None:
        """Score the current weights and keep them if none were better."""
        score = accuracy.quality(self._function.predict([self._data.inputs("validation")])[0], self._labels)
        if not self.scores or score >= max(self.scores):
            self._best = self._model.get_weights()
        self.scores.append(score)

    def restore(self) -> None:
        """Put the best weights back."""
        self._model.set_weights(self._best)

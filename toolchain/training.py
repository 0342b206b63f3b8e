"""Train a Keras model of either kind on a data set: batches from disk, one curve of the learning rate, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from toolchain import keras_models
from toolchain.augmentation import Changes, draw
from toolchain.data import Array, Dataset
from toolchain.errors import StageError
from toolchain.losses import Loss
from toolchain.normalization import settling
from toolchain.optional import require
from toolchain.stage import Context, Stage

SHORTEST = 200
"""Steps for which batch normalization settles in a run whose length the clock decides."""


class TrainedStage(Stage, frozen=True, kw_only=True):
    """The settings of every stage that trains."""

    epochs: Annotated[int, msgspec.Meta(ge=0)] = 4
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or stochastic gradient descent with a Nesterov momentum of 0.9: better after long runs with data to vary."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    """At its peak; from there it falls to zero along a cosine (Loshchilov & Hutter 2017, equation 5)."""
    warm_up: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of the run in which the learning rate rises from zero to its peak."""
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Of kernels, decoupled from the gradient (Loshchilov & Hutter 2019)."""
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 64
    flip: bool = False
    """Mirror half of the training images, left to right. Not for labels that have a place in the image."""
    shift: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Move training images by up to that many pixels, in both directions."""

    def steps_per_epoch(self, data: Dataset) -> int:
        """Whole batches in the training split, at least one; the rest is dropped each epoch, after shuffling."""
        return max(1, data.size("train") // self.batch_size)

    @property
    def copies(self) -> int:
        """How many differently changed copies of the training set a run goes through."""
        return max(1, self.epochs) if self.flip or self.shift else 1

    def changes(self, data: Dataset, copy: int, seed: int) -> Changes | None:
        """How one copy of the training set differs from it. Raises StageError for what is no image."""
        return draw(data.raw("train")[0].shape, flip=self.flip, shift=self.shift, seed=seed, copy=copy)

    def rate(self, position: float) -> float:
        """The learning rate at a position in the run, 0 to 1."""
        if position < self.warm_up:
            return self.learning_rate * position / self.warm_up
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (min(position, 1.0) - self.warm_up) / (1 - self.warm_up)))


def fit(
    model: Any,
    context: Context,
    settings: TrainedStage,
    loss: Loss,
    label: str,
    *,
    callbacks: tuple[Any, ...] = (),
    answers: Array | None = None,
    until: float | None = None,
) -> None:
    """Train `model` in place until the last epoch, or until `time.monotonic()` reaches `until`. Raises StageError.

    `answers` `[copies, N, ...]` are a teacher's, appended to each row of labels. With `until` the learning rate falls with
    the time as well as with the steps, so that a run cut off by the clock still ends at a rate of zero (Li et al. 2020,
    Budgeted Training).
    """
    keras = keras_models.keras_of(model)
    data = context.data
    assert data is not None
    if settings.flip or settings.shift:
        _check_images(model, data)
    steps = settings.steps_per_epoch(data) * settings.epochs
    keras.utils.set_random_seed(context.seed)
    decay = settings.weight_decay or None
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(settings.learning_rate, momentum=0.9, nesterov=True, weight_decay=decay)
    else:
        optimizer = keras.optimizers.Adam(settings.learning_rate, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_variables if len(w.shape) < 2])

    def progress(done: int) -> None:
        context.progress(f"{label}: epoch {math.ceil(done * settings.epochs / steps)}", done, steps)

    pace = hooks(model, **_pace(model, optimizer, settings, steps, until, progress))
    with settling(model, steps if until is None else min(steps, SHORTEST)):
        model.compile(optimizer=optimizer, loss=loss, jit_compile=False)
        model.fit(
            _batches(data, settings, context.seed, answers),
            epochs=settings.epochs,
            steps_per_epoch=settings.steps_per_epoch(data),
            callbacks=[pace, *callbacks],
            verbose=0,
        )
    model.compile()  # a saved model must not ask for this run's loss when it is loaded


def _pace(
    model: Any, optimizer: Any, settings: TrainedStage, steps: int, until: float | None, progress: Callable[[int], None]
) -> dict[str, Callable[[], None]]:
    """What to do around each batch: set the learning rate, tell the progress, stop when the time is over."""
    begun, done = time.monotonic(), 0

    def before_batch() -> None:
        elapsed = 0.0 if until is None else (time.monotonic() - begun) / max(until - begun, 1e-9)
        optimizer.learning_rate = settings.rate(max((done + 1) / (steps + 1), elapsed))

    def after_batch() -> None:
        nonlocal done
        done += 1
        progress(done)
        if until is not None and time.monotonic() > until:
            model.stop_training = True

    return {"before_batch": before_batch, "after_batch": after_batch}


def _batches(data: Dataset, settings: TrainedStage, seed: int, answers: Array | None) -> Any:
    """Endless batches of inputs, and of labels with the teacher's answers behind them."""
    tf = require("tensorflow", "tf")
    x, y = data.raw("train")
    assert y is not None
    size = min(settings.batch_size, len(x))

    def draw() -> Iterator[Any]:
        epoch, rng = 0, np.random.default_rng(seed)
        while True:
            order, copy = rng.permutation(len(x)), epoch % settings.copies
            changes = settings.changes(data, copy, seed)
            for start in range(0, len(x) - size + 1, size):
                index = np.sort(order[start : start + size])
                labels = np.asarray(y[index], np.float32)
                if answers is not None:
                    labels = np.concatenate([labels.reshape(size, -1), answers[copy, index].reshape(size, -1)], axis=1)
                inputs = data.inputs("train", index)
                yield inputs if changes is None else changes.apply(inputs, index), labels
            epoch += 1

    inputs, labels = next(draw())
    spec = tf.TensorSpec(inputs.shape, inputs.dtype), tf.TensorSpec(labels.shape, tf.float32)
    return tf.data.Dataset.from_generator(draw, output_signature=spec).prefetch(2)


def _check_images(model: Any, data: Dataset) -> None:
    """Raise StageError where mirroring or moving the inputs would make them wrong."""
    y = data.raw("train")[1]
    if y is not None and (y.ndim > 1 or y.dtype.kind == "f"):
        raise StageError("flip and shift change images, but labels that are values may depend on the place; take them out")
    if any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers()):
        raise StageError(f"flip and shift are for images with their channels last; {model.name} takes channels_first")


def _nothing() -> None:
    """Do nothing."""


def hooks(
    model: Any,
    *,
    before_batch: Callable[[], None] = _nothing,
    after_batch: Callable[[], None] = _nothing,
    after_epoch: Callable[[], None] = _nothing,
) -> Any:
    """A callback of the model's own Keras that calls plain functions."""

    class Hooks(keras_models.keras_of(model).callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            before_batch()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            after_batch()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after_epoch()

    return Hooks()

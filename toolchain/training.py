"""Train a Keras model of either kind on a data set: the loss its task asks for, batches from disk, progress, and
batch normalization that settles in a short run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from toolchain import keras_models
from toolchain.data import Dataset, Split
from toolchain.errors import StageError
from toolchain.keras_function import of_keras
from toolchain.optional import require
from toolchain.stage import Context
from toolchain.task import Task, are_probabilities, infer

Loss = Callable[[Any, Any], Any]
Teacher = Callable[[Any], Any]


class Schedule(msgspec.Struct, frozen=True):
    """How long and how fast."""

    epochs: int
    learning_rate: float
    batch_size: int

    def steps_per_epoch(self, data: Dataset) -> int:
        """Whole batches in the training split, at least one; the rest is dropped each epoch, after shuffling."""
        return max(1, data.size("train") // self.batch_size)


def goal(model: Any, data: Dataset) -> tuple[Task, bool]:
    """The task, and whether the model's outputs are probabilities. Raises StageError without labels."""
    labels = data.raw("train")[1]
    if labels is None:
        raise StageError(f"{data.name} has no labels to train with")
    outputs = of_keras(model, model.name, batch=32).predict([data.inputs("train", slice(0, 64))])
    if len(outputs) > 1:
        raise StageError(f"{model.name} has {len(outputs)} outputs; training knows what to do with one")
    return infer(outputs[0], labels), are_probabilities(outputs[0])


def label_loss(task: Task, probabilities: bool) -> Loss:
    """Cross-entropy for classes, mean squared error for values, on `[batch, ...]` labels and outputs."""
    tf = require("tensorflow", "tf")
    as_logits = _as_logits(probabilities)

    def classification(labels: Any, outputs: Any) -> Any:
        logits = as_logits(outputs)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(tf.reshape(labels, [-1]), tf.int32), logits)

    def binary(labels: Any, outputs: Any) -> Any:
        labels, outputs = tf.reshape(tf.cast(labels, tf.float32), [-1]), tf.reshape(outputs, [-1])
        if not probabilities:
            return tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)
        outputs = tf.clip_by_value(outputs, 1e-7, 1 - 1e-7)
        return -labels * tf.math.log(outputs) - (1 - labels) * tf.math.log(1 - outputs)

    def regression(labels: Any, outputs: Any) -> Any:
        return tf.reduce_mean(tf.square(tf.reshape(tf.cast(labels, tf.float32), tf.shape(outputs)) - outputs), axis=-1)

    return {Task.CLASSIFICATION: classification, Task.BINARY: binary, Task.REGRESSION: regression}[task]


def distillation_loss(labelled: Loss, task: Task, probabilities: bool, temperature: float, alpha: float) -> Loss:
    """`alpha * T^2 * H(teacher / T, student / T) + (1 - alpha) * labelled` (Hinton et al. 2015, section 2).

    The teacher's outputs follow the label in each row of the first argument.
    """
    tf = require("tensorflow", "tf")
    as_logits = _as_logits(probabilities)

    def loss(rows: Any, outputs: Any) -> Any:
        labels, taught = rows[:, :1], tf.reshape(rows[:, 1:], tf.shape(outputs))
        if task is not Task.CLASSIFICATION:
            soft = tf.reduce_mean(tf.square(taught - outputs), axis=-1)
        else:
            soft = temperature**2 * tf.nn.softmax_cross_entropy_with_logits(
                tf.nn.softmax(as_logits(taught) / temperature), as_logits(outputs) / temperature
            )
        return alpha * soft + (1 - alpha) * labelled(labels, outputs)

    return loss


def _as_logits(probabilities: bool) -> Teacher:
    """What turns outputs into logits, up to a constant."""
    tf = require("tensorflow", "tf")
    return (lambda outputs: tf.math.log(tf.clip_by_value(outputs, 1e-7, 1.0))) if probabilities else (lambda outputs: outputs)


def fit(
    model: Any,
    context: Context,
    schedule: Schedule,
    loss: Loss,
    label: str,
    *,
    callbacks: tuple[Any, ...] = (),
    teacher: Teacher | None = None,
) -> None:
    """Train `model` in place with Adam and a cosine decay; `teacher` outputs are appended to each row of labels."""
    keras = keras_models.keras_of(model)
    data = context.data
    assert data is not None
    steps = schedule.steps_per_epoch(data) * schedule.epochs
    keras.utils.set_random_seed(context.seed)
    rate = keras.optimizers.schedules.CosineDecay(schedule.learning_rate, steps)
    with short_run_normalization(model, steps):
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
        model.fit(
            _batches(data, "train", schedule.batch_size, context.seed, teacher),
            epochs=schedule.epochs,
            steps_per_epoch=schedule.steps_per_epoch(data),
            callbacks=[*callbacks, _reporter(keras, context, label, steps)],
            verbose=0,
        )
    model.compile()  # a saved model must not ask for this run's loss when it is loaded


@contextlib.contextmanager
def short_run_normalization(model: Any, steps: int) -> Iterator[None]:
    """Lower BatchNormalization's momentum so that its averages span a tenth of the run; restored afterwards.

    The default of 0.99 forgets over hundreds of steps: after a short fine-tune the averages still describe the old
    network and accuracy collapses.
    """
    layers = [layer for layer in model._flatten_layers() if type(layer).__name__ == "BatchNormalization"]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = min(layer.momentum, max(0.5, 1 - 10 / steps))
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def _batches(data: Dataset, split: Split, batch_size: int, seed: int, teacher: Teacher | None) -> Any:
    tf = require("tensorflow", "tf")
    x, y = data.raw(split)
    assert y is not None
    size, rng = min(batch_size, len(x)), np.random.default_rng(seed)

    def draw() -> Iterator[Any]:
        while True:
            order = rng.permutation(len(x))
            for start in range(0, len(x) - size + 1, size):
                index = np.sort(order[start : start + size])
                yield data.inputs(split, index), np.asarray(y[index], np.float32)

    sample = data.inputs(split, slice(0, 1))
    spec = tf.TensorSpec((size, *sample.shape[1:]), sample.dtype), tf.TensorSpec((size, *y.shape[1:]), tf.float32)
    batches = tf.data.Dataset.from_generator(draw, output_signature=spec)
    if teacher is not None:

        def taught(inputs: Any, labels: Any) -> Any:
            return inputs, tf.concat([tf.reshape(labels, [size, -1]), tf.reshape(teacher(inputs), [size, -1])], axis=1)

        batches = batches.map(taught)
    return batches.prefetch(2)


def hooks(model: Any, *, after_batch: Callable[[], None], after_epoch: Callable[[], None]) -> Any:
    """A callback of the model's own Keras that calls plain functions."""

    class Hooks(keras_models.keras_of(model).callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            after_batch()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after_epoch()

    return Hooks()


def _reporter(keras: Any, context: Context, label: str, steps: int) -> Any:
    class Reporter(keras.callbacks.Callback):  # type: ignore[misc]
        """Tell the progress after every batch."""

        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            context.progress(f"{label}: epoch {self.epoch + 1}", self.done, steps)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

    return Reporter()

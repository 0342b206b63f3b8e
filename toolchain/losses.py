"""What training minimizes: the loss of the labels, or that and the distance to a teacher's answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from toolchain.data import Dataset
from toolchain.errors import StageError
from toolchain.keras_function import of_keras
from toolchain.optional import require
from toolchain.task import Task, are_probabilities, infer

Loss = Callable[[Any, Any], Any]


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

    def classification(labels: Any, outputs: Any) -> Any:
        logits = as_logits(outputs, probabilities)
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


def distillation_loss(task: Task, probabilities: bool, temperature: float, alpha: float) -> Loss:
    """`alpha * T^2 * H(teacher / T, student / T) + (1 - alpha) * label_loss` (Hinton et al. 2015, section 2).

    In each row of the first argument the teacher's answer, as wide as the output, follows the label: logits for classes, a
    probability for two classes, values otherwise. The temperature is for classes only.
    """
    tf = require("tensorflow", "tf")
    labelled = label_loss(task, probabilities)

    def loss(rows: Any, outputs: Any) -> Any:
        width = math.prod(outputs.shape[1:])
        labels, taught = rows[:, :-width], tf.reshape(rows[:, -width:], tf.shape(outputs))
        if task is not Task.CLASSIFICATION:
            soft = labelled(taught, outputs)
        else:
            soft = temperature**2 * tf.nn.softmax_cross_entropy_with_logits(
                tf.nn.softmax(taught / temperature), as_logits(outputs, probabilities) / temperature
            )
        return alpha * soft + (1 - alpha) * labelled(labels, outputs)

    return loss


def as_logits(outputs: Any, probabilities: bool) -> Any:
    """Logits up to a constant, from outputs that are probabilities or logits already."""
    tf = require("tensorflow", "tf")
    return tf.math.log(tf.clip_by_value(outputs, 1e-7, 1.0)) if probabilities else outputs

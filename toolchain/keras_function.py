"""A model as a TensorFlow function of fixed shape: what converters take, and what every exported file is compared with.

Converters behave differently on Keras 3, tf_keras and SavedModels; a concrete function with a fixed batch works for all.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toolchain import keras_models
from toolchain.artifact import Format, sniff
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.optional import require
from toolchain.saved_model_safety import check_saved_model


class ModelFunction:
    """A model of one or more inputs, callable on a fixed batch.

    `specs` are the inputs as tf.TensorSpec `[batch, ...]`; `call` maps tensors to a list of output tensors.
    """

    def __init__(self, source: Any, specs: list[Any], call: Any) -> None:
        self.source = source
        self.specs = specs
        self.call = call

    @property
    def weights(self) -> list[Any]:
        """All variables, trainable or not."""
        return list(getattr(self.source, "weights", ()) or getattr(self.source, "variables", ()))

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes without the batch."""
        return [tuple(spec.shape[1:]) for spec in self.specs]

    def synthetic(self, count: int, limits: tuple[float, float], seed: int) -> list[Array]:
        """Uniform random inputs `[count, ...]`: floats within `limits`, small non-negative integers for ids."""
        rng = np.random.default_rng(seed)
        return [
            rng.integers(0, 2, (count, *shape)).astype(spec.dtype.as_numpy_dtype)
            if spec.dtype.is_integer
            else rng.uniform(*limits, (count, *shape)).astype(np.float32)
            for shape, spec in zip(self.input_shapes, self.specs, strict=True)
        ]

    @cached_property
    def concrete(self) -> Any:
        """The tf.function with its fixed batch; it is traced once and follows its variables."""
        tf = require("tensorflow", "tf")
        return tf.function(self.call, input_signature=self.specs)

    def frozen(self) -> Any:
        """The concrete function with its weights as constants.

        The converter takes this 4 times faster than a SavedModel, and cannot lose the weights: from a SavedModel of a
        Keras 3 model it can write a file without them, and an LSTM of tf_keras came out 4e-3 off.
        """
        freeze = require("tensorflow.python.framework.convert_to_constants", "tf").convert_variables_to_constants_v2
        return freeze(self.concrete.get_concrete_function())

    def predict(self, inputs: list[Array]) -> list[Array]:
        """Outputs for `inputs` `[N, ...]`, in float32, computed in the batches of the specs."""
        run = self.concrete
        batch = self.specs[0].shape[0]
        parts = []
        for start in range(0, len(inputs[0]), batch):
            chunk = [np.asarray(x[start : start + batch], spec.dtype.as_numpy_dtype) for x, spec in zip(inputs, self.specs, strict=True)]
            size = len(chunk[0])
            if size < batch:
                chunk = [np.concatenate([x, np.repeat(x[-1:], batch - size, 0)]) for x in chunk]
            parts.append([np.asarray(y, np.float32)[:size] for y in run(*chunk)])
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def open_function(path: Path, *, batch: int = 1, trust: bool = False) -> ModelFunction:
    """Load a Keras file or a SavedModel. Raises ModelError as `keras_models.load`, and for NaN or infinite weights."""
    if sniff(path) == Format.SAVED_MODEL:
        return _saved_model(path, batch, trust)
    return of_keras(keras_models.load(path, trust=trust), path.name, batch)


def of_keras(model: Any, name: str, batch: int = 1) -> ModelFunction:
    """A loaded Keras model as a function. Raises ModelError where a shape is open or a weight is not finite."""
    tf = require("tensorflow", "tf")
    if not getattr(model, "inputs", None):
        raise ModelError(f"{name}: the model has no defined inputs; build it functionally or call it once, then save again")
    check_finite(name, [(weight.name, np.asarray(weight)) for weight in model.weights])
    specs = []
    for index, tensor in enumerate(model.inputs):
        shape = tuple(tensor.shape)[1:]
        if None in shape:
            raise ModelError(
                f"{name}: input {list(shape)} has an open dimension; devices need fixed shapes, rebuild with keras.Input(shape=...)"
            )
        specs.append(tf.TensorSpec((batch, *shape), tf.as_dtype(tensor.dtype), name=f"input_{index}"))

    def call(*inputs: Any) -> list[Any]:
        return list(tf.nest.flatten(model(inputs[0] if len(specs) == 1 else list(inputs), training=False)))

    return ModelFunction(model, specs, call)


def check_finite(name: str, weights: list[tuple[str, Array]]) -> None:
    """Raise ModelError naming the weights that hold NaN or infinity."""
    bad = [key for key, value in weights if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise ModelError(f"{name}: weights with NaN or infinite values: {', '.join(bad[:5])}; train it again with a lower learning rate")


def _saved_model(path: Path, batch: int, trust: bool) -> ModelFunction:
    tf = require("tensorflow", "tf")
    if not trust:
        check_saved_model(path)
    try:
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except Exception as err:  # TensorFlow raises whatever building a damaged graph meets
        raise ModelError(f"{path}: not a SavedModel with a serving_default signature ({str(err)[:200]})") from None
    check_finite(path.name, [(v.name, v.numpy()) for v in getattr(loaded, "variables", ())])
    given = sorted(signature.structured_input_signature[1].items())
    if any(None in spec.shape[1:] for _, spec in given):
        raise ModelError(f"{path}: an input has an open dimension beside the batch; export it with fixed shapes")
    specs = [tf.TensorSpec((batch, *spec.shape[1:]), spec.dtype, name=name) for name, spec in given]

    def call(*inputs: Any) -> list[Any]:
        found = signature(**{name: value for (name, _), value in zip(given, inputs, strict=True)})
        return [found[key] for key in sorted(found)]

    return ModelFunction(loaded, specs, call)

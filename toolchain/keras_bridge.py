"""The one place where a model crosses from Keras 3 to tf_keras, because tensorflow-model-optimization takes only those.

Each layer is rebuilt from its filtered configuration, the calls are replayed on fresh inputs, the weights are copied.
Some functions of one name differ between the two (`hard_sigmoid` by 2.4e-2), so the copy is compared numerically with
the original and a mismatch is refused.
"""

from __future__ import annotations

import inspect
from functools import reduce
from typing import Any

import numpy as np

from toolchain.errors import ModelError
from toolchain.keras_function import of_keras
from toolchain.optional import require

TOLERANCE = 1e-4
"""Largest accepted output difference, relative to the output's scale."""


class Crossing:
    """A tf_keras model that computes what a Keras 3 model does, and the way back for its weights."""

    def __init__(self, original: Any) -> None:
        """Build and compare the copy. Raises ModelError for a layer without counterpart or a difference in outputs."""
        self.original = original
        self._pairs: list[tuple[Any, Any, tuple[str, ...]]] = []
        self.model = self._rebuild(original, ())
        for theirs, ours, _ in self._pairs:
            ours.set_weights(theirs.get_weights())
        self._compare()

    def return_weights(self, trained: Any) -> None:
        """Copy the weights of `trained`, a tf_keras model with the copy's layer names, into the original."""
        for theirs, _, path in self._pairs:
            if theirs.weights:
                theirs.set_weights(reduce(lambda model, name: model.get_layer(name), path, trained).get_weights())

    def _compare(self) -> None:
        source, copy = (of_keras(model, self.original.name, batch=4) for model in (self.original, self.model))
        inputs = source.synthetic(4, (-1.0, 1.0), seed=0)
        for expected, found in zip(source.predict(inputs), copy.predict(inputs), strict=True):
            scale = max(float(np.abs(expected).max()), 1e-6)
            difference = float(np.abs(expected - found).max()) / scale
            if not difference <= TOLERANCE:
                raise ModelError(
                    f"{self.original.name}: its tf_keras copy differs by {difference:.1e} of the output's scale "
                    f"(at most {TOLERANCE:.0e} accepted), so tfmot cannot be used on it"
                )

    def _rebuild(self, model: Any, path: tuple[str, ...]) -> Any:
        keras, tf_keras, tf = require("keras", "tf"), require("tf_keras", "tf"), require("tensorflow", "tf")
        inputs = [tf_keras.Input(tuple(t.shape[1:]), dtype=str(t.dtype), name=t.name) for t in model.inputs]
        values = {id(t): value for t, value in zip(model.inputs, inputs, strict=True)}
        made: dict[int, Any] = {}
        graph = model._functional if isinstance(model, keras.Sequential) else model
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                operation = node.operation
                if isinstance(operation, keras.layers.InputLayer):
                    continue
                if id(operation) not in made:
                    made[id(operation)] = self._counterpart(operation, path)
                args, kwargs = node.arguments.fill_in({id(t): values[id(t)] for t in node.arguments.keras_tensors})
                kwargs = {key: value for key, value in kwargs.items() if value is not None and key != "training"}
                outputs = tf.nest.flatten(made[id(operation)](*args, **kwargs))
                values.update(zip((id(t) for t in node.output_tensors), outputs, strict=True))
        outputs = [values[id(t)] for t in model.outputs]
        return tf_keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs, name=model.name)

    def _counterpart(self, operation: Any, path: tuple[str, ...]) -> Any:
        keras, tf_keras = require("keras", "tf"), require("tf_keras", "tf")
        kind = type(operation).__name__
        if isinstance(operation, keras.Model):
            return self._rebuild(operation, (*path, operation.name))
        if not isinstance(operation, keras.layers.Layer):
            if kind not in _operators():
                raise ModelError(f"keras.ops {kind} has no counterpart in tf_keras, so tfmot cannot be used on this model")
            return _operators()[kind](operation)
        cls = getattr(tf_keras.layers, kind, None)
        if cls is None or not type(operation).__module__.startswith("keras."):
            raise ModelError(f"the layer {operation.name!r} ({kind}) has no counterpart in tf_keras, so tfmot cannot be used on this model")
        layer = cls.from_config(_translated(kind, operation.get_config(), cls))
        self._pairs.append((operation, layer, (*path, layer.name)))
        return layer


def _operators() -> dict[str, Any]:
    """Raw Keras 3 operations that have the same meaning in TensorFlow; each maps the operation to a function."""
    tf = require("tensorflow", "tf")
    return {
        "Add": lambda _: lambda a, b: a + b,
        "Subtract": lambda _: lambda a, b: a - b,
        "Multiply": lambda _: lambda a, b: a * b,
        "TrueDivide": lambda _: lambda a, b: a / b,
        "Relu": lambda _: tf.nn.relu,
        "Relu6": lambda _: tf.nn.relu6,
        "Silu": lambda _: tf.nn.silu,
        "Sigmoid": lambda _: tf.sigmoid,
        "Tanh": lambda _: tf.tanh,
        "Softmax": lambda op: lambda x: tf.nn.softmax(x, axis=op.axis),
        "Reshape": lambda op: lambda x: tf.reshape(x, [-1, *op.newshape[1:]]),
    }


def custom_activations() -> dict[str, Any]:
    """Activations whose name is missing in tf_keras or means another function there."""
    tf = require("tensorflow", "tf")

    def hard_sigmoid(x: Any) -> Any:
        return tf.nn.relu6(x + 3.0) / 6.0

    def hard_silu(x: Any) -> Any:
        return x * hard_sigmoid(x)

    return {"hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "hard_swish": hard_silu, "silu": tf.nn.silu}


def _translated(kind: str, config: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """A Keras 3 layer's configuration in tf_keras' words."""
    config = _plain(config)
    if kind == "LeakyReLU":
        config["alpha"] = config.pop("negative_slope")
    for key in ("activation", "recurrent_activation"):
        if isinstance(config.get(key), str):
            config[key] = custom_activations().get(config[key], config[key])
    if kind == "MultiHeadAttention":
        config |= {"query_shape": None, "key_shape": None, "value_shape": None}
    for key in ("layer", "backward_layer"):
        if isinstance(inner := config.get(key), dict):
            wrapped = getattr(require("tf_keras", "tf").layers, inner["class_name"])
            config[key] = inner | {"config": _translated(inner["class_name"], inner["config"], wrapped)}
    accepted = _parameters(cls)
    return {key: value for key, value in config.items() if key in accepted}


def _plain(value: Any) -> Any:
    """Drop what only Keras 3 writes: dtype policies as objects, axes in initializers, build configurations."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return value["config"]["name"]
        if "class_name" in value and "config" in value:
            config = {k: _plain(v) for k, v in value["config"].items() if k not in ("input_axes", "output_axes")}
            return {"class_name": value["class_name"], "config": config}
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _parameters(cls: type[Any]) -> set[str]:
    """Names that a layer class's constructor takes, through its bases as long as they pass **kwargs on."""
    names = {"name", "trainable", "dtype", "query_shape", "key_shape", "value_shape"}
    for base in cls.__mro__:
        if "__init__" in vars(base):
            given = inspect.signature(vars(base)["__init__"]).parameters.values()
            names |= {p.name for p in given if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
            if not any(p.kind == p.VAR_KEYWORD for p in given):
                break
    return names

"""A model whose weights and activations are rounded to int8 grids while it trains (Jacob et al. 2018, section 3).

tensorflow-model-optimization wraps the layers; what is rounded, and on which grid, is decided here, because its own scheme
rounds other things than the converter does. It leaves the kernel of a convolution in float where a ReLU layer follows (every
folded network has those), gives depthwise and dense kernels one scale for the whole tensor, and starts ranges at [-6, 6],
from where a decay of 0.999 takes thousands of steps to come down.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.nodes import is_model, kind, nodes
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.optional import require
from toolchain.quantization.grid import WEIGHT_LIMIT
from toolchain.quantization.kernels import OUTPUT_AXES
from toolchain.stage import Note

DECAY = 0.99
"""Of the moving average of an activation's range, for each batch (Jacob et al. 2018, section 3.1: close to 1)."""

MOVES = ("*MaxPooling*", "*Dropout*", "ZeroPadding*", "Cropping*", "Flatten", "Reshape", "Permute", "RepeatVector")
"""Layers whose outputs are values that were rounded before."""

COMPUTES = (
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "BatchNormalization"),
    *("ReLU", "LeakyReLU", "ELU", "Activation", "Softmax", "*AveragePooling*", "UpSampling*", "Rescaling"),
)
"""Layers without a kernel whose outputs are rounded."""

FUSES = (*OUTPUT_AXES, "Add", "Subtract", "Multiply", "BatchNormalization")
"""Layers that TFLite computes in one operator with the ReLU behind them."""

FUSED = ("linear", "relu", "relu6")
"""Activations that TFLite computes in one operator with the layer before."""

FIXED = ("softmax", "sigmoid", "tanh")
"""Activations whose outputs have a fixed fine grid in TFLite (1/256 or 1/128): what goes into them is rounded instead."""


class Rounded(msgspec.Struct, frozen=True):
    """What of one layer is rounded."""

    axes: tuple[int, ...] = ()
    """Axes of the kernel that count channels, each of which has a scale; empty: the layer's weights stay as they are."""
    before: bool = False
    """The values that go into the layer's own activation."""
    output: bool = False
    """The values that come out of it."""


def placed(model: Any) -> tuple[dict[str, Rounded], list[Note]]:
    """What is rounded in each layer of a tf_keras model, as the converter will, and a note for each layer left in float."""
    readers: dict[int, list[Any]] = {}
    calls = list(nodes(model))
    for node in calls:
        for tensor in node.inputs:
            readers.setdefault(id(tensor), []).append(node.operation)
    found: dict[str, Rounded] = {}
    notes = []
    for node in calls:
        layer, what = node.operation, kind(node.operation)
        if layer.name in found or _like(what, MOVES):
            continue
        if is_model(layer) or not (what in OUTPUT_AXES or _like(what, COMPUTES)):
            notes.append(Note(layer.name, f"{what}: trains in float, the fake quantization knows no rule for it"))
            continue
        axes = OUTPUT_AXES.get(what, ())
        if axes and not layer.trainable:
            notes.append(Note(layer.name, "frozen: its weights stay as they are, in float"))
            axes = ()
        activation = getattr(getattr(layer, "activation", None), "__name__", "softmax" if what == "Softmax" else "linear")
        followed = all(_absorbs(layer, readers.get(id(tensor), [])) for tensor in node.outputs)
        output = activation not in FIXED and not followed
        found[layer.name] = Rounded(axes, what in OUTPUT_AXES and activation in FIXED, output)
    return found, notes


def _like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _absorbs(layer: Any, readers: list[Any]) -> bool:
    """Whether the converter computes the only reader of a layer's output in the same operator."""
    if len(readers) != 1 or kind(layer) not in FUSES or getattr(getattr(layer, "activation", None), "__name__", "linear") != "linear":
        return False
    reader = readers[0]
    if kind(reader) == "BatchNormalization":
        return kind(layer) in OUTPUT_AXES
    return kind(reader) == "ReLU" or (kind(reader) == "Activation" and reader.activation.__name__ in FUSED)


def fake_quantized(model: Any, *, tied: bool = False) -> tuple[Any, list[Note]]:
    """A copy of a tf_keras model with fake quantization, and a note for each layer left in float.

    With `tied`, weights of a kernel that are equal stay equal. `calibrate` before use. Raises StageError where tfmot refuses.
    """
    tf_keras, quantize = require("tf_keras", "tf"), require("tensorflow_model_optimization", "tf").quantization.keras
    parts = _parts()
    where, notes = placed(model)
    if not any(rounded.axes for rounded in where.values()):
        raise StageError(f"{model.name} has no layer whose weights can be rounded: {', '.join(sorted(Counter(map(kind, model.layers))))}")

    def annotate(layer: Any) -> Any:
        plain = layer.__class__.from_config(layer.get_config())
        if layer.name not in where:
            return plain
        return quantize.quantize_annotate_layer(plain, parts["Config"](tied=tied, **msgspec.to_builtins(where[layer.name])))

    try:
        with tf_keras.utils.custom_object_scope(parts):
            annotated = tf_keras.models.clone_model(model, clone_function=annotate)
            for source, copy in zip(model.layers, annotated.layers, strict=True):
                copy.set_weights(source.get_weights())
            return quantize.quantize_apply(annotated, scheme=parts["Scheme"](), quantized_layer_name_prefix=""), notes
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as err:
        reason = str(err).strip().splitlines()[0][:300] if str(err).strip() else type(err).__name__
        raise StageError(f"tfmot cannot place fake quantization in {model.name}: {reason}") from err


def calibrate(wrapped: Any, inputs: Array, batch: int = 64) -> None:
    """Set the ranges of activations by inputs `[N, ...]`; weights and averages stay as they are."""
    averages = [(w, w.numpy()) for w in wrapped.non_trainable_weights if "moving_" in w.name]
    for start in range(0, len(inputs), batch):
        wrapped(inputs[start : start + batch], training=True)
    for variable, value in averages:
        variable.assign(value)


def return_weights(wrapped: Any, model: Any) -> None:
    """Copy the trained weights, without ranges, into the model that `fake_quantized` started from."""
    for layer in model.layers:
        trained = wrapped.get_layer(layer.name)
        if is_model(layer):
            layer.set_weights(trained.get_weights())
        else:
            named = {_short(weight): weight for weight in trained.weights}
            layer.set_weights([named[_short(weight)].numpy() for weight in layer.weights])


def _short(weight: Any) -> str:
    """A variable's name without those of its layers."""
    return str(weight.name).rpartition("/")[2]


@cache
def _parts() -> dict[str, Any]:
    """Interfaces of tfmot, filled in: a class of tfmot's cannot be named before TensorFlow is loaded."""
    tf, tf_keras = require("tensorflow", "tf"), require("tf_keras", "tf")
    quantize = require("tensorflow_model_optimization", "tf").quantization.keras
    zero = tf_keras.initializers.Constant(0.0)

    class Weights(quantize.quantizers.Quantizer):  # type: ignore[misc, name-defined]
        """Symmetric, one scale for each channel, of the values as they are; gradients pass as if nothing was rounded."""

        def __init__(self, axes: tuple[int, ...], tied: bool) -> None:
            self.axes, self.tied = tuple(axes), tied

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            if not self.tied:
                return {}
            values, cluster = np.unique(getattr(layer.layer, name).numpy(), return_inverse=True)
            return {"cluster": tf.constant(cluster.reshape(tensor_shape), tf.int32), "clusters": len(values)}

        def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
            if self.tied:  # every member of a cluster gets the mean gradient, and so the same update
                inputs = tf.gather(tf.math.unsorted_segment_mean(inputs, weights["cluster"], weights["clusters"]), weights["cluster"])
            rest = [axis for axis in range(len(inputs.shape)) if axis not in self.axes]
            largest = tf.reduce_max(tf.abs(inputs), rest, keepdims=True)
            scale = tf.where(largest > 0, largest / WEIGHT_LIMIT, 1.0)
            return inputs + tf.stop_gradient(tf.round(inputs / scale) * scale - inputs)

        def get_config(self) -> dict[str, Any]:
            return {"axes": self.axes, "tied": self.tied}

    class Range(quantize.quantizers.Quantizer):  # type: ignore[misc, name-defined]
        """Asymmetric int8 on a moving average of the batches' ranges, widened to hold zero; the first batch sets it."""

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            return {end: layer.add_weight(f"{name}_{end}", initializer=zero, trainable=False) for end in ("low", "high")}

        def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
            low, high = weights["low"], weights["high"]
            if training:
                share = tf.where(tf.equal(low, high), 1.0, 1 - DECAY)
                low = low.assign_add(share * (tf.minimum(tf.reduce_min(inputs), 0.0) - low))
                high = high.assign_add(share * (tf.maximum(tf.reduce_max(inputs), 0.0) - high))
            return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

        def get_config(self) -> dict[str, Any]:
            return {}

    class Config(quantize.QuantizeConfig):  # type: ignore[misc, name-defined]
        def __init__(self, axes: tuple[int, ...], before: bool, output: bool, tied: bool) -> None:
            self.axes, self.before, self.output, self.tied = axes, before, output, tied

        def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
            return [(getattr(layer, _kernel(layer)), Weights(self.axes, self.tied))] if self.axes else []

        def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
            for weight in quantize_weights:
                setattr(layer, _kernel(layer), weight)

        def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
            return [(layer.activation, Range())] if self.before else []

        def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
            for activation in quantize_activations:
                layer.activation = activation

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            return [Range()] if self.output else []

        def get_config(self) -> dict[str, Any]:
            return {"axes": self.axes, "before": self.before, "output": self.output, "tied": self.tied}

    class Inputs(quantize.QuantizeLayoutTransform):  # type: ignore[misc, name-defined]
        """Of tfmot's changes to the graph only that which rounds the model's inputs."""

        def apply(self, model: Any, layer_quantize_map: Any) -> Any:
            transform = quantize.default_8bit.default_8bit_transforms.InputLayerQuantize()
            names = set(layer_quantize_map)
            return quantize.graph_transformations.model_transformer.ModelTransformer(
                model, [transform], names, layer_quantize_map
            ).transform()

    class Registry:
        """Knows no layer, so that what carries no annotation stays in float."""

        def supports(self, layer: Any) -> bool:
            return False

    class Scheme(quantize.QuantizeScheme):  # type: ignore[misc, name-defined]
        def get_layout_transformer(self) -> Any:
            return Inputs()

        def get_quantize_registry(self) -> Any:
            return Registry()

    return {"Config": Config, "Scheme": Scheme}


def _kernel(layer: Any) -> str:
    return "depthwise_kernel" if kind(layer).startswith("Depthwise") else "kernel"

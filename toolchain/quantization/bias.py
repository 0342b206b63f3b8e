"""Rounded weights shift a channel's mean output; a bias, stored in 32 bits, takes the shift back.

Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias Correction, section 4.2 and appendices C and D.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolchain.channels.nodes import Node, kind, nodes
from toolchain.data import Array
from toolchain.optional import require
from toolchain.quantization.grid import Affine, Granularity, nearest_weights
from toolchain.quantization.kernels import Kernel
from toolchain.quantization.replay import Batches, Visit, replay, visited
from toolchain.stage import Note

Shifts = dict[str, Array]
"""What was taken from each channel `[C]`, by the name of the layer."""

_KEEPS_THE_MEAN = frozenset(
    ["Dropout", "SpatialDropout1D", "SpatialDropout2D", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
     "GlobalAveragePooling2D", "ZeroPadding1D", "ZeroPadding2D", "UpSampling1D", "UpSampling2D"]
)  # fmt: skip
"""Layers behind which a channel's mean is what it was before; zero padding nearly."""


def correct_empirical(
    model: Any, twin: Any, inputs: Array, *, activations: bool, granularity: Granularity = "per_channel"
) -> tuple[Shifts, tuple[Note, ...]]:
    """Correct the twin, a copy of the model, so that each channel's mean over inputs `[N, ...]` is as in the float model.

    Layer after layer, with the layers before rounded and corrected (appendix D); with `activations` also the tensors
    between are rounded to int8, over the ranges they take. The twin's weights stay float.
    """
    shifts: Shifts = {}
    notes: list[Note] = []
    weights: list[tuple[Kernel, Array]] = []

    def visit(seen: Visit) -> None:
        weights.append((seen.kernel, seen.kernel.rows))
        seen.kernel.assign(nearest_weights(seen.kernel.rows, granularity=granularity))
        shift = seen.means([a - b for a, b in zip(seen.sums_of_twin(), seen.sums, strict=True)])
        _take(seen.kernel, seen.consumers, shift, shifts, notes)

    replay(model, twin, inputs, visit, _to_int8 if activations else None)
    for kernel, rows in weights:
        kernel.assign(rows)
    return shifts, (*visited(twin)[1], *notes)


def correct_analytic(model: Any) -> tuple[Shifts, tuple[Note, ...]]:
    """Correct a model without data: a layer's mean input follows from the BatchNormalization before it (section 4.2.1).

    The shift of a layer's sums is the error of its weights times the mean of its inputs (eq. 15). BatchNormalization must not
    be folded yet; rounding with a scale for each row commutes with the factors of the one behind the layer.
    """
    found, passed = visited(model)
    calls = list(nodes(model))
    shifts: Shifts = {}
    notes = list(passed)
    for node in calls:
        if kernel := found.get(node.operation.name):
            mean = _mean_of(node.inputs[0], calls)
            if mean is None:
                notes.append(Note(kernel.layer.name, "no BatchNormalization tells the mean of its inputs: not corrected"))
                continue
            consumers = tuple(other for other in calls if any(t is node.outputs[0] for t in other.inputs))
            error = nearest_weights(kernel.rows) - kernel.rows
            _take(kernel, consumers, shift_of(kernel, error, mean), shifts, notes)
    return shifts, tuple(notes)


def shift_of(kernel: Kernel, error: Array, mean: Array) -> Array:
    """What weights that are off by `error` `[C, n]` add to the mean of each output `[C]`, for inputs of mean `[I]` (eq. 15)."""
    layer, channels = kernel.layer, kernel.channels
    if "Depthwise" in kind(layer):
        return np.asarray(error.sum(1) * np.repeat(mean, channels // len(mean)))
    groups = getattr(layer, "groups", 1)
    arriving = np.repeat(mean.reshape(groups, -1), channels // groups, axis=0)
    shift = (error.reshape(channels, -1, arriving.shape[1]).sum(1) * arriving).sum(1)
    return np.asarray(shift / math.prod(layer.strides) if "Transpose" in kind(layer) else shift)


def clipped_normal_mean(mean: Array, deviation: Array, low: float, high: float = math.inf) -> Array:
    """Mean of normal variables that are clipped to [low, high] (appendix C, eq. 32)."""
    deviation = np.maximum(deviation, 1e-12)
    a, b = (low - mean) / deviation, (high - mean) / deviation
    below, above = ((1 + np.vectorize(math.erf)(limit / math.sqrt(2))) / 2 for limit in (a, b))
    density_a, density_b = (np.exp(-(limit**2) / 2) / math.sqrt(2 * math.pi) for limit in (a, b))
    inside = mean * (above - below) + deviation * (density_a - density_b)
    edges = (low * below if math.isfinite(low) else 0.0) + (high * (1 - above) if math.isfinite(high) else 0.0)
    return np.asarray(inside + edges)


def _mean_of(tensor: Any, calls: list[Node]) -> Array | None:
    """Mean of each channel `[I]` of a tensor, where a BatchNormalization and at most one activation made it."""
    producer = next((node for node in calls if any(t is tensor for t in node.outputs)), None)
    if producer is None:
        return None
    layer, limits = producer.operation, _limits(producer.operation)
    if kind(layer) == "BatchNormalization":
        return _normal(layer)[0]
    if limits is not None:
        before = next((node for node in calls if any(t is producer.inputs[0] for t in node.outputs)), None)
        if before is None or kind(before.operation) != "BatchNormalization":
            return None
        return clipped_normal_mean(*_normal(before.operation), *limits)
    if kind(layer) == "Flatten" and (mean := _mean_of(producer.inputs[0], calls)) is not None:
        return np.tile(mean, tensor.shape[-1] // len(mean)) if layer.data_format == "channels_last" else None
    return _mean_of(producer.inputs[0], calls) if kind(layer) in _KEEPS_THE_MEAN else None


def _normal(layer: Any) -> tuple[Array, Array]:
    """Mean and standard deviation `[C]` of what a BatchNormalization makes: its beta and gamma."""
    width = len(np.asarray(layer.moving_mean))
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros(width)
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones(width)
    return beta, np.abs(gamma)


def _limits(layer: Any) -> tuple[float, float] | None:
    """Where an activation clips; None for layers that do something else."""
    if kind(layer) == "ReLU" and not layer.negative_slope and not layer.threshold:
        return 0.0, math.inf if layer.max_value is None else float(layer.max_value)
    name = getattr(getattr(layer, "activation", None), "__name__", "") if kind(layer) == "Activation" else ""
    return {"linear": (-math.inf, math.inf), "relu": (0.0, math.inf), "relu6": (0.0, 6.0)}.get(name)


def _take(kernel: Kernel, consumers: tuple[Node, ...], shift: Array, shifts: Shifts, notes: list[Note]) -> None:
    """Take a shift `[C]` from the layer's bias, or from the mean that the BatchNormalization behind it subtracts."""
    layer, bias = kernel.layer, kernel.bias
    if bias is not None:
        kernel.assign(kernel.rows, np.asarray(bias - shift, np.float32))
    elif len(consumers) == 1 and kind(consumers[0].operation) == "BatchNormalization":
        average = consumers[0].operation.moving_mean
        average.assign(np.asarray(np.asarray(average) + shift, np.float32))
    else:
        notes.append(Note(layer.name, "has no bias and no BatchNormalization behind it: not corrected"))
        return
    shifts[layer.name] = shift


def _to_int8(values: Batches) -> Batches:
    """A tensor rounded to the int8 grid of its range; whole numbers, such as token ids, stay."""
    if not values[0].dtype.is_floating:
        return values
    grid = Affine.of_range(min(float(np.min(x)) for x in values), max(float(np.max(x)) for x in values))
    tf = require("tensorflow", "tf")
    return [tf.constant(grid.nearest(np.asarray(x))) for x in values]

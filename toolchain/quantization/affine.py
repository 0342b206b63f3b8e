"""An affine map of channels, `factor * x + offset`, moved into the weights of the linear layer before or after it.

Folding normalizations, scaling channels and moving biases are all this one step. It is computed in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolchain.channels.nodes import kind
from toolchain.data import Array
from toolchain.quantization.kernels import OUTPUT_AXES

SEPARABLE = frozenset(["SeparableConv1D", "SeparableConv2D"])
LINEAR = frozenset(OUTPUT_AXES) | SEPARABLE
"""Layers that multiply with a kernel, add a bias, and know an output channel from an input channel."""


def is_linear(operation: Any) -> bool:
    """Whether an operation is one of Keras' own layers with kernel and bias, whatever activation it has."""
    return kind(operation) in LINEAR and type(operation).__module__.partition(".")[0] in ("keras", "tf_keras")


def pads(layer: Any) -> bool:
    """Whether some of the layer's outputs see fewer inputs than others: zero padding, or the border of a transposed convolution."""
    if "Transpose" in kind(layer):
        return True
    return getattr(layer, "padding", "valid") != "valid" and max(layer.kernel_size) > 1


def weights_of(layer: Any) -> list[Array]:
    """The layer's kernels and its bias in float64; a bias of zeros where it has none."""
    weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
    if not layer.use_bias:
        channels = (
            weights[-1].shape[-1] if kind(layer) in SEPARABLE else math.prod(weights[0].shape[axis] for axis in OUTPUT_AXES[kind(layer)])
        )
        weights.append(np.zeros(channels))
    return weights


def after(layer: Any, weights: list[Array], factor: Array, offset: Array) -> list[Array]:
    """Weights with which the layer computes `factor * layer(x) + offset`, for `factor` and `offset` `[output channels]`.

    An activation of the layer's own is not looked at.
    """
    *kernels, bias = weights
    kernel = kernels[-1]
    axes = (kernel.ndim - 1,) if kind(layer) in SEPARABLE else OUTPUT_AXES[kind(layer)]
    shape = [size if axis in axes else 1 for axis, size in enumerate(kernel.shape)]
    return [*kernels[:-1], kernel * factor.reshape(shape), factor * bias + offset]


def before(layer: Any, weights: list[Array], factor: Array, offset: Array) -> list[Array]:
    """Weights with which the layer computes `layer(factor * x + offset)`, for `factor` and `offset` `[input channels]`.

    Exact at every position that sees no padding, see `pads`; anywhere where `offset` is zero.
    """
    *kernels, bias = weights
    kernel = kernels[0]
    window = tuple(range(kernel.ndim - 2))
    if kind(layer).startswith("Depthwise") or kind(layer) in SEPARABLE:  # [*window, in, multiplier]
        added = (kernel * offset[:, None]).sum(window).ravel()
        if kind(layer) in SEPARABLE:
            added = added @ kernels[1].reshape(kernels[1].shape[-2:])
        return [kernel * factor[:, None], *kernels[1:], bias + added]
    if "Transpose" in kind(layer):  # [*window, filters, in]
        return [kernel * factor, bias + (kernel * offset).sum((*window, kernel.ndim - 1))]
    groups = getattr(layer, "groups", 1)  # [*window, in / groups, filters], the filters of a group side by side

    def placed(values: Array) -> Array:
        return np.repeat(values.reshape(groups, -1).T, kernel.shape[-1] // groups, axis=1)

    return [kernel * placed(factor), bias + (kernel * placed(offset)).sum(tuple(range(kernel.ndim - 1)))]

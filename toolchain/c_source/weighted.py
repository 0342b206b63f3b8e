"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: what multiplies with trained weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.c_source.arithmetic import Scale, fixed_point, limits, scale_of, zero_of
from toolchain.c_source.calls import Builder, Call, Constant, Scratch, Settings, Use, scales
from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, Tensor

COLUMNS = 4
"""SCT_COLUMNS in sct_kernels.h."""


def window(x: Tensor, y: Tensor, kernel: tuple[int, int], options: dict[str, Any]) -> Settings:
    """How a window slides: `sct_window`, with the padding of ComputePaddingHeightWidth (kernels/padding.h)."""
    (_, in_height, in_width, in_channels), (_, out_height, out_width, out_channels) = x.shape, y.shape
    strides = options["strideH"], options["strideW"]
    dilations = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
    pads = [
        max(0, (out - 1) * stride + (size - 1) * dilation + 1 - length) // 2
        for out, stride, size, dilation, length in zip(
            (out_height, out_width), strides, kernel, dilations, (in_height, in_width), strict=True
        )
    ]
    minimum, maximum = limits(y, options["fusedActivationFunction"])
    return Settings(
        "sct_window",
        {
            "in_height": in_height, "in_width": in_width, "in_channels": in_channels,
            "out_height": out_height, "out_width": out_width, "out_channels": out_channels,
            "kernel_height": kernel[0], "kernel_width": kernel[1],
            "stride_height": strides[0], "stride_width": strides[1],
            "dilation_height": dilations[0], "dilation_width": dilations[1],
            "pad_top": pads[0], "pad_left": pads[1],
            "in_zero": zero_of(x), "out_zero": zero_of(y), "minimum": minimum, "maximum": maximum,
        },
    )  # fmt: skip


def conv(graph: Graph, op: Operator) -> list[Call]:
    """A convolution; groups are refused."""
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    if filters.shape[3] != x.shape[3]:
        raise ModelError("groups")
    slide = window(x, y, (filters.shape[1], filters.shape[2]), op.options)
    weights = graph.value(filters.index)
    patch = COLUMNS * weights[0].size
    arguments = _weights(graph, op, weights.reshape(len(weights), -1))
    return [Call("conv", (slide, Use(x.index), *arguments, Use(y.index), Scratch(patch)))]


def depthwise(graph: Graph, op: Operator) -> list[Call]:
    """A depthwise convolution with any multiplier."""
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    slide = window(x, y, (filters.shape[1], filters.shape[2]), op.options)
    weights = graph.value(filters.index)
    channels = weights.reshape(-1, weights.shape[3]).T
    filters_, bias, factors = _weights(graph, op, channels)
    stored = Constant(filters_.label, filters_.type, weights)
    patch = filters.shape[1] * filters.shape[2] * x.shape[3]
    return [Call("depthwise", (slide, Use(x.index), stored, bias, factors, Use(y.index), Scratch(patch)))]


def dense(graph: Graph, op: Operator) -> list[Call]:
    """A fully connected layer over the last axis."""
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    outputs, inputs = filters.shape
    minimum, maximum = limits(y, op.options["fusedActivationFunction"])
    shape = Settings(
        "sct_dense_shape",
        {
            "rows": x.elements // inputs, "in_features": inputs, "out_features": outputs,
            "out_zero": zero_of(y), "minimum": minimum, "maximum": maximum,
        },
    )  # fmt: skip
    return [Call("dense", (shape, Use(x.index), *_weights(graph, op, graph.value(filters.index)), Use(y.index)))]


def _weights(graph: Graph, op: Operator, channels: Array) -> tuple[Constant, Constant, Constant]:
    """Filters `[channels, inputs]`, biases that take the input's zero point, and factors.

    Raises ModelError where an accumulator could leave 32 bits on its way through the kernels.
    """
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    if filters.dtype != "INT8" or any(filters.zero_point):
        raise ModelError(f"weights of type {filters.dtype} with zero points {sorted(set(filters.zero_point))}")
    given = graph.value(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else np.zeros(len(channels), np.int32)
    wide = channels.astype(np.int64)
    bias = given.astype(np.int64) - zero_of(x) * wide.sum(axis=1)
    per_channel = filters.scale if len(filters.scale) == len(channels) else filters.scale * len(channels)
    factors = [fixed_point(scale_of(x) * scale / scale_of(y)) for scale in per_channel]
    largest = np.abs(bias) + 128 * np.abs(wide).sum(axis=1)
    for channel, (bound, factor) in enumerate(zip(largest.tolist(), factors, strict=True)):
        if not _stays_in_32_bits(bound, factor):
            raise ModelError(f"channel {channel} of {filters.name!r} can reach sums of {bound:,}, beyond the kernels' 32 bits")
    return Constant("filters", "int8_t", channels), Constant("bias", "int32_t", bias), scales(factors)


def _stays_in_32_bits(bound: int, factor: Scale) -> bool:
    raised = bound << factor.left
    return raised < 2**31 and raised * factor.multiplier // 2**31 + (1 << factor.right >> 1) < 2**31


BUILDERS: dict[str, Builder] = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense}

"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: what multiplies with trained weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from toolchain.c_source.arithmetic import ACCUMULATORS, FineScale, Scale, fine_point, fixed_point, limits, requantized, requantized_once
from toolchain.c_source.calls import Builder, Call, Constant, Scratch, Settings, Use, scales
from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, Tensor, scale_of, zero_of

Factor = TypeVar("Factor", Scale, FineScale)

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
    one_pixel = x.elements == x.shape[3] and y.elements == y.shape[3]
    widened = COLUMNS * 2 * -(-weights[0].size // 4) * 4  # the DSP extension's halfwords, and behind them a patch
    arguments = _weights(graph, op, weights.reshape(len(weights), -1), fixed_point, requantized)
    scratch = Scratch(1 if one_pixel else widened + weights[0].size)  # of one pixel nothing is gathered
    return [Call("conv", (slide, Use(x.index), *arguments, Use(y.index), scratch))]


def depthwise(graph: Graph, op: Operator) -> list[Call]:
    """A depthwise convolution with any multiplier."""
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    slide = window(x, y, (filters.shape[1], filters.shape[2]), op.options)
    weights = graph.value(filters.index)
    channels = weights.reshape(-1, weights.shape[3]).T
    kept, bias, factors = _weights(graph, op, channels, fixed_point, requantized)
    stored = Constant(kept.label, kept.type, kept.values.T.reshape(weights.shape))
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
    arguments = _weights(graph, op, graph.value(filters.index), fine_point, requantized_once)
    return [Call("dense", (shape, Use(x.index), *arguments, Use(y.index)))]


def _weights(
    graph: Graph, op: Operator, channels: Array, factor: Callable[[float], Factor], requantize: Callable[[int, Factor], int]
) -> tuple[Constant, Constant, Constant]:
    """Filters `[channels, inputs]`, biases that take the input's zero point, and factors.

    Converters give dead channels biases of 2^30: such a channel, whose answer is the same for every input, is stored as that
    answer. Raises ModelError where the sum of another channel could leave the kernels' range on its way.
    """
    x, filters, y = (graph.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    if filters.dtype != "INT8" or any(filters.zero_point):
        raise ModelError(f"weights of type {filters.dtype} with zero points {sorted(set(filters.zero_point))}")
    given = graph.value(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else np.zeros(len(channels), np.int32)
    wide = channels.astype(np.int64)
    bias = given.astype(np.int64) - zero_of(x) * wide.sum(axis=1)
    per_channel = filters.scale if len(filters.scale) == len(channels) else filters.scale * len(channels)
    factors = [factor(scale_of(x) * scale / scale_of(y)) for scale in per_channel]
    spread = 128 * np.abs(wide).sum(axis=1)
    kept, (minimum, maximum) = channels.copy(), limits(y, op.options["fusedActivationFunction"])
    for channel, (center, reach) in enumerate(zip(bias.tolist(), spread.tolist(), strict=True)):
        if abs(center) + reach << factors[channel].left < ACCUMULATORS:
            continue
        ends = (requantize(total, factors[channel]) + zero_of(y) for total in (center - reach, center + reach))
        lowest, highest = (min(max(end, minimum), maximum) for end in ends)
        if lowest != highest:
            raise ModelError(f"channel {channel} of {filters.name!r} can reach sums of {abs(center) + reach:,}, beyond the kernels' range")
        kept[channel], bias[channel], factors[channel] = 0, lowest - zero_of(y), factor(1.0)
    return Constant("filters", "int8_t", kept), Constant("bias", "int32_t", bias), scales(factors)


BUILDERS: dict[str, Builder] = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense}

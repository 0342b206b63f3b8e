"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED as QLinearConv.

onnxruntime's kernel and XNNPACK's both add in int32, multiply the sum by the float32 number x * w / y, and round halves to even.
Float operators between quantizers say the same only where the optimizer fuses them, which on x86 it often does not for int8.
"""

from __future__ import annotations

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.quantization.onnx_integer.writer import SHIFT, Translate, Writer
from toolchain.tflite_file import Operator, Tensor


def conv(writer: Writer, op: Operator) -> None:
    """A convolution, grouped or not. Filters `[out, h, w, in]`."""
    filters = writer.value(op.inputs[1])
    _convolution(writer, op, filters.transpose(0, 3, 1, 2), writer.tensor(op.inputs[0]).shape[3] // filters.shape[3])


def depthwise(writer: Writer, op: Operator) -> None:
    """A depthwise convolution with any multiplier. Filters `[1, h, w, out]`."""
    filters = writer.value(op.inputs[1])
    _convolution(writer, op, filters.transpose(3, 0, 1, 2), writer.tensor(op.inputs[0]).shape[3])


def _convolution(writer: Writer, op: Operator, filters: Array, groups: int) -> None:
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    strides, dilations = window_steps(op)
    made = writer.node(
        "QLinearConv",
        *_operands(writer, op, writer.read(x.index, first=True), filters),
        group=groups,
        kernel_shape=filters.shape[2:],
        strides=strides,
        dilations=dilations,
        pads=pads(x, y, filters.shape[2:], strides, dilations),
    )
    writer.write(op, writer.clipped(made, y, op.options["fusedActivationFunction"]), first=True)


def dense(writer: Writer, op: Operator) -> None:
    """A fully connected layer over the last axis, as a convolution of rows with one pixel. Weights `[out, in]`."""
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    filters = writer.value(op.inputs[1])[:, :, None, None]
    rows = reshaped(writer, writer.read(x.index), (x.elements // filters.shape[1], filters.shape[1], 1, 1))
    made = writer.node("QLinearConv", *_operands(writer, op, rows, filters), kernel_shape=(1, 1))
    writer.write(op, reshaped(writer, writer.clipped(made, y, op.options["fusedActivationFunction"]), y.shape))


def _operands(writer: Writer, op: Operator, x: str, filters: Array) -> list[str]:
    """The inputs of QLinearConv: image, filters `[out, in, h, w]` and result, each with its scale and zero point, and the bias."""
    image, weights, y = (writer.tensor(index) for index in (*op.inputs[:2], op.outputs[0]))
    if weights.dtype != "UINT8" or any(zero != SHIFT for zero in weights.zero_point):
        raise ModelError(f"weights {weights.name!r} that are not symmetric int8")
    channels = len(filters)
    per_channel = weights.scale if len(weights.scale) == channels else weights.scale * channels
    grid = writer.constant(np.array(per_channel, np.float32)), writer.constant(np.full(channels, SHIFT, np.uint8))
    bias = writer.value(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else np.zeros(channels, np.int32)
    return [x, *writer.grid(image), writer.constant(filters), *grid, *writer.grid(y), writer.constant(bias)]


def reshaped(writer: Writer, name: str, shape: tuple[int, ...]) -> str:
    """The same values in another shape."""
    return writer.node("Reshape", name, writer.constant(np.array(shape, np.int64)))


def window_steps(op: Operator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Strides and dilations, height first."""
    options = op.options
    return (options["strideH"], options["strideW"]), (options.get("dilationHFactor", 1), options.get("dilationWFactor", 1))


def pads(x: Tensor, y: Tensor, kernel: tuple[int, ...], strides: tuple[int, int], dilations: tuple[int, int]) -> list[int]:
    """What SAME adds around an image: top, left, bottom, right (ComputePaddingHeightWidth in tensorflow/lite/kernels/padding.h)."""
    totals = [
        max(0, (out - 1) * stride + (size - 1) * dilation + 1 - length)
        for out, stride, size, dilation, length in zip(y.shape[1:3], strides, kernel, dilations, x.shape[1:3], strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


TRANSLATIONS: dict[str, Translate] = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "FULLY_CONNECTED": dense}

"""Pooling, means, resizing and softmax, in the arithmetic of the kernels that LiteRT runs."""

from __future__ import annotations

import math

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.quantization.onnx_integer.elementwise import DOUBLE, FLOAT, INT32, stored
from toolchain.quantization.onnx_integer.weighted import pads, window_steps
from toolchain.quantization.onnx_integer.writer import SHIFT, Translate, Writer
from toolchain.tflite_file import Operator, Tensor, scale_of, zero_of

FRACTION_BITS = 11
"""Bits of a share between two pixels (XNNPACK: xnn_indirection_init_resize_bilinear2d_hwc_q11)."""


def maximum(writer: Writer, op: Operator) -> None:
    """MAX_POOL_2D on stored values."""
    x, y = _pooled(writer, op)
    kernel, (strides, steps) = (op.options["filterHeight"], op.options["filterWidth"]), window_steps(op)
    around = pads(x, y, kernel, strides, steps)
    made = writer.node("MaxPool", writer.read(x.index, first=True), kernel_shape=kernel, strides=strides, pads=around)
    writer.write(op, writer.clipped(made, y, op.options["fusedActivationFunction"]), first=True)


def average(writer: Writer, op: Operator) -> None:
    """AVERAGE_POOL_2D: the sum of whole numbers over how many there are, halves away from zero."""
    x, y = _pooled(writer, op)
    kernel, (strides, steps) = (op.options["filterHeight"], op.options["filterWidth"]), window_steps(op)
    around = pads(x, y, kernel, strides, steps)
    wide = writer.steps(writer.read(x.index, first=True), SHIFT)
    mean = writer.node("AveragePool", wide, kernel_shape=kernel, strides=strides, pads=around)
    counts = np.lib.stride_tricks.sliding_window_view(np.pad(np.ones(x.shape[1:3]), np.reshape(around, (2, 2)).T), kernel)
    counted = np.float32(counts[:: strides[0], :: strides[1]].sum(axis=(2, 3)))
    total = writer.node("Round", writer.node("Mul", mean, writer.constant(counted)))
    exact = writer.node("Div", total, writer.constant(counted))
    half = writer.node("Mul", writer.node("Sign", exact), writer.constant(np.float32(0.5)))
    away = writer.node("Cast", writer.node("Add", exact, half), to=INT32)
    away = stored(writer, writer.node("Add", away, writer.constant(np.int32(SHIFT))))
    writer.write(op, writer.clipped(away, y, op.options["fusedActivationFunction"]), first=True)


def _pooled(writer: Writer, op: Operator) -> tuple[Tensor, Tensor]:
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    if (x.scale, x.zero_point) != (y.scale, y.zero_point):
        raise ModelError("input and output of different scale")
    return x, y


def mean(writer: Writer, op: Operator) -> None:
    """MEAN: the int32 sum of the int8 values, times a factor, plus a bias that holds both zero points; halves go to even.

    The formula is XNNPACK's (src/operators/reduce-nd.c: reshape_reduce_nd). Its source leaves open whether a compiler fuses the
    products with their sums; LiteRT 2.3 on x86-64 rounds each to float32 by itself, so this does too.
    """
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    axes = _axes(writer, op, x)
    if len(axes) > 1 and axes[-1] == len(x.shape) - 1:
        raise ModelError(f"a mean over axes {axes}: the last one together with others")
    count = math.prod(x.shape[axis] for axis in axes)
    factor = np.float32(scale_of(x)) / np.float32(scale_of(y)) * (np.float32(1) / np.float32(count))
    bias = np.float32(zero_of(y) - SHIFT) - np.float32(count * (zero_of(x) - SHIFT)) * factor
    wide = writer.node("Cast", writer.read(x.index), to=INT32)
    total = writer.node("ReduceSum", wide, writer.constant(np.array(axes)), keepdims=int(op.options["keepDims"]))
    signed = writer.node("Cast", writer.node("Sub", total, writer.constant(np.int32(count * SHIFT))), to=FLOAT)
    scaled = writer.node("Add", writer.node("Mul", signed, writer.constant(factor)), writer.constant(bias))
    writer.write(op, writer.node("QuantizeLinear", scaled, writer.constant(np.float32(1)), writer.constant(np.uint8(SHIFT))))


def largest(writer: Writer, op: Operator) -> None:
    """REDUCE_MAX on stored values."""
    x = writer.tensor(op.inputs[0])
    writer.write(op, writer.largest(writer.read(x.index), _axes(writer, op, x), keep=bool(op.options["keepDims"])))


def _axes(writer: Writer, op: Operator, x: Tensor) -> list[int]:
    return sorted({int(axis) % len(x.shape) for axis in np.atleast_1d(writer.value(op.inputs[1]))})


def bilinear(writer: Writer, op: Operator) -> None:
    """RESIZE_BILINEAR: two products with matrices of shares, rounded once, halves upwards."""
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    align, half = bool(op.options["alignCorners"]), bool(op.options["halfPixelCenters"])
    rows, columns = (shares(x.shape[axis], y.shape[axis], align, half) for axis in (1, 2))
    wide = writer.node("Cast", writer.read(x.index, first=True), to=DOUBLE)
    mixed = writer.node("MatMul", writer.node("MatMul", writer.constant(rows), wide), writer.constant(columns.T))
    whole = writer.node("Floor", writer.node("Add", mixed, writer.constant(np.float64(0.5))))
    writer.write(op, stored(writer, whole), first=True)


def shares(size: int, wanted: int, align: bool, half: bool) -> Array:
    """`[wanted, size]`: how much of every line each new one takes, in steps of 1/2048."""
    scale = np.float32(size - 1) / np.float32(wanted - 1) if align and wanted > 1 else np.float32(size) / np.float32(wanted)
    places = np.arange(wanted, dtype=np.float32)
    places = (places + np.float32(0.5)) * scale - np.float32(0.5) if half else places * scale
    places = np.clip(places, 0, np.float32(size - 1))
    lower = places.astype(int)
    parts = np.rint((places - lower.astype(np.float32)) * 2**FRACTION_BITS) / 2**FRACTION_BITS
    found = np.zeros((wanted, size))
    np.add.at(found, (np.arange(wanted), lower), 1 - parts)
    np.add.at(found, (np.arange(wanted), np.minimum(lower + 1, size - 1)), parts)
    return found


def nearest(writer: Writer, op: Operator) -> None:
    """RESIZE_NEAREST_NEIGHBOR: lines taken by their number, chosen in float32 (reference_ops: GetNearestNeighbor)."""
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    align, half = bool(op.options["alignCorners"]), bool(op.options["halfPixelCenters"])
    first = writer.prefers_first(op)
    made = writer.read(x.index, first=first)
    for axis in (1, 2):
        size, wanted = x.shape[axis], y.shape[axis]
        scale = np.float32(size - 1) / np.float32(wanted - 1) if align and wanted > 1 else np.float32(size) / np.float32(wanted)
        places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
        lines = np.clip(np.floor(places + np.float32(0.5)) if align else np.floor(places), 0, size - 1).astype(np.int64)
        made = writer.node("Gather", made, writer.constant(lines), axis=axis + first)
    writer.write(op, made, first=first)


def softmax(writer: Writer, op: Operator) -> None:
    """SOFTMAX over the last axis with a table of float32 exponentials (optimized_ops.h: Softmax, PopulateSoftmaxLookupTable).

    The running sum adds in the kernel's order.
    """
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    last = len(x.shape) - 1
    below = np.arange(256, dtype=np.float32)
    step = np.float32(-np.float32(scale_of(x)) * np.float32(op.options["beta"]))
    table = writer.constant(np.exp((step * below).astype(np.float64)).astype(np.float32))
    wide = writer.node("Cast", writer.read(x.index), to=INT32)
    top = writer.largest(wide, [last], keep=True)
    powers = writer.node("Gather", table, writer.node("Sub", top, wide))
    sums = writer.node("CumSum", powers, writer.constant(np.int64(last)))
    total = writer.node("Gather", sums, writer.constant(np.array([x.shape[-1] - 1])), axis=last)
    inverse = writer.node("Div", writer.constant(np.float32(1)), writer.node("Mul", total, writer.constant(np.float32(scale_of(y)))))
    share = writer.node("Cast", writer.node("Mul", powers, inverse), to=DOUBLE)
    whole = writer.node("Floor", writer.node("Add", share, writer.constant(np.float64(0.5))))
    writer.write(op, writer.from_steps(writer.node("Cast", whole, to=FLOAT), y))


TRANSLATIONS: dict[str, Translate] = {
    "MAX_POOL_2D": maximum, "AVERAGE_POOL_2D": average, "MEAN": mean, "REDUCE_MAX": largest, "RESIZE_BILINEAR": bilinear,
    "RESIZE_NEAREST_NEIGHBOR": nearest, "SOFTMAX": softmax,
}  # fmt: skip

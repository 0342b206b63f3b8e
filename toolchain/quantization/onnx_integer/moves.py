"""Operators that only move stored values."""

from __future__ import annotations

import numpy as np

from toolchain.errors import ModelError
from toolchain.quantization.onnx_integer.weighted import reshaped
from toolchain.quantization.onnx_integer.writer import TO_FIRST, Translate, Writer
from toolchain.tflite_file import Operator, zero_of


def reshape(writer: Writer, op: Operator) -> None:
    """Another shape."""
    writer.write(op, reshaped(writer, writer.read(op.inputs[0]), writer.tensor(op.outputs[0]).shape))


def pad(writer: Writer, op: Operator) -> None:
    """Zero points, or a given value, around the input."""
    y, first = writer.tensor(op.outputs[0]), writer.prefers_first(op)
    around = writer.value(op.inputs[1]).astype(np.int64)
    around = around[list(TO_FIRST)] if first else around
    value = writer.value(op.inputs[2]).ravel()[0] if len(op.inputs) > 2 else np.uint8(zero_of(y))
    made = writer.node("Pad", writer.read(op.inputs[0], first=first), writer.constant(around.T.ravel()), writer.constant(value))
    writer.write(op, made, first=first)


def concatenate(writer: Writer, op: Operator) -> None:
    """Inputs one after the other along an axis; all have the output's scale."""
    y, first = writer.tensor(op.outputs[0]), writer.prefers_first(op)
    _require_one_scale(writer, op)
    axis = op.options["axis"] % len(y.shape)
    made = writer.node("Concat", *(writer.read(i, first=first) for i in op.inputs), axis=TO_FIRST.index(axis) if first else axis)
    writer.write(op, writer.clipped(made, y, op.options["fusedActivationFunction"]), first=first)


def transpose(writer: Writer, op: Operator) -> None:
    """Axes in another order."""
    writer.write(op, writer.node("Transpose", writer.read(op.inputs[0]), perm=writer.value(op.inputs[1]).tolist()))


def tile(writer: Writer, op: Operator) -> None:
    """The input repeated along its axes."""
    writer.write(op, writer.node("Tile", writer.read(op.inputs[0]), writer.constant(writer.value(op.inputs[1]).astype(np.int64))))


def strided_slice(writer: Writer, op: Operator) -> None:
    """`x[begin:end:stride]`; a set bit of a mask leaves that bound open, or drops the axis (schema.fbs)."""
    x, y, options = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0]), op.options
    if options["ellipsisMask"] or options["newAxisMask"] or options.get("offset"):
        raise ModelError("ellipsis, new axis or offset")
    bounds = []
    for axis, (begin, end, stride) in enumerate(zip(*(writer.value(index).tolist() for index in op.inputs[1:4]), strict=True)):
        if options["shrinkAxisMask"] >> axis & 1:
            begin %= x.shape[axis]
            bounds.append((begin, begin + 1, 1))
        else:
            open_begin, open_end = options["beginMask"] >> axis & 1, options["endMask"] >> axis & 1
            start, stop, step = slice(None if open_begin else begin, None if open_end else end, stride).indices(x.shape[axis])
            bounds.append((start, stop if stop >= 0 else -x.shape[axis] - 1, step))
    starts, ends, steps = (writer.constant(np.array(column, np.int64)) for column in zip(*bounds, strict=True))
    axes = writer.constant(np.arange(len(bounds)))
    writer.write(op, reshaped(writer, writer.node("Slice", writer.read(x.index), starts, ends, axes, steps), y.shape))


def split(writer: Writer, op: Operator) -> None:
    """Equal parts along an axis."""
    x = writer.tensor(op.inputs[1])
    axis = int(writer.value(op.inputs[0]).ravel()[0]) % len(x.shape)
    length = x.shape[axis] // len(op.outputs)
    for place in range(len(op.outputs)):
        bounds = (writer.constant(np.array([value])) for value in (place * length, (place + 1) * length, axis))
        writer.write(op, writer.node("Slice", writer.read(x.index), *bounds), place=place)


def unpack(writer: Writer, op: Operator) -> None:
    """Every slice along an axis by itself."""
    x = writer.tensor(op.inputs[0])
    axis = op.options["axis"] % len(x.shape)
    for place in range(len(op.outputs)):
        writer.write(op, writer.node("Gather", writer.read(x.index), writer.constant(np.int64(place)), axis=axis), place=place)


def pack(writer: Writer, op: Operator) -> None:
    """Tensors as slices along a new axis; all have the output's scale."""
    y = writer.tensor(op.outputs[0])
    axis = op.options["axis"] % len(y.shape)
    shape = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    _require_one_scale(writer, op)
    writer.write(op, writer.node("Concat", *(reshaped(writer, writer.read(index), shape) for index in op.inputs), axis=axis))


def _require_one_scale(writer: Writer, op: Operator) -> None:
    y = writer.tensor(op.outputs[0])
    for number, index in enumerate(op.inputs):
        x = writer.tensor(index)
        if (x.scale, x.zero_point) != (y.scale, y.zero_point):
            raise ModelError(f"input {number} has another scale than the output")


TRANSLATIONS: dict[str, Translate] = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
    "PAD": pad, "PADV2": pad, "CONCATENATION": concatenate, "TRANSPOSE": transpose, "TILE": tile, "STRIDED_SLICE": strided_slice,
    "SPLIT": split, "UNPACK": unpack, "PACK": pack,
}  # fmt: skip

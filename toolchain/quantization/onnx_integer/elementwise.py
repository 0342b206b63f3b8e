"""Functions of single values and of pairs, in the arithmetic of XNNPACK's kernels, exactly.

Sources: XNNPACK, src/microparams-init.c (xnn_init_qs8_add_minmax_scalar_params, xnn_init_qs8_mul_minmax_scalar_params).
"""

from __future__ import annotations

import math

import numpy as np

from toolchain.quantization.onnx_integer.writer import SHIFT, Translate, Writer, activation_limits
from toolchain.runners.litert_operator import answers
from toolchain.tflite_file import Operator, scale_of, zero_of

FLOAT, UINT8, INT32, DOUBLE = 1, 2, 6, 11
"""TensorProto.DataType. A double holds every product of an 8-bit value and a 21-bit factor, and their sum."""

FACTOR_BITS = 20
"""The larger of a sum's two factors is a whole number of 21 bits."""


def add(writer: Writer, op: Operator) -> None:
    """floor(a * factor_a + b * factor_b + 1/2): halves upwards."""
    _sum(writer, op, sign=1)


def subtract(writer: Writer, op: Operator) -> None:
    """A sum with the second factor negative."""
    _sum(writer, op, sign=-1)


def _sum(writer: Writer, op: Operator, sign: int) -> None:
    y, first = writer.tensor(op.outputs[0]), writer.prefers_first(op)
    ratios = [float(np.float32(scale_of(writer.tensor(i))) / np.float32(scale_of(y))) for i in op.inputs]
    shift = FACTOR_BITS - (math.frexp(max(ratios))[1] - 1)
    offset = 0.5 + zero_of(y)
    terms = []
    for index, ratio, sense in zip(op.inputs, ratios, (1, sign), strict=True):
        factor = sense * float(np.rint(math.ldexp(ratio, shift))) * 2.0**-shift
        offset -= factor * zero_of(writer.tensor(index))
        wide = writer.node("Cast", operand(writer, index, y.shape, first=first), to=DOUBLE)
        terms.append(writer.node("Mul", wide, writer.constant(np.float64(factor))))
    total = writer.node("Add", writer.node("Add", *terms), writer.constant(np.float64(offset)))
    low, high = activation_limits(y, op.options["fusedActivationFunction"])
    whole = writer.node("Clip", writer.node("Floor", total), writer.constant(np.float64(low)), writer.constant(np.float64(high)))
    writer.write(op, stored(writer, whole), first=first)


def multiply(writer: Writer, op: Operator) -> None:
    """Whole numbers multiplied, scaled once in float32, halves to even."""
    y, first = writer.tensor(op.outputs[0]), writer.prefers_first(op)
    a, b = (np.float32(scale_of(writer.tensor(index))) for index in op.inputs)
    product = writer.node(
        "Mul", *(writer.steps(operand(writer, index, y.shape, first=first), zero_of(writer.tensor(index))) for index in op.inputs)
    )
    scaled = writer.node("Mul", product, writer.constant(a * b / np.float32(scale_of(y))))
    writer.write(op, writer.from_steps(scaled, y, op.options["fusedActivationFunction"]), first=first)


def operand(writer: Writer, index: int, shape: tuple[int, ...], *, first: bool) -> str:
    """An operand in the wanted layout; a constant may have fewer axes than the result."""
    tensor = writer.tensor(index)
    if not first or len(tensor.shape) == len(shape):
        return writer.read(index, first=first)
    value = writer.value(index).reshape((1,) * (4 - len(tensor.shape)) + tensor.shape)
    return writer.constant(value.transpose(0, 3, 1, 2))


def stored(writer: Writer, name: str) -> str:
    """Whole numbers as stored values; what is behind the point is cut off."""
    return writer.node("Cast", name, to=UINT8)


def table(writer: Writer, op: Operator) -> None:
    """Any function of one 8-bit value: its 256 answers, asked of LiteRT."""
    first = writer.prefers_first(op)
    values = answers(writer.file, op, "xnnpack").astype(np.int16) + SHIFT
    ascending = writer.constant(np.roll(values, SHIFT).astype(np.uint8))
    places = writer.node("Cast", writer.read(op.inputs[0], first=first), to=INT32)
    writer.write(op, writer.node("Gather", ascending, places), first=first)


def quantize(writer: Writer, op: Operator) -> None:
    """From float by XNNPACK's formula (a product with 1 / scale), from int8 by a table."""
    x, y = writer.tensor(op.inputs[0]), writer.tensor(op.outputs[0])
    if x.dtype != "FLOAT32":
        return table(writer, op)
    scaled = writer.node("Mul", writer.read(x.index), writer.constant(np.float32(1) / np.float32(scale_of(y))))
    return writer.write(op, writer.from_steps(scaled, y))


def dequantize(writer: Writer, op: Operator) -> None:
    """The real values: scale * (stored - zero_point)."""
    writer.write(op, writer.dequantized(writer.read(op.inputs[0]), writer.tensor(op.inputs[0])))


TRANSLATIONS: dict[str, Translate] = {
    "ADD": add, "SUB": subtract, "MUL": multiply, "QUANTIZE": quantize, "DEQUANTIZE": dequantize,
    **dict.fromkeys(
        ("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "GELU", "ELU", "ABS", "RSQRT", "EXP"), table
    ),
}  # fmt: skip

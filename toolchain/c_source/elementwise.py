"""Functions of single values, and of pairs of values."""

from __future__ import annotations

import numpy as np

from toolchain.c_source.arithmetic import Scale, fixed_point, kept_within, limits
from toolchain.c_source.calls import Builder, Call, Constant, Settings, Use, operand
from toolchain.c_source.graph import Graph
from toolchain.c_source.tables import table_of
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, scale_of, zero_of

HEADROOM = 20
"""Bits by which ADD and SUB raise their inputs (kernels/add.cc, sub.cc)."""


def add(graph: Graph, op: Operator) -> list[Call]:
    """A sum of scaled inputs."""
    return _pairwise(graph, op, "add", *_sum_factors(graph, op))


def subtract(graph: Graph, op: Operator) -> list[Call]:
    """A difference of scaled inputs."""
    return _pairwise(graph, op, "sub", *_sum_factors(graph, op))


def multiply(graph: Graph, op: Operator) -> list[Call]:
    """A product, scaled once by a factor that LiteRT computes in float32 (kernels/mul.cc: Prepare)."""
    first, second, y = (np.float32(scale_of(graph.tensor(index))) for index in (*op.inputs, op.outputs[0]))
    unused = Scale(0, 0, 0)
    return _pairwise(graph, op, "mul", unused, unused, kept_within(255 * 255, fixed_point(float(first * second / y))))


def _sum_factors(graph: Graph, op: Operator) -> tuple[Scale, Scale, Scale]:
    """Both inputs are brought to twice the larger scale, 20 bits up (kernels/add.cc: PrepareGeneralAddOp)."""
    first, second, y = (scale_of(graph.tensor(index)) for index in (*op.inputs, op.outputs[0]))
    twice = 2.0 * max(first, second)
    out = kept_within(255 << HEADROOM, fixed_point(twice / ((1 << HEADROOM) * y)))
    return fixed_point(first / twice), fixed_point(second / twice), out


def _pairwise(graph: Graph, op: Operator, kernel: str, *factors: Scale) -> list[Call]:
    a, b = (graph.tensor(index) for index in op.inputs)
    y = graph.tensor(op.outputs[0])
    if len(y.shape) > 4:
        raise ModelError(f"{len(y.shape)} axes; at most four")
    minimum, maximum = limits(y, op.options.get("fusedActivationFunction", 0))
    pair = Settings(
        "sct_pairwise",
        {
            "shape": (1,) * (4 - len(y.shape)) + y.shape,
            "first_step": _steps(a.shape, y.shape), "second_step": _steps(b.shape, y.shape),
            "first_zero": zero_of(a), "second_zero": zero_of(b), "out_zero": zero_of(y),
            "first": factors[0], "second": factors[1], "out": factors[2],
            "minimum": minimum, "maximum": maximum,
        },
    )  # fmt: skip
    return [Call(kernel, (pair, operand(graph, a.index, "first"), operand(graph, b.index, "second"), Use(y.index)))]


def _steps(shape: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
    """Elements between neighbours along four axes of the result; 0 where the tensor is repeated."""
    strides = np.broadcast_to(np.empty(shape, np.int8), result).strides
    return (0,) * (4 - len(result)) + strides


def table(graph: Graph, op: Operator) -> list[Call]:
    """Any function of one 8-bit value to another: 256 answers."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    values = Constant("table", "int8_t", table_of(graph, op).view(np.int8))
    return [Call("table", (y.elements, values, Use(x.index), Use(y.index)))]


def quantize(graph: Graph, op: Operator) -> list[Call]:
    """To int8: from float by the formula, from 8 bits by a table."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if x.dtype != "FLOAT32":
        return table(graph, op)
    if y.dtype != "INT8":
        raise ModelError("from float to uint8")
    return [Call("quantize", (y.elements, scale_of(y), zero_of(y), Use(x.index), Use(y.index)))]


def dequantize(graph: Graph, op: Operator) -> list[Call]:
    """From 8 bits to float, by a table."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    return [Call("dequantize", (y.elements, Constant("table", "float", table_of(graph, op)), Use(x.index), Use(y.index)))]


BUILDERS: dict[str, Builder] = {
    "ADD": add, "SUB": subtract, "MUL": multiply, "QUANTIZE": quantize, "DEQUANTIZE": dequantize,
    **dict.fromkeys(
        ("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "GELU", "ABS", "RSQRT", "EXP"), table
    ),
}  # fmt: skip

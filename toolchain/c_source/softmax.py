"""SOFTMAX in fixed point, as LiteRT's reference kernel computes it: the exponentials are known before, the rest is the kernel's.

Sources: kernels/internal/reference/softmax.h, kernels/internal/quantization_util.cc (PreprocessSoftmaxScaling,
CalculateInputRadius), and gemmlowp's fixedpoint/fixedpoint.h (exp_on_negative_values).
"""

from __future__ import annotations

import numpy as np

from toolchain.c_source.arithmetic import fixed_point
from toolchain.c_source.calls import Builder, Call, Constant, Use
from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, scale_of, zero_of

FRACTION_BITS = 26
"""Inputs below the largest have five bits before the point and 26 behind it."""

EIGHTH = 1895147668
"""exp(-1/8) in 1/2^31."""

FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-1/4), exp(-1/2), exp(-1), ... exp(-16) in 1/2^31."""

LONGEST = 4095
"""Values in a row; more could overflow the kernel's sum, which has 12 bits before the point."""


def softmax(graph: Graph, op: Operator) -> list[Call]:
    """Over the last axis; the output's scale is 1/256 by definition (kernels/activations.cc: SoftmaxPrepare)."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    depth = x.shape[-1]
    if scale_of(y) != 1 / 256 or zero_of(y) != -128:
        raise ModelError(f"an output of scale {scale_of(y)}")
    if depth > LONGEST:
        raise ModelError(f"{depth} values in a row; at most {LONGEST}")
    values = Constant("exponentials", "int32_t", exponentials(scale_of(x) * float(op.options["beta"])))
    return [Call("softmax", (x.elements // depth, depth, values, Use(x.index), Use(y.index)))]


def exponentials(step: float) -> Array:
    """`[256]`: exp(-d * step) in 1/2^31 for inputs d steps below the largest; 0 from where the kernel leaves them out.

    Raises ModelError for steps that the kernel cannot scale.
    """
    if not step * (1 << FRACTION_BITS) > 1:
        raise ModelError(f"inputs of scale {step}")
    factor = fixed_point(min(step, (2.0**31 - 1) / (1 << FRACTION_BITS)))
    shift = FRACTION_BITS + factor.left - factor.right
    last = (31 << FRACTION_BITS) >> shift
    return np.array([_exponential(_product(-below << shift, factor.multiplier)) if below <= last else 0 for below in range(256)], np.int64)


def _exponential(value: int) -> int:
    """exp(value / 2^26) for a value that is not positive: a polynomial for what is left of a quarter, times powers."""
    if value == 0:
        return (1 << 31) - 1
    quarter = 1 << FRACTION_BITS - 2
    rest = (value & quarter - 1) - quarter
    found = _polynomial(rest << 5)
    for bit, power in enumerate(FACTORS, FRACTION_BITS - 2):
        if rest - value >> bit & 1:
            found = _product(found, power)
    return found


def _polynomial(value: int) -> int:
    """exp(value / 2^31) for a value from -1/4 to 0: four terms of the series around -1/8."""
    x = value + (1 << 28)
    second = _product(x, x)
    third, fourth = _product(second, x), _product(second, second)
    tail = _halved(_product(_halved(fourth, 2) + third, 715827883) + second, 1)
    return EIGHTH + _product(EIGHTH, x + tail)


def _product(a: int, b: int) -> int:
    """The product of two numbers in 1/2^31, halves upwards: SaturatingRoundingDoublingHighMul."""
    return a * b + (1 << 30) >> 31


def _halved(value: int, times: int) -> int:
    """The quotient by 2^times, halves away from zero: RoundingDivideByPOT."""
    half = 1 << times - 1
    return value + half >> times if value >= 0 else -(-value + half >> times)


BUILDERS: dict[str, Builder] = {"SOFTMAX": softmax}

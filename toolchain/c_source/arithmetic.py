"""Real factors as the fixed-point numbers that the kernels compute with (targets/cortex_m/kernels/sct_arithmetic.h)."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from toolchain.errors import ModelError
from toolchain.tflite_file import Tensor, scale_of, zero_of


class Scale(msgspec.Struct, frozen=True):
    """The factor multiplier * 2^(left - right - 31): `sct_scale`."""

    multiplier: int
    left: int
    right: int


class FineScale(msgspec.Struct, frozen=True):
    """The factor (high + low / 2^22) * 2^-shift, which holds all bits of a double: `sct_fine_scale`."""

    high: int
    low: int
    shift: int

    @property
    def left(self) -> int:
        """Bits by which a value grows on its way."""
        return max(31 - self.shift, 0)


ACCUMULATORS = 1 << 30
"""What a value, shifted left by its factor, has to stay below (sct_requantize)."""


def fixed_point(real: float) -> Scale:
    """The nearest fixed-point factor, as QuantizeMultiplier in tensorflow/lite/kernels/internal/quantization_util.cc.

    Raises ModelError for a factor that is not finite, negative, or 2^30 and more.
    """
    mantissa, exponent = _parts(real)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, exponent = multiplier // 2, exponent + 1
    if exponent < -31:
        multiplier, exponent = 0, 0
    return Scale(multiplier, max(exponent, 0), max(-exponent, 0))


def fine_point(real: float) -> FineScale:
    """A factor with all its 53 bits. Raises ModelError as `fixed_point`."""
    mantissa, exponent = _parts(real)
    whole = int(mantissa * (1 << 53))
    return FineScale(whole >> 22, whole & (1 << 22) - 1, 31 - exponent) if exponent >= -31 else FineScale(0, 0, 1)


def _parts(real: float) -> tuple[float, int]:
    if not (math.isfinite(real) and 0 <= real < 2**30):
        raise ModelError(f"a scale of {real} cannot be computed in fixed point")
    return math.frexp(real)


def kept_within(largest: int, scale: Scale) -> Scale:
    """The scale itself. Raises ModelError where a value up to `largest` could leave the kernels' range on its way."""
    if largest << scale.left >= ACCUMULATORS:
        raise ModelError(f"a factor of 2^{scale.left} and more leaves the kernels' range")
    return scale


def requantized(value: int, scale: Scale) -> int:
    """`value * scale` with two roundings, as sct_requantize computes it: MultiplyByQuantizedMultiplier."""
    product = ((value << scale.left) * scale.multiplier + (1 << 30)) >> 31
    half = 1 << scale.right >> 1
    return product + half >> scale.right if product >= 0 or not scale.right else -(-product + half >> scale.right)


def requantized_once(value: int, scale: FineScale) -> int:
    """`value * scale` with one rounding, halves away from zero, as sct_requantize_once computes it."""
    rounded = abs(value) * scale.high + (abs(value) * scale.low >> 22) + (1 << scale.shift - 1) >> scale.shift
    return rounded if value >= 0 else -rounded


def shared_by(scale: Scale, count: int) -> Scale:
    """`scale / count`, as QuantizedMeanOrSum folds the number of values into the factor (kernels/internal/reference/reduce.h)."""
    exponent = scale.left - scale.right
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return Scale((scale.multiplier << shift) // count, max(exponent - shift, 0), max(shift - exponent, 0))


def limits(output: Tensor, activation: int) -> tuple[int, int]:
    """The stored range that a fused activation leaves: CalculateActivationRangeQuantized in kernels/kernel_util.cc.

    Raises ModelError for TANH and SIGN_BIT, which no quantized kernel fuses.
    """
    ranges = {0: (-math.inf, math.inf), 1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
    if activation not in ranges:
        raise ModelError(f"fused activation {activation} of {output.name!r}")
    low, high = (_stored(value, output) for value in ranges[activation])
    return max(-128, low), min(127, high)


def _stored(value: float, tensor: Tensor) -> int:
    if math.isinf(value):
        return 1000 if value > 0 else -1000
    steps = float(np.float32(value) / np.float32(scale_of(tensor)))
    return zero_of(tensor) + int(math.copysign(math.floor(abs(steps) + 0.5), steps))

"""The numbers that an integer can stand for: real = scale * (stored - zero_point).

The rules are those of the TFLite 8-bit quantization specification (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec):
weights are symmetric in [-127, 127] with one scale per output channel, activations take all of [-128, 127] and hold zero exactly.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from toolchain.data import Array

WEIGHT_LIMIT = 127
"""Largest stored int8 weight; -128 is not used, so that products of two weights fit 16 bits."""


class Affine(msgspec.Struct, frozen=True):
    """Grid of an activation tensor."""

    scale: float
    zero_point: int
    bits: int = 8

    @classmethod
    def of_range(cls, low: float, high: float, bits: int = 8, *, symmetric: bool = False) -> Affine:
        """The grid that covers [low, high], widened to hold zero; int16 is always symmetric, as the specification has it."""
        low, high, top = min(low, 0.0), max(high, 0.0), 2 ** (bits - 1)
        if symmetric or bits == 16:
            return cls((max(-low, high) or 1.0) / (top - 1), 0, bits)
        scale = (high - low or 1.0) / (2 * top - 1)
        return cls(scale, int(np.clip(round(-top - low / scale), -top, top - 1)), bits)

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest real value on the grid."""
        top = 2 ** (self.bits - 1)
        return self.scale * (-top - self.zero_point), self.scale * (top - 1 - self.zero_point)

    def nearest(self, x: Array) -> Array:
        """The values of the grid nearest to `x`, in float32."""
        top = 2 ** (self.bits - 1)
        stored = np.clip(np.round(np.asarray(x, np.float32) / np.float32(self.scale)) + self.zero_point, -top, top - 1)
        return np.asarray((stored - self.zero_point) * np.float32(self.scale), np.float32)


Granularity = Literal["per_channel", "per_tensor"]
"""Whether every output channel of a kernel has its own scale, or all have that of the largest weight."""


def weight_scales(rows: Array, granularity: Granularity = "per_channel") -> Array:
    """float32 scales `[C, 1]` of weights `[C, n]`, one row for each output channel: max |w| / 127; 1 where all weights are zero."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if granularity == "per_tensor":
        largest = np.full_like(largest, largest.max())
    return np.asarray(np.where(largest > 0, largest / np.float32(WEIGHT_LIMIT), 1.0), np.float32)


def nearest_weights(rows: Array, granularity: Granularity = "per_channel") -> Array:
    """Weights `[C, n]` rounded to their grid, in float32."""
    scales = weight_scales(rows, granularity)
    return np.asarray(np.round(rows / scales) * scales, np.float32)

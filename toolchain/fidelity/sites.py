"""Places in a file where a value can be looked at: what every kind of file is taken apart into.

A site is a tensor that an operator computes (or that the file takes), with its values on some examples. A walk can also
run one operator alone, on any inputs: as the file runs it, and in real numbers with the weights that the file holds.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.quantization.grid import Affine

INPUT = "INPUT"
"""The operator of a site that no operator computes."""
MOVES = ("QUANTIZE", "DEQUANTIZE")
"""Operators of a .tflite that put the same real values on another grid."""


class Stored(msgspec.Struct, frozen=True):
    """The quantized weights of an operator, one row for each output channel: real = scale * stored."""

    rows: Array
    """`[C, n]`, integers with the zero point taken off."""
    scales: Array
    """`[C]`, or `[1]` where all channels share one."""


class Site(msgspec.Struct, frozen=True):
    """One tensor along the depth of a file."""

    name: str
    operator: str
    inputs: tuple[int, ...]
    """Places of the sites it is computed from, in the operator's order."""
    values: Array
    """Real values `[n, ...]` of n examples, in the file's own layout."""
    grid: Affine | None
    """Where its values are stored as integers."""
    stored: Stored | None
    ceiling: float | None
    """Largest value that the operator can answer: 6 for ReLU6."""


class Walk(Protocol):
    """A file taken apart, with the values of some examples."""

    sites: list[Site]
    output: int
    """The place of the file's first output."""
    notes: list[str]
    """What is not shown, and why."""

    def sources(self, place: int, known: Container[int]) -> tuple[int, ...]:
        """Sites from which the site can be computed alone, as near as possible and all in `known`. Raises ModelError."""

    def operate(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """What the file answers at a site to real inputs `[n, ...]` at the sources; real in, real out. Raises ModelError."""

    def real(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """The same in real numbers, with the weights that the file holds. Raises ModelError."""


def affine(scale: float, zero_point: int, dtype: str) -> Affine:
    """The grid of an int8, uint8 or int16 tensor; an unsigned one is the signed one 128 steps lower."""
    if "uint8" in dtype.lower():
        return Affine(scale, zero_point - 128)
    return Affine(scale, zero_point, 16 if "16" in dtype else 8)


def on_grid(site: Site, values: Array) -> Array:
    """The values as the site would store them."""
    return values if site.grid is None else site.grid.nearest(values)


def rows_of(stored: Array, axis: int) -> Array:
    """Weights as one row for each index of `axis`."""
    return np.moveaxis(stored, axis, 0).reshape(stored.shape[axis], -1)

"""Which part of an activation's values the integers cover: four ways to choose a range from a histogram.

A wide range clips nothing and rounds everything more coarsely; what lies between is a choice that the data should make.
Each estimator takes a histogram and gives (low, high) in the tensor's own unit.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.quantization.grid import Affine

Estimator = Literal["minmax", "percentile", "mse", "entropy"]
BINS = 2048
SHRINKS = 2.0 ** (-np.arange(65) / 8)
"""Candidates of the search for the least squared error: down to a 256th of the range, 8.3 % apart."""


class Histogram(msgspec.Struct, frozen=True, dict=True):
    """Counts `[B]` of a tensor's values in B equal bins of [low, high]."""

    counts: Array
    low: float
    high: float

    @cached_property
    def edges(self) -> Array:
        """The bins' limits `[B + 1]`."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @cached_property
    def centers(self) -> Array:
        """The bins' middles `[B]`."""
        return np.asarray((self.edges[1:] + self.edges[:-1]) / 2)

    def outside(self, low: float, high: float) -> float:
        """Share of the values beyond [low, high], to the width of a bin."""
        beyond = (self.centers < low) | (self.centers > high)
        return float(self.counts[beyond].sum() / max(self.counts.sum(), 1))


def estimate(histogram: Histogram, by: Estimator, share: float, bits: int, symmetric: bool) -> tuple[float, float]:
    """The range that the estimator `by` chooses; `share` is the percentile in percent."""
    if by == "percentile":
        return percentile(histogram, share)
    if by == "mse":
        return least_squares(histogram, bits, symmetric)
    return entropy(histogram, bits, symmetric) if by == "entropy" else (histogram.low, histogram.high)


def percentile(histogram: Histogram, share: float) -> tuple[float, float]:
    """The range that holds `share` percent of the values; half of the rest lies below it, half above."""
    allowed = histogram.counts.sum() * (1 - share / 100) / 2 * (1 + 1e-9)
    below = int(np.searchsorted(np.cumsum(histogram.counts), allowed, "right"))
    above = int(np.searchsorted(np.cumsum(histogram.counts[::-1]), allowed, "right"))
    return float(histogram.edges[below]), float(histogram.edges[::-1][above])


def least_squares(histogram: Histogram, bits: int, symmetric: bool) -> tuple[float, float]:
    """The range with the least expected squared error of rounding and clipping (Banner et al. 2019, section 3, measured
    on the histogram instead of a fitted density). Both ends shrink in turn, twice, each to the best of `SHRINKS`.
    """
    best = [histogram.low, histogram.high]
    for end in (1, 0, 1, 0):
        candidates = [[*best[:end], float(best[end] * shrink), *best[end + 1 :]] for shrink in SHRINKS]
        best = min(candidates, key=lambda c: squared_error(histogram, Affine.of_range(c[0], c[1], bits, symmetric=symmetric)))
    return best[0], best[1]


def squared_error(histogram: Histogram, grid: Affine) -> float:
    """Mean squared distance of the values, taken at their bins' middles, to the grid."""
    distance = histogram.centers - grid.nearest(histogram.centers)
    return float((histogram.counts * distance**2).sum() / max(histogram.counts.sum(), 1))


def entropy(histogram: Histogram, bits: int, symmetric: bool) -> tuple[float, float]:
    """The range whose 8-bit histogram tells most about the float one: the least Kullback-Leibler divergence
    (Migacz, "8-bit inference with TensorRT", GTC 2017).

    The magnitudes are judged, against as many levels as one sign has. Their first bin holds the zeros, which every grid
    represents exactly; its count is set to its neighbour's, or the zeros of a ReLU would decide alone.
    """
    top = max(-histogram.low, histogram.high)
    folded, edges = np.histogram(np.abs(histogram.centers), len(histogram.counts), (0.0, top or 1.0), weights=histogram.counts)
    folded[0] = folded[1]
    one_sided = histogram.low >= 0 or histogram.high <= 0
    bound = float(edges[threshold(folded, 2**bits if one_sided and not symmetric else 2 ** (bits - 1))])
    return max(histogram.low, -bound), min(histogram.high, bound)


def threshold(counts: Array, levels: int) -> int:
    """How many of the bins `[B]` to keep, so that `levels` equal steps over them lose least; what lies beyond counts as the last."""
    found, least = len(counts), np.inf
    for kept in range(levels, len(counts) + 1, max(levels // 16, 1)):
        inner = np.asarray(counts[:kept], np.float64)
        reference = inner.copy()
        reference[-1] += counts[kept:].sum()
        step = np.arange(kept) * levels // kept
        filled = np.bincount(step, inner > 0, levels)
        spread = np.where(inner > 0, (np.bincount(step, inner, levels) / np.maximum(filled, 1))[step], 0.0)
        if (divergence := _divergence(reference, spread)) < least:
            found, least = kept, divergence
    return found


def _divergence(p: Array, q: Array) -> float:
    """KL(p || q) of two histograms in nats; infinite where q rules out what p has seen."""
    seen = p > 0
    if not q.sum() or (q[seen] == 0).any():
        return np.inf
    p, q = p[seen] / p.sum(), q[seen] / q.sum()
    return float((p * np.log(p / q)).sum())

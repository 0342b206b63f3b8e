"""Signal and noise in decibels, over a whole tensor and channel by channel."""

from __future__ import annotations

import numpy as np

from toolchain.data import Array

LOST = -300.0
"""dB that stand for no signal, and for NaN: JSON has no infinity, and its null is exact."""


def energy(x: Array) -> float:
    """Sum of squares, in double precision."""
    return float((x.astype(np.float64) ** 2).sum())


def sqnr_db(signal: Array, noise: Array) -> float | None:
    """Signal to quantization noise, 10 log10(sum(s^2) / sum(n^2)); None without noise, LOST without signal or for NaN."""
    s, n = energy(signal), energy(noise)
    if not np.isfinite(s + n):
        return LOST
    return None if n == 0 else 10 * float(np.log10(s / n)) if s else LOST


def channel_sqnr_db(signal: Array, noise: Array) -> float | None:
    """The median of the SQNR of the channels, which lie on the last axis; those that are always 0 are left out.

    One large channel hides from the whole tensor's SQNR that the other channels are lost; the median shows it.
    None where at least half of the channels are exact, or none has a signal.
    """
    axes = tuple(range(signal.ndim - 1))
    s, n = ((x.astype(np.float64) ** 2).sum(axis=axes) for x in (signal, noise))
    lively = s > 0
    if signal.ndim < 2 or not lively.any():
        return None
    ratio = float(np.median(n[lively] / s[lively]))
    if not np.isfinite(ratio):
        return LOST
    return None if ratio == 0 else -10 * float(np.log10(ratio))


def lower(*values: float | None) -> float | None:
    """The smallest of decibels, of which None is exact."""
    known = [value for value in values if value is not None]
    return min(known) if known else None


def level_db(signal: Array, noise: Array) -> float | None:
    """The whole tensor's SQNR or the median channel's, whichever is lower; None is exact."""
    return lower(sqnr_db(signal, noise), channel_sqnr_db(signal, noise))


def decibels(value: float | None) -> str:
    """In words."""
    return "exact" if value is None else "lost" if value == LOST else f"{value:.1f} dB"

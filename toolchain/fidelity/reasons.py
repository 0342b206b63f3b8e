"""Why a layer alone is off: which of its parts makes the noise, and what about that part does.

The noise of rounding is predicted from the scale, scale^2 / 12 (Widrow & Kollar, Quantization Noise, 2008, eq. 1.5 for
uniform noise); what does not fit the prediction is clipping or arithmetic, which are counted directly.
"""

from __future__ import annotations

import numpy as np

from toolchain.data import Array
from toolchain.fidelity.findings import Reason
from toolchain.fidelity.noise import decibels, energy, level_db
from toolchain.fidelity.sites import Stored
from toolchain.quantization.grid import Affine

OUTLIER = 6.0
"""A channel's range is an outlier from so many times the median of the channels on."""
UNUSED = 2.0
"""A grid is too wide from so many times the values' range on: one of its bits is lost."""
FOREIGN = 10.0
"""Weights that are so many dB worse than the rounding of their coarsest row are not the model's."""
CLIPPED = 3.0
"""dB by which clipping alone may be better than the whole grid and still be its larger part."""
ARITHMETIC = 6.0
"""An answer that is so many dB worse than its grid got that from the arithmetic."""


def explain(signal: Array, weights: Array, answer: Array, grid: Affine | None, stored: Stored | None) -> Reason | None:
    """Why a layer with the answer `signal` `[n, ..., C]` has the noise `weights` + `answer`; None where it has none."""
    if broken := int((~np.isfinite(weights + answer)).sum()):
        return Reason("not_finite", f"{broken:,} of {signal.size:,} values are NaN or infinite")
    parts = [level_db(signal, noise) for noise in (weights, answer)]
    if parts == [None, None]:
        return None
    if parts[1] is None or (parts[0] is not None and parts[0] < parts[1]):
        return of_weights(stored, parts[0])
    return of_grid(signal, answer, grid)


def of_weights(stored: Stored | None, found_db: float | None) -> Reason:
    """Rows whose weights have few steps: a rounded row of stored integers q has 10 log10(12 mean(q^2)) dB."""
    if stored is None:
        return Reason("weights", f"its weights are not the model's: {decibels(found_db)} with them alone")
    rows = stored.rows.astype(np.float64)
    levels = (rows**2).mean(axis=1)
    live = np.flatnonzero(levels > 0)
    ranges = np.abs(rows).max(axis=1)
    if len(live) == 0:
        return Reason("weights", "all its weights are rounded to 0")
    if len(stored.scales) == 1 and len(rows) > 1:
        worst, median = int(ranges.argmax()), max(float(np.median(ranges)), 0.5)
        if ranges[worst] / median >= OUTLIER:
            times = ranges[worst] / median
            what = f"all channels share one weight scale and channel {worst} reaches {times:.3g} times the median channel's range, "
            return Reason("weights", what + f"which is left {median:.3g} of {ranges[worst]:.0f} steps", worst)
    worst = int(live[levels[live].argmin()])
    predicted = 10 * float(np.log10(12 * levels[worst]))
    if found_db is not None and found_db < predicted - FOREIGN:
        what = f"its weights are not the model's, rounded: {decibels(found_db)} with them alone, rounding predicts "
        return Reason("weights", what + f"{predicted:.1f} dB for its coarsest channel, {worst}", worst)
    rms = float(np.sqrt(levels[worst]))
    what = f"coarse weights: channel {worst}'s largest is {ranges[worst]:.0f} steps, {ranges[worst] / rms:.3g} times their rms; "
    return Reason("weights", what + f"rounding predicts {predicted:.1f} dB for it, measured {decibels(found_db)} for the layer", worst)


def of_grid(signal: Array, answer: Array, grid: Affine | None) -> Reason:
    """What the grid does to the answer: clips it, is too wide, or serves one channel at the cost of the others."""
    measured = level_db(signal, answer)
    if grid is None:
        return Reason("arithmetic", f"the operator itself computes with {decibels(measured)}")
    rounded = level_db(signal, grid.nearest(signal) - signal)
    clipped = level_db(signal, np.clip(signal, *grid.limits) - signal)
    if clipped is not None and rounded is not None and clipped <= rounded + CLIPPED:
        return _clipped(signal, grid)
    if measured is not None and measured < (np.inf if rounded is None else rounded) - ARITHMETIC:
        text = f"the integer arithmetic answers with {decibels(measured)}, rounding to the grid alone with {decibels(rounded)}"
        return Reason("arithmetic", text)
    return _rounded(signal, grid, measured)


def saturated(signal: Array, grid: Affine) -> float:
    """Share of values beyond the ends of the grid by more than half a step."""
    low, high = grid.limits
    return float(((signal < low - grid.scale / 2) | (signal > high + grid.scale / 2)).mean())


def _clipped(signal: Array, grid: Affine) -> Reason:
    low, high = grid.limits
    below, above = signal < low - grid.scale / 2, signal > high + grid.scale / 2
    share = float((below | above).mean())
    reach = f"the grid is [{low:.4g}, {high:.4g}], the values [{signal.min():.4g}, {signal.max():.4g}]"
    worst = int(np.argmax((below | above).mean(axis=tuple(range(signal.ndim - 1))))) if signal.ndim > 1 else None
    if low >= 0 and energy(signal[below]) > energy(signal[above] - np.float32(high)):
        return Reason(
            "zero_point", f"the zero point is the lowest step, so that {below.mean():.2%} of the values, negative, are lost: {reach}", worst
        )
    if high <= 0 and energy(signal[above]) > energy(signal[below] - np.float32(low)):
        return Reason(
            "zero_point",
            f"the zero point is the highest step, so that {above.mean():.2%} of the values, positive, are lost: {reach}",
            worst,
        )
    return Reason("saturation", f"{share:.2%} of the values lie beyond the grid: {reach}", worst)


def _rounded(signal: Array, grid: Affine, measured: float | None) -> Reason:
    """Rounding noise, which the scale predicts; what makes the scale so large."""
    low, high = grid.limits
    reach = max(-low, high)
    largest = float(np.abs(signal).max())
    predicted = 10 * float(np.log10(max(float((signal.astype(np.float64) ** 2).mean()), 1e-300) / (grid.scale**2 / 12)))
    tail = f"; scale {grid.scale:.4g} predicts {predicted:.1f} dB, measured {decibels(measured)}"
    too_wide = reach / max(largest, 1e-30)
    ranges = np.abs(signal).max(axis=tuple(range(signal.ndim - 1)))
    median = float(np.median(ranges[ranges > 0])) if largest else 0.0
    spread = float(ranges.max()) / median if median else 1.0
    if too_wide >= max(UNUSED, spread):
        return Reason("scale", f"the grid reaches {reach:.4g}, the values only {largest:.4g}: {too_wide:.3g} times too wide{tail}")
    if spread >= max(OUTLIER, too_wide):
        worst = int(ranges.argmax())
        what = f"channel {worst} reaches {ranges[worst]:.4g}, {spread:.3g} times the median channel's {median:.4g}, "
        return Reason("channel_range", what + f"which is left {median / grid.scale:.3g} steps{tail}", worst)
    usual = float(np.quantile(np.abs(signal), 0.999))
    what = f"single values reach {largest:.4g}, 99.9 % of them stay within {usual:.4g}"
    if largest < UNUSED * usual:
        what = f"a step of {grid.scale:.4g} is coarse for values of {float(np.sqrt((signal**2).mean())):.4g} rms"
    return Reason("scale", what + tail)

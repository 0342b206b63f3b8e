"""Round each weight up or down so that the layer's outputs stay, not so that the weight does (AdaRound).

Nearest rounding is best for each weight alone and not for their sum. Whether a weight goes up or down is learned layer
by layer from calibration examples (Nagel et al. 2020, Up or Down? Adaptive Rounding for Post-Training Quantization).
The rows of a kernel do not touch each other's outputs, so each row keeps the better of its learned and nearest rounding.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.optional import require
from toolchain.quantization.grid import WEIGHT_LIMIT, Granularity, weight_scales
from toolchain.quantization.replay import Visit, linear

ZETA, GAMMA = 1.1, -0.1
"""How far the sigmoid is stretched before it is clipped (eq. 23)."""
BETA = (20.0, 2.0)
"""The regularizer's exponent at the start and the end (eq. 24): first only weights near a decision are drawn to it, then all."""
WARM_UP = 0.2
"""Share of the steps before the regularizer acts."""


REGULARIZER = 0.05
"""Weight of eq. 24, where a row's error is counted in units of its error under nearest rounding."""
POSITIONS = 2048
"""Output positions that each step looks at, of at least eight examples."""


class Learning(msgspec.Struct, frozen=True):
    """How the rounding of one kernel is learned."""

    steps: int
    learning_rate: float
    correct_bias: bool
    """Whether the bias takes the shift of each channel's mean, so that the rounding need not care."""
    granularity: Granularity = "per_channel"


class Learned(msgspec.Struct, frozen=True):
    """How the outputs of one layer fare, as mean squared errors over all examples."""

    nearest_mse: float
    learned_mse: float
    changed: float
    """Share of the weights that are not rounded to nearest."""


def on_grid(rows: Array, stored: Array, granularity: Granularity = "per_channel") -> Array:
    """Weights `[C, n]` that a converter rounds to `stored`, which must hold the 127 of the largest weight of `rows`.

    Then the converter finds the float32 scale of `rows` again, bit for bit: dividing 127 scales by 127 gives back every scale
    that a division by 127 can give.
    """
    return np.asarray(stored * weight_scales(rows, granularity=granularity), np.float32)


def nearest(rows: Array, granularity: Granularity = "per_channel") -> Array:
    """The integers `[C, n]` that weights `[C, n]` are rounded to where nothing is learned."""
    return np.asarray(np.round(rows / weight_scales(rows, granularity=granularity)))


def learn(visit: Visit, how: Learning, seed: int) -> Learned:
    """The rounding of a visited kernel; its layer holds the learned weights afterwards."""
    kernel, rows = visit.kernel, visit.kernel.rows
    closest = nearest(rows, how.granularity)
    kernel.assign(on_grid(rows, closest, how.granularity))
    before, shift = _errors(visit, how)
    learned = _descend(visit, rows, before, how, seed)
    kernel.assign(on_grid(rows, learned, how.granularity))
    after, learned_shift = _errors(visit, how)
    better = after < before
    stored = np.where(better[:, None], learned, closest)
    bias = kernel.bias
    if how.correct_bias and bias is not None:
        bias = np.asarray(bias - np.where(better, learned_shift, shift), np.float32)
    kernel.assign(on_grid(rows, stored, how.granularity), bias)
    return Learned(float(before.mean()), float(np.minimum(after, before).mean()), float((stored != closest).mean()))


def _errors(visit: Visit, how: Learning) -> tuple[Array, Array]:
    """Per channel `[C]`: the mean squared error behind the activation, and the mean shift of the sums.

    Where the bias will take the shift, the error is that without it.
    """
    act, found = visit.activation or _same, visit.sums_of_twin()
    shift = visit.means([a - b for a, b in zip(found, visit.sums, strict=True)])
    moved = visit.along_channels(shift if how.correct_bias else 0 * shift)
    return visit.means([(act(a - moved) - act(b)) ** 2 for a, b in zip(found, visit.sums, strict=True)]), shift


def _descend(visit: Visit, rows: Array, errors: Array, how: Learning, seed: int) -> Array:
    """Stored weights `[C, n]` after Adam on eq. 21: which of its two neighbours on the grid each weight takes.

    A row's error is counted in units of its error under nearest rounding, `errors` `[C]`, so that one regularizer fits all.
    """
    tf = require("tensorflow", "tf")
    kernel, layer, act = visit.kernel, visit.kernel.layer, visit.activation or _same
    scales = weight_scales(rows, granularity=how.granularity)
    low, free = choices(rows / scales)
    start = np.where(free, rows / scales - low, 0.5)
    floor, step_size, mask, v0 = (
        tf.constant(kernel.shaped(np.asarray(value, np.float32)))
        for value in (low, np.broadcast_to(scales, rows.shape), free, -np.log((ZETA - GAMMA) / (start - GAMMA) - 1))
    )
    weights = layer.weights[0] if isinstance(layer.weights[0], tf.Variable) else layer.weights[0].value
    v, mean, square = tf.Variable(v0), tf.Variable(tf.zeros_like(v0)), tf.Variable(tf.zeros_like(v0))
    x, sums = tf.concat(visit.rounded, 0), tf.concat(visit.sums, 0)
    unit = visit.along_channels(1 / np.maximum(errors, 1e-9 * errors.max() + 1e-30))
    batch = min(len(x), max(8, POSITIONS * kernel.channels // int(np.prod(sums.shape[1:]))))
    positions = [axis for axis in range(len(sums.shape)) if axis != visit.axis % len(sums.shape)]

    def descend() -> None:
        for step in tf.range(how.steps):
            chosen = tf.random.stateless_uniform([batch], tf.stack([seed, step]), 0, len(x), tf.int32)
            target = tf.gather(sums, chosen)
            at = tf.maximum(0.0, (tf.cast(step, tf.float32) / how.steps - WARM_UP) / (1 - WARM_UP))
            beta = BETA[1] + (BETA[0] - BETA[1]) * (1 + tf.cos(np.pi * at)) / 2
            with tf.GradientTape(persistent=True) as tape:
                up = tf.clip_by_value(tf.sigmoid(v) * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)
                soft = (floor + up * mask) * step_size
                undecided = tf.reduce_sum(mask * (1 - tf.abs(2 * up - 1) ** beta)) / len(rows[0])
                weights.assign(soft)
                found = layer(tf.gather(x, chosen))
                if how.correct_bias:
                    found -= tf.reduce_mean(found - target, positions, keepdims=True)
                loss = tf.reduce_mean(unit * (act(found) - act(target)) ** 2) * kernel.channels
            slope = tape.gradient(soft, v, tape.gradient(loss, weights))
            slope += tf.where(at > 0, REGULARIZER, 0.0) * tape.gradient(undecided, v)
            mean.assign(0.9 * mean + 0.1 * slope)
            square.assign(0.999 * square + 0.001 * slope**2)
            t = tf.cast(step + 1, tf.float32)
            v.assign_sub(how.learning_rate * mean / (1 - 0.9**t) / (tf.sqrt(square / (1 - 0.999**t)) + 1e-8))

    with linear(layer):
        tf.function(descend)()
    return np.asarray(low + free * (kernel.as_rows(v.numpy()) >= 0))


def choices(exact: Array) -> tuple[Array, Array]:
    """For weights `[C, n]` in steps of their scale: the lower neighbour of each on the grid, and whether the upper one may be taken.

    Weights on the grid stay: zeros, which may be pruned, and the largest, which sets the scale.
    """
    closest, low = np.round(exact), np.floor(exact)
    free = (np.abs(exact - closest) > 1e-4) & (low >= -WEIGHT_LIMIT) & (low < WEIGHT_LIMIT)
    return np.where(free, low, closest), free


def _same(x: Any) -> Any:
    return x

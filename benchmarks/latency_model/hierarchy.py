"""One model of all measurements: costs of work that engines, cores and versions share as far as the data say they do.

For a profile p (an engine's version on a core) and a kind of work k

    log cost[p, k] = log PRIOR[k] + common[k] + level[p] + core[core(p), k] + engine[engine(p), k] + version[p, k]
    log cycles     = log(sum over k of cost[p, k] * work[k]) + board[p, board] + residual

and every term is normal around zero with the deviations in `Spread`. So a profile with three rows takes the ratios between its
costs from its relatives, and one with twenty rows from itself. This is a hierarchical (partially pooled) model: Gelman, Hill,
"Data Analysis Using Regression and Multilevel/Hierarchical Models", 2007, chapters 11 to 13. The posterior's maximum is found by
Gauss-Newton steps, its covariance is that of the linearized model (Laplace's approximation).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.latency_model.rows import Measurement
from toolchain.data import Array
from toolchain.latency.work import TERMS

PRIOR = {
    "conv_mac": 1.3, "narrow_conv_mac": 2.5, "pointwise_mac": 1.3, "depthwise_mac": 3.5, "generic_depthwise_mac": 4.5, "dense_mac": 2.0,
    "output": 12.0, "patch_value": 1.0, "weight_byte": 0.3, "elementwise": 8.0, "pool_value": 3.0, "softmax_value": 200.0,
    "moved_value": 1.0, "operator": 1500.0,
}  # fmt: skip
"""Cycles on an Armv7E-M core with SMLAD kernels, from memory: instructions of CMSIS-NN's inner loops. `Spread.common` doubts them."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Standard deviations of the logarithms: 0.3 is about 30 %."""

    common: float = 0.6
    level: float = 0.8
    core: float = 0.35
    engine: float = 0.3
    version: float = 0.12
    board: float = 0.15
    """The smallest tried with which the intervals hold nine in ten rows of a board left out (0.12: 70 %); two boards carry it."""
    residual: float = 0.07


class Posterior(msgspec.Struct, frozen=True):
    """Parameters, their covariance, where each block of them starts, and the spread they were fitted with."""

    beta: Array
    covariance: Array
    start: dict[tuple[str, ...], int]
    spread: Spread

    def design(self, row: Measurement) -> Array:
        """`[terms + 1, parameters]`: which parameters each log cost of the row's profile, and its board's factor, sums."""
        return _design(row, self.start, len(self.beta))

    def log_costs(self, row: Measurement) -> Array:
        """Log cost of every kind of work, then the log of the board's factor, as `[terms + 1]`."""
        found: Array = LOG_PRIOR + self.design(row) @ self.beta
        return found

    def shares(self, row: Measurement) -> Array:
        """Share of the row's estimated time in each kind of work, `[terms]`."""
        cycles = np.exp(self.log_costs(row)[:-1]) * units(row)
        found: Array = cycles / cycles.sum()
        return found

    def predict(self, row: Measurement) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm of the row's cycles, the residual included."""
        costs, gradient = self.log_costs(row), np.append(self.shares(row), 1.0) @ self.design(row)
        mean = np.log(np.exp(costs[:-1]) @ units(row)) + costs[-1]
        variance = gradient @ self.covariance @ gradient + self.spread.residual**2
        return float(mean), float(np.sqrt(variance))


LOG_PRIOR = np.log([*(PRIOR[term] for term in TERMS), 1.0])


def units(row: Measurement) -> Array:
    """The row's work in the order of `TERMS`."""
    return np.array([row.work.get(term, 0.0) for term in TERMS])


def fit(rows: Sequence[Measurement], spread: Spread, known: Sequence[Measurement] = ()) -> Posterior:
    """The posterior given `rows`; profiles and boards of `known` get parameters too, for rows that are held out."""
    start, deviations = _layout([*rows, *known], spread)
    design = np.array([_design(row, start, len(deviations)) for row in rows])
    work, log_cycles = np.array([units(row) for row in rows]), np.log([row.cycles for row in rows])
    precision, weight = deviations**-2.0, spread.residual**-2.0

    def at(beta: Array) -> tuple[float, Array, Array]:
        """Half the negative log posterior but for constants, the rows' errors, and their share of time in each log cost."""
        costs = LOG_PRIOR + design @ beta
        cycles = np.exp(costs[:, :-1]) * work
        total = cycles.sum(axis=1, keepdims=True)
        error = log_cycles - np.log(total[:, 0]) - costs[:, -1]
        return float(weight * error @ error + precision @ beta**2), error, np.hstack([cycles / total, np.ones_like(total)])

    beta = np.zeros(len(deviations))
    value, error, shares = at(beta)
    for _ in range(2000):
        jacobian = np.einsum("rk,rkp->rp", shares, design)
        scaled = jacobian / precision  # rows are fewer than parameters: solve among rows (Woodbury's identity)
        among_rows = np.linalg.inv(scaled @ jacobian.T + spread.residual**2 * np.eye(len(rows)))
        step = scaled.T @ (among_rows @ (error + jacobian @ beta)) - beta
        length = 1.0
        while (reached := at(beta + length * step))[0] > value and length > 1e-6:
            length /= 2
        beta, (value, error, shares) = beta + length * step, reached
        if np.abs(step).max() < 1e-6:
            return Posterior(beta, np.diag(1 / precision) - scaled.T @ among_rows @ scaled, start, spread)
    raise ArithmeticError("the fit did not settle in 2000 steps")


def _layout(rows: Sequence[Measurement], spread: Spread) -> tuple[dict[tuple[str, ...], int], Array]:
    """Where each block of parameters starts, and every parameter's deviation."""
    blocks: dict[tuple[str, ...], tuple[int, float]] = {("common",): (len(TERMS), spread.common)}
    for row in sorted(rows, key=lambda row: (row.profile, row.board)):
        blocks[("level", row.profile)] = (1, spread.level)
        blocks[("core", row.core)] = (len(TERMS), spread.core)
        blocks[("engine", row.engine)] = (len(TERMS), spread.engine)
        blocks[("version", row.profile)] = (len(TERMS), spread.version)
        blocks[("board", row.profile, row.board)] = (1, spread.board)
    start, deviations = {}, []
    for key, (size, deviation) in blocks.items():
        start[key] = len(deviations)
        deviations += [deviation] * size
    return start, np.array(deviations)


def _design(row: Measurement, start: dict[tuple[str, ...], int], parameters: int) -> Array:
    terms = len(TERMS)
    design = np.zeros((terms + 1, parameters))
    design[:terms, start["level", row.profile]] = 1
    for key in (("common",), ("core", row.core), ("engine", row.engine), ("version", row.profile)):
        design[range(terms), range(start[key], start[key] + terms)] += 1
    design[terms, start["board", row.profile, row.board]] = 1
    return design

"""Two results compared, with what chance explains: accuracies on the same examples, durations from the same rounds.

Pairing takes out what both have in common, the hard examples and the machine's moods, so that a small difference shows.
"""

from __future__ import annotations

import math

import numpy as np

from toolchain.data import Array
from toolchain.errors import ToolchainError
from toolchain.measure.accuracy import Z95
from toolchain.measure.latency import ROUNDS, median_interval
from toolchain.report import Latency

Interval = tuple[float, float]


def difference(lost: int, gained: int, total: int) -> tuple[float, Interval]:
    """The drop (lost - gained) / total of the share of right answers on the same `total` examples, with its 95 % interval.

    Agresti & Min 2005, Statistics in Medicine 24:729-740: half an example is added to each of the four cells, then Wald.
    Raises ToolchainError for counts that cannot be.
    """
    if min(lost, gained) < 0 or total < max(1, lost + gained):
        raise ToolchainError(f"{lost} lost and {gained} gained of {total} examples cannot be; run again")
    n, more, fewer = total + 2, lost + 0.5, gained + 0.5
    centre = (more - fewer) / n
    half = Z95 * math.sqrt(more + fewer - (more - fewer) ** 2 / n) / n
    return (lost - gained) / total, (max(-1.0, centre - half), min(1.0, centre + half))


def unpaired(first: float, first_interval: Interval, second: float, second_interval: Interval) -> tuple[float, Interval]:
    """What first - second of two independent results is, with the interval that follows from theirs.

    Newcombe 1998, Statistics in Medicine 17:873-890, method 10: the distances to the limits are added as squares.
    """
    found = first - second
    low = math.hypot(first - first_interval[0], second_interval[1] - second)
    high = math.hypot(first_interval[1] - first, second - second_interval[0])
    return found, (found - low, found + high)


def ratio(first: Latency, second: Latency) -> tuple[float, Interval]:
    """How many times as long `first` takes as `second`, both timed in ONE run, with its 95 % interval.

    The median of the rounds' ratios of medians: a round times both within milliseconds, so that drift cancels. Raises
    ToolchainError where their rounds are not the same, or too few for an interval.
    """
    above, below = _rounds(first), _rounds(second)
    if len(above) != len(below):
        raise ToolchainError(f"{len(above)} and {len(below)} rounds were not timed together; time both files in one run")
    if len(above) < ROUNDS:
        raise ToolchainError(f"{len(above)} rounds are too few for an interval, which needs {ROUNDS}; time both files again")
    ratios = above / below
    return float(np.median(ratios)), median_interval(ratios.tolist())


def ratio_across(first: Latency, second: Latency, shared: tuple[Latency, Latency] | None = None) -> tuple[float, Interval]:
    """The same from two runs, which the machine's speed separates, with an interval that takes the worst of both.

    `shared` is one file timed in both runs; then each is taken relative to it, and only the rest of the difference between
    the machines counts. Two intervals of 95 % hold together in 90 % of the cases at least (Bonferroni).
    """
    if shared:
        (above, above_interval), (below, below_interval) = ratio(first, shared[0]), ratio(second, shared[1])
    else:
        above, above_interval, below, below_interval = first.p50_ms, first.interval_ms, second.p50_ms, second.interval_ms
    if min(below, *below_interval) <= 0:
        raise ToolchainError("a duration of 0 ms is none; time the files again")
    return above / below, (above_interval[0] / below_interval[1], above_interval[1] / below_interval[0])


def _rounds(latency: Latency) -> Array:
    """The median duration of each round."""
    samples = np.array(latency.samples_ms)
    if latency.rounds < 1 or not samples.size or samples.size % latency.rounds or not (samples > 0).all():
        raise ToolchainError(f"{samples.size} durations are not those of {latency.rounds} rounds; time the files again")
    return np.asarray(np.median(samples.reshape(latency.rounds, -1), 1))

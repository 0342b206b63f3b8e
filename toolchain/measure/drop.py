"""What a file lost against the model it came from, as one number that a budget can be set for."""

from __future__ import annotations

import msgspec
import numpy as np

from toolchain.data import Array
from toolchain.measure.accuracy import score
from toolchain.measure.fidelity import agreement
from toolchain.task import are_probabilities

SLACK = 1e-9
"""What a drop may be above its budget: 1 - 0.995 is a little more than 0.005."""


class Drop(msgspec.Struct, frozen=True):
    """What was lost, and of what."""

    metric: str
    """The score that was compared; `disagreement` or `relative_error` where there are no labels."""
    original: float
    value: float
    lost: float

    def within(self, budget: float) -> bool:
        """Whether no more was lost than the budget allows."""
        return self.lost <= budget + SLACK


def drop(found: Array, expected: Array, labels: Array | None) -> Drop:
    """What outputs `[N, ...]` lost against the original's.

    With labels: points of top1 or auc as a fraction, or the relative growth of the mean absolute error. Without labels: the
    share of other answers where outputs are probabilities, else the error's root mean square relative to the outputs'.
    """
    if labels is not None:
        before, after = score(expected, labels), score(found, labels)
        lost = before.value - after.value
        if before.metric == "mean_absolute_error":
            lost = -lost / before.value if before.value else -lost
        return Drop(before.metric, before.value, after.value, lost)
    same = agreement(found, expected) if are_probabilities(expected) else None
    if same is not None:
        return Drop("disagreement", 0.0, 1 - same, 1 - same)
    error = float(np.sqrt(((found - expected) ** 2).mean() / max(float((expected**2).mean()), 1e-30)))
    return Drop("relative_error", 0.0, error, error)

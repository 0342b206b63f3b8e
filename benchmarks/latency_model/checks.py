"""Held-out estimates of a kind, summed up."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.latency_model.judge import Held
from benchmarks.latency_model.profiles import digits


class Check(msgspec.Struct, frozen=True):
    """Errors as fractions of the published latency; `refused` rows take no part in them."""

    rows: int
    refused: int
    error: float
    """Mean absolute error."""
    worst: tuple[float, float]
    """Largest under- and overestimate."""
    coverage: float
    """Share in the 90 % interval."""
    width: float
    """Mean width of the intervals over the estimates."""
    errors: dict[str, float]


def check(found: Sequence[Held], z: Callable[[Held], float]) -> Check:
    """Sum up; `z` is half of a row's interval in standard deviations."""
    kept = [each for each in found if not each.refused]
    errors = [each.relative_error for each in kept]
    return Check(
        rows=len(kept),
        refused=len(found) - len(kept),
        error=digits(statistics.fmean(map(abs, errors))),
        worst=(digits(min(errors)), digits(max(errors))),
        coverage=digits(statistics.fmean(abs(each.error) <= z(each) * each.sd for each in kept)),
        width=digits(statistics.fmean(2 * math.sinh(z(each) * each.sd) for each in kept)),
        errors={f"{each.row.profile} {each.row.board} {each.row.network}": digits(each.relative_error) for each in kept},
    )

"""From measurements to profiles: which can be fitted, what their errors are, which are refused and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from benchmarks.latency_model import judge
from benchmarks.latency_model.hierarchy import Posterior, fit
from benchmarks.latency_model.judge import Held
from benchmarks.latency_model.rows import Measurement, macs
from toolchain.data import Array
from toolchain.latency.profile import Board, Errors, Profile, Row
from toolchain.latency.work import TERMS

ACCEPTED = 0.15
"""Largest mean error on families left out with which a profile is written."""
RELATIVES = 0.10
"""Largest such error of an engine's other profiles that vouches for one with too few rows to be judged itself."""
JUDGED = 2
"""Held-out rows that a profile needs to be judged by itself."""


class Calibration(msgspec.Struct, frozen=True):
    """Everything that a group of related measurements says: `unit` is what one row is."""

    unit: Literal["network", "operator"]
    rows: tuple[Measurement, ...]
    choice: judge.Choice
    choices: dict[str, judge.Choice]
    """Made without a family: what it is judged by."""
    posterior: Posterior
    families_out: tuple[Held, ...]
    rows_out: tuple[Held, ...]

    @property
    def z(self) -> float:
        """Half of a 90 % interval in standard deviations."""
        return self.choice.z

    def holds(self, held: Held) -> bool:
        """Whether the interval, made without the row's family in every respect, holds the published value."""
        return abs(held.error) <= self.choices[held.row.family].z * held.sd

    def width(self, held: Held) -> float:
        """Width of that interval over the estimate."""
        return 2 * math.sinh(self.choices[held.row.family].z * held.sd)


def calibrate(rows: Sequence[Measurement], unit: Literal["network", "operator"]) -> Calibration:
    """Choose the settings, judge them on families and rows left out, fit to everything. Takes a minute."""
    choice = judge.choose(rows)
    families_out, choices = judge.nested(rows)
    rows_out = judge.leave_rows_out(rows, choice.spread)
    return Calibration(unit, tuple(rows), choice, choices, fit(rows, choice.spread), tuple(families_out), tuple(rows_out))


def names(calibration: Calibration) -> list[str]:
    """Profiles that the measurements name, refused ones included."""
    return sorted({row.profile for row in calibration.rows})


def refusal(calibration: Calibration, name: str) -> str | None:
    """Why the evidence does not carry a profile; None when it does."""
    rows = [row for row in calibration.rows if row.profile == name]
    families = {row.family for row in rows}
    if len(families) < 3:
        return f"{len(rows)} rows of {len(families)} families of networks"
    error, judged = _error(calibration, lambda row: row.profile == name)
    if error is not None and judged >= JUDGED:
        return None if error <= ACCEPTED else f"mean error on families left out: {error:.1%} over {judged} rows"
    engine = rows[0].engine
    error, judged = _error(calibration, lambda row: row.engine == engine and row.profile != name)
    if error is None or judged < JUDGED:
        return f"none of its {len(rows)} rows can be estimated without its family, and no other version of the engine was judged"
    return None if error <= RELATIVES else f"too few rows to judge, and the engine's other profiles err by {error:.1%}"


def _error(calibration: Calibration, chosen: Callable[[Measurement], bool]) -> tuple[float | None, int]:
    kept = [each for each in calibration.families_out if chosen(each.row) and not each.refused]
    return judge.mape(kept), len(kept)


def profile(calibration: Calibration, name: str) -> Profile:
    """The profile of that name, as it is written."""
    rows = [row for row in calibration.rows if row.profile == name]
    posterior, spread = calibration.posterior, calibration.posterior.spread
    boards = {row.board: row for row in rows}
    first = rows[0]
    log_costs = posterior.log_costs(first)[:-1]
    design = np.vstack([posterior.design(first)[:-1], *(posterior.design(row)[-1:] for row in boards.values())])
    sizes = [row.network_macs for row in rows]
    return Profile(
        schema=1,
        name=name,
        core=first.core,
        engine=first.engine_title,
        dtype="int8",
        unit=calibration.unit,
        cycles={term: digits(math.exp(value)) for term, value in zip(TERMS, log_costs, strict=True)},
        boards=tuple(
            Board(name=board, clock_hz=row.clock_hz, factor=digits(math.exp(posterior.log_costs(row)[-1]))) for board, row in boards.items()
        ),
        covariance=_rounded(design @ posterior.covariance @ design.T),
        residual_sd=spread.residual,
        board_sd=spread.board,
        interval_z=digits(calibration.z),
        shares={term: digits(share) for term, share in zip(TERMS, judge.vouched(posterior, rows, name), strict=True) if share >= 0.0005},
        macs=(min(sizes), max(sizes)),
        errors=errors(calibration, name),
        rows=tuple(_row(calibration, row) for row in rows),
    )


def errors(calibration: Calibration, name: str) -> Errors:
    """A profile's errors by fit, by rows left out and by families left out."""
    rows = [row for row in calibration.rows if row.profile == name]
    judged = [each for each in calibration.families_out if each.row.profile == name and not each.refused]
    by_row = judge.mape([each for each in calibration.rows_out if each.row.profile == name])
    by_family = judge.mape(judged)
    return Errors(
        fit=digits(float(np.mean([abs(_fitted_ms(calibration.posterior, row) / row.ms - 1) for row in rows]))),
        leave_one_row_out=None if by_row is None else digits(by_row),
        leave_one_family_out=None if by_family is None else digits(by_family),
        held_out_rows=len(judged),
        coverage=digits(float(np.mean([calibration.holds(each) for each in judged]))) if judged else None,
        width=digits(float(np.mean([calibration.width(each) for each in judged]))) if judged else None,
    )


def _fitted_ms(posterior: Posterior, row: Measurement) -> float:
    return math.exp(posterior.predict(row)[0]) / row.clock_hz * 1e3


def _row(calibration: Calibration, row: Measurement) -> Row:
    found = next(each for each in calibration.families_out if each.row is row)
    reach = math.exp(calibration.choices[row.family].z * found.sd)
    return Row(
        network=row.network,
        family=row.family,
        board=row.board,
        macs=macs(row.work),
        ms=digits(row.ms),
        fitted_ms=digits(_fitted_ms(calibration.posterior, row)),
        held_out_ms=None if found.refused else digits(found.ms),
        held_out_interval_ms=None if found.refused else (digits(found.ms / reach), digits(found.ms * reach)),
        source=row.source,
    )


def digits(value: float) -> float:
    """Four significant digits: what is written does not depend on the last bits of a machine's arithmetic."""
    return float(f"{value:.4g}")


def _rounded(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 6) for value in row) for row in (matrix + matrix.T) / 2)

"""How good the model is on what it has not seen: rows and whole families left out, and the choice of its settings with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.latency_model.hierarchy import Posterior, Spread, fit
from benchmarks.latency_model.rows import Measurement
from toolchain.latency.estimate import TRUST, UNFAMILIAR

CANDIDATES = {
    "base": Spread(),
    "less doubt in the prior": Spread(common=0.4),
    "more doubt in the prior": Spread(common=0.9),
    "cores alike": Spread(core=0.2),
    "engines alike": Spread(engine=0.15),
    "smaller residual": Spread(residual=0.055),
    "larger residual": Spread(residual=0.09),
}
"""Settings to choose from, by what they say about families they have not seen."""


class Held(msgspec.Struct, frozen=True):
    """A row, what was estimated without it, and whether such an estimate would be refused."""

    row: Measurement
    mean: float
    sd: float
    refused: bool

    @property
    def error(self) -> float:
        """Log of published over estimated."""
        return math.log(self.row.cycles) - self.mean

    @property
    def ms(self) -> float:
        """The estimate."""
        return math.exp(self.mean) / self.row.clock_hz * 1e3

    @property
    def relative_error(self) -> float:
        """Estimated over published, less one."""
        return math.exp(-self.error) - 1

    @property
    def score(self) -> float:
        """Logarithm of the density that the model gives the published value; larger is better."""
        return -math.log(self.sd) - 0.5 * (self.error / self.sd) ** 2


def vouched(posterior: Posterior, rows: Sequence[Measurement], profile: str) -> np.ndarray:
    """Largest share of each kind of work in the rows of a profile, `[terms]`: zeros without rows."""
    return np.max([posterior.shares(row) for row in rows if row.profile == profile] or [[0.0]], axis=0)


def held(posterior: Posterior, rows: Sequence[Measurement], row: Measurement) -> Held:
    """`row` estimated by a posterior that was fitted to `rows` without it."""
    beyond = np.maximum(0, posterior.shares(row) - TRUST * vouched(posterior, rows, row.profile)).sum()
    return Held(row, *posterior.predict(row), refused=bool(beyond > UNFAMILIAR))


def leave_families_out(rows: Sequence[Measurement], spread: Spread, keep: str | None = None) -> list[Held]:
    """Every row, estimated without its family on any profile. `keep` is a family that is left out of everything."""
    rows = [row for row in rows if row.family != keep]
    found = []
    for family in sorted({row.family for row in rows}):
        others = [row for row in rows if row.family != family]
        posterior = fit(others, spread, rows)
        found += [held(posterior, others, row) for row in rows if row.family == family]
    return found


def leave_rows_out(rows: Sequence[Measurement], spread: Spread) -> list[Held]:
    """Every row, estimated without it, its network on other boards and profiles still in."""
    found = []
    for row in rows:
        others = [other for other in rows if other is not row]
        found.append(held(fit(others, spread, rows), others, row))
    return found


def leave_boards_out(rows: Sequence[Measurement], spread: Spread) -> list[Held]:
    """Rows of profiles with two boards, each estimated from the other board alone: as an unknown board, its factor free."""
    found = []
    for profile in sorted({row.profile for row in rows}):
        boards = sorted({row.board for row in rows if row.profile == profile})
        for board in boards if len(boards) > 1 else ():
            others = [row for row in rows if (row.core, row.board) != (next(r.core for r in rows if r.profile == profile), board)]
            posterior = fit(others, spread, rows)
            found += [held(posterior, others, row) for row in rows if (row.profile, row.board) == (profile, board)]
    return found


def thinned(rows: Sequence[Measurement], spread: Spread, profile: str, networks: Sequence[str]) -> list[Held]:
    """A large profile cut down to `networks`, its core's other profiles dropped: what a profile of few rows is worth."""
    core = next(row.core for row in rows if row.profile == profile)
    kept = [row for row in rows if row.core != core or (row.profile == profile and row.network in networks)]
    posterior = fit(kept, spread, rows)
    return [held(posterior, kept, row) for row in rows if row.profile == profile and row.network not in networks]


def score(found: Sequence[Held]) -> float:
    """Mean over families of the mean score of their rows that are not refused, so that no family counts for its size."""
    families = sorted({each.row.family for each in found if not each.refused})
    return float(
        np.mean([np.mean([each.score for each in found if each.row.family == family and not each.refused]) for family in families])
    )


class Choice(msgspec.Struct, frozen=True):
    """Settings, what every candidate came to on families left out, and the interval that follows from the chosen one's errors."""

    name: str
    candidates: dict[str, list[Held]]

    @property
    def spread(self) -> Spread:
        """The settings."""
        return CANDIDATES[self.name]

    @property
    def z(self) -> float:
        """Half of a 90 % interval in standard deviations."""
        return interval_z(self.candidates[self.name])


def choose(rows: Sequence[Measurement], keep: str | None = None) -> Choice:
    """The candidate with the best score on families left out; `keep` takes no part."""
    candidates = {name: leave_families_out(rows, spread, keep) for name, spread in CANDIDATES.items()}
    return Choice(max(candidates, key=lambda name: score(candidates[name])), candidates)


def nested(rows: Sequence[Measurement]) -> tuple[list[Held], dict[str, Choice]]:
    """Families left out of the fit, of the choice of settings and of the interval; the choices by family."""
    found, choices = [], {}
    for family in sorted({row.family for row in rows}):
        choices[family] = choose(rows, keep=family)
        others = [row for row in rows if row.family != family]
        posterior = fit(others, choices[family].spread, rows)
        found += [held(posterior, others, row) for row in rows if row.family == family]
    return found, choices


def mape(found: Sequence[Held]) -> float | None:
    """Mean absolute relative error of the estimates that are not refused."""
    errors = [abs(each.relative_error) for each in found if not each.refused]
    return float(np.mean(errors)) if errors else None


def interval_z(found: Sequence[Held]) -> float:
    """Standard deviations that hold nine of ten held-out rows, families counting alike, and never fewer than a normal's 1.645.

    A conformal quantile (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005) in which the rows of a family
    share one unit of weight, because they err together.
    """
    kept = [each for each in found if not each.refused]
    sizes = Counter(each.row.family for each in kept)
    ordered = sorted((abs(each.error) / each.sd, 1 / sizes[each.row.family]) for each in kept)
    reached = np.cumsum([weight for _, weight in ordered]) / len(sizes)
    return max(ordered[int(np.searchsorted(reached, 0.9))][0], 1.645)

"""Latency profiles: what a unit of work costs on a core with one version of one engine, and how well that is known.

A profile is a file `targets/profiles/ENGINE-VERSION/CORE.json`, written by `python -m benchmarks.latency_model` and never by
hand; its name is its path without the suffix. The model: the logarithm of a network's cycles is normally distributed around
`log(sum(cycles * work))`, and so are the logarithms of the costs around those in the file, with the covariance given there.
"""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path
from typing import Literal

import msgspec

from toolchain.errors import TargetError
from toolchain.settings import suggest


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A board whose measurements are in the profile."""

    name: str
    clock_hz: int
    factor: float
    """Its cycles over those of a middling board of the same core."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A published measurement, and what the model made of it."""

    network: str
    family: str
    board: str
    macs: int
    ms: float
    """As published."""
    fitted_ms: float
    held_out_ms: float | None
    """Estimated without any measurement of the network's family, on any core; None: such an estimate is refused."""
    held_out_interval_ms: tuple[float, float] | None
    source: str


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Mean absolute errors as fractions of the published latency; None where every estimate is refused."""

    fit: float
    leave_one_row_out: float | None
    leave_one_family_out: float | None
    held_out_rows: int
    """Rows that were estimated without their family; the others would have been refused."""
    coverage: float | None
    """Share of them that lie in the 90 % interval."""
    width: float | None
    """Mean width of their intervals over their estimates."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs of one engine's version on one core, with their evidence."""

    schema: Literal[1]
    name: str
    core: str
    engine: str
    """As the measurements' submitters name it, with the version."""
    dtype: Literal["int8"]
    unit: Literal["network", "operator"]
    """What a row is: a network, or one operator of the only network that was measured."""
    cycles: dict[str, float]
    """Cycles of one unit of each kind of work (`toolchain.latency.work.TERMS`)."""
    boards: tuple[Board, ...]
    covariance: tuple[tuple[float, ...], ...]
    """Of the logarithms of the costs and of the boards' factors, in their order."""
    residual_sd: float
    """What networks differ by beside their work, as a standard deviation of the logarithm."""
    board_sd: float
    """What boards of one core and engine differ by, likewise: added for a board without measurements."""
    interval_z: float
    """Half the 90 % interval over the standard deviation, from the held-out errors of all profiles."""
    shares: dict[str, float]
    """The largest share of a measured network's time that each kind of work takes: what was calibrated."""
    macs: tuple[int, int]
    """Multiply-accumulates of the smallest and the largest measured network."""
    errors: Errors
    rows: tuple[Row, ...]

    def board(self, name: str) -> Board:
        """The measured board of that name. Raises TargetError with the choices."""
        for board in self.boards:
            if board.name == name:
                return board
        raise TargetError(f"profile {self.name} was not measured on {name!r}; {suggest(name, [board.name for board in self.boards])}")


def folder() -> Path:
    """Where the profiles lie."""
    return Path(str(importlib.resources.files("targets"))) / "profiles"


def names() -> list[str]:
    """All profiles."""
    return sorted(str(path.relative_to(folder()).with_suffix("")) for path in folder().glob("*/*.json"))


@functools.cache
def load(name: str) -> Profile:
    """A profile by name. Raises TargetError with the choices, the nearest first."""
    if name not in names():
        raise TargetError(f"no latency profile {name!r}; {suggest(name, names())}")
    path = folder() / f"{name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Profile)
    except (OSError, msgspec.DecodeError) as err:
        raise TargetError(f"{path}: {err}") from None

"""The `[gate]` of a recipe: limits on files, absolute or against a baseline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from toolchain.errors import RecipeError
from toolchain.settings import build

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Times = Annotated[float, msgspec.Meta(gt=0)]

SETTINGS = ("files", "target", "reference", "undecided", "baseline")
"""Keys that say what is judged and how; every other key is a limit."""

TARGET_LIMITS = ("max_arena_bytes", "max_instructions", "must_fit")
"""Limits that hold on each target by itself."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One `[gate]` or `[[gate]]` table; a limit that is not given is not checked."""

    files: str = ""
    """Pattern of file names, as in a shell (`*.tflite`); empty: every file that a run makes to be shipped.

    These are not the ones exported from the original to compare with, those of attempts that were not chosen, and packages
    of C, which no runtime here measures: a pattern that names them has them judged.
    """
    target: str = ""
    """Pattern of targets for the limits on targets; empty: every target of the run."""
    max_accuracy_drop: Share | None = None
    """Against the original model on the test split: a fraction of top1 or auc, relative growth of an error."""
    max_bytes: Count | None = None
    max_gzip_bytes: Count | None = None
    max_p50_ratio: Times | None = None
    """Median latency on this machine, times that of `reference`."""
    reference: str = ""
    """The file that `max_p50_ratio` compares with, in the same run; empty: `original_float32` or `float32` in the same format."""
    min_sparsity: Share | None = None
    """Share of weights that are zero."""
    max_arena_bytes: Count | None = None
    """Working memory of the target's interpreter, as its fit counts it, without what the target reserves."""
    max_instructions: Count | None = None
    """Executed by one inference."""
    must_fit: bool = False
    undecided: Literal["pass", "fail"] = "pass"
    """What happens where a measurement lies beyond a limit and the limit inside its confidence interval."""
    baseline: BaselineLimits | None = None
    """Limits against the same file in the report of an earlier run."""


class BaselineLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A `[gate.baseline]` table: how much worse than the baseline a file may be. Ratios: 1.02 allows 2 % more."""

    max_accuracy_drop: Share | None = None
    max_bytes: Times | None = None
    max_gzip_bytes: Times | None = None
    max_p50_ratio: Times | None = None
    max_arena_bytes: Times | None = None
    max_instructions: Times | None = None


def asked(table: Limits | BaselineLimits | None) -> dict[str, float | bool]:
    """The limits that a table sets, by name."""
    names = [name for name in table.__struct_fields__ if name not in SETTINGS] if table else []
    values = {name: getattr(table, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def from_tables(tables: Any, where: str) -> tuple[Limits, ...]:
    """Check `[gate]` or `[[gate]]` tables. Raises RecipeError, also for a table that limits nothing: everything would pass it."""
    found = []
    for index, table in enumerate(tables_of(tables, where)):
        place = f"{where}: gate[{index}]"
        nested = table.get("baseline")
        given = table | {"baseline": build(BaselineLimits, nested, f"{place}.baseline", RecipeError)} if isinstance(nested, dict) else table
        limits = build(Limits, given, place, RecipeError)
        if not asked(limits) and not asked(limits.baseline):
            names = [name for name in Limits.__struct_fields__ if name not in SETTINGS]
            raise RecipeError(f"{place} limits nothing; give one of {', '.join(names)}, here or under baseline")
        found.append(limits)
    return tuple(found)


def tables_of(tables: Any, where: str) -> list[dict[str, Any]]:
    """The tables of `[gate]`, which is one, or of `[[gate]]`. Raises RecipeError."""
    entries: list[Any] = list(tables) if isinstance(tables, list | tuple) else [tables]
    if not all(isinstance(entry, dict) for entry in entries):
        raise RecipeError(f"{where}: gate is no table; write [gate] and below it a limit, such as max_accuracy_drop = 0.01")
    return entries

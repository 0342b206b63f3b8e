"""The `[gate]` of a recipe: limits on files, absolute or against a baseline."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Times = Annotated[float, msgspec.Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One `[gate]` or `[[gate]]` table; a limit that is not given is not checked."""

    files: str = ""
    """Pattern of file names, as in a shell (`*.tflite`); empty: every file but those exported from the original to compare with."""
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
    max_instructions: Count | None = None
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

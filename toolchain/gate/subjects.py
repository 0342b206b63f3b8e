"""Which files and targets a limit is about. A pattern that matches nothing is a subject, too: otherwise its limit would pass unseen."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from toolchain.artifact import Format
from toolchain.gate.durations import reference_of
from toolchain.gate.limits import TARGET_LIMITS, Limits, asked
from toolchain.report import ArtifactReport, Report, TargetReport

Against = Literal["absolute", "original", "baseline"]


class Subject(msgspec.Struct, frozen=True):
    """One limit on one file and, for limits on targets, one target."""

    limit: str
    allowed: float | bool
    against: Against
    file: str
    """Its name, or the pattern that no file has."""
    row: ArtifactReport | None
    target: str | None = None
    """Its name, or the pattern that no target of the file has; None for limits on the file alone."""
    on: TargetReport | None = None


def subjects(report: Report, table: Limits) -> Iterator[Subject]:
    """Every limit of a table with the files and targets it names."""
    for limit, allowed in asked(table).items():
        against: Against = "original" if limit in ("max_accuracy_drop", "max_p50_ratio") else "absolute"
        yield from _of_limit(report, table, limit, allowed, against)
    for limit, allowed in asked(table.baseline).items():
        yield from _of_limit(report, table, limit, allowed, "baseline")


def _of_limit(report: Report, table: Limits, limit: str, allowed: float | bool, against: Against) -> Iterator[Subject]:
    rows = [row for row in report.artifacts if _is_meant(report, table, row)]
    if limit == "max_p50_ratio" and against == "original":  # the reference is not compared with itself
        rows = [row for row in rows if reference_of(report, row, table.reference) != row.name]
    if not rows:
        yield Subject(limit, allowed, against, table.files or "*", None)
    for row in rows:
        if limit not in TARGET_LIMITS:
            yield Subject(limit, allowed, against, row.name, row)
            continue
        named = [on for on in row.targets if fnmatchcase(on.target, table.target or "*")]
        for on in named:
            yield Subject(limit, allowed, against, row.name, row, on.target, on)
        if not named:
            yield Subject(limit, allowed, against, row.name, row, table.target or "*")


def _is_meant(report: Report, table: Limits, row: ArtifactReport) -> bool:
    """Whether a table is about a file; see `Limits.files`."""
    if table.files:
        return fnmatchcase(row.name, table.files)
    rejected = any(one.artifact == row.name and not one.chosen for one in report.attempts)
    return not (rejected or row.name.startswith("original_") or row.format == Format.C_SOURCE)

"""A file that could be shipped, with what it loses and costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from toolchain import target_rows
from toolchain.recommendation.loss import Loss
from toolchain.report import ArtifactReport, TargetReport


class Cost(NamedTuple):
    """What an inference costs."""

    amount: float
    said: str
    """The amount and how it came about."""


class Candidate(NamedTuple):
    """A file for a target or, without one, for a machine like this one."""

    artifact: ArtifactReport
    on: TargetReport | None
    loss: Loss
    costs: dict[tuple[str, ...], Cost]
    """By what is counted and where it comes from, the best evidence first."""


def costs(artifact: ArtifactReport, on: TargetReport | None) -> Iterator[tuple[tuple[str, ...], Cost]]:
    """Everything that tells what an inference costs, by what is counted and where it comes from; the best evidence first."""
    for result in target_rows.timed(on) if on else ():
        between = "" if result.interval_ms is None else "{:.3g} to {:.3g} in 90 %, ".format(*result.interval_ms)
        yield (
            ("time", result.emulator, result.profile or ""),
            Cost(result.ms or 0.0, f"{result.ms:.3g} ms, {between}{target_rows.origin(result)}"),
        )
    for result in target_rows.counted(on) if on else ():
        yield (
            ("instructions", result.emulator),
            Cost(result.instructions or 0, f"{result.instructions:,} instructions, {target_rows.origin(result)}"),
        )
    if artifact.latency:
        yield ("time", "here"), Cost(artifact.latency.p50_ms, f"{artifact.latency.p50_ms:.3g} ms, median on this machine, measured")


def shared(candidates: Sequence[Candidate]) -> tuple[str, ...] | None:
    """The best evidence of cost that all of them have."""
    return next((key for key in candidates[0].costs if all(key in other.costs for other in candidates)), None)

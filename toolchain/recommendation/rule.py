"""The rule that names a file for every target.

A file is a candidate for a target where it fits and no limit of the gate stops it; on a machine like this one, every
file that the runtime reads. Files of attempts that were not chosen are no candidates, nor are those exported from the
original to compare with where there is a gate that is not about them. Candidates that lose no accuracy come first:
those whose paired 95 % interval of the loss includes zero or ends below half a point, and those that pass the gate's
`max_accuracy_drop`, because whoever wrote it said what may be lost. On few examples the interval includes zero and five
points, too; there only what lost half a point or less comes first. Where all lose more, the one that loses least. Among
equals decides the time on the target (executed, the vendor's, estimated), else the instructions, else the median time
on this machine, in each case only what is known of all of them; then flash, then the download. What is not known to fit
is named only where nothing else does, and said to be unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from toolchain.recommendation import words
from toolchain.recommendation.candidates import Candidate, costs, shared
from toolchain.recommendation.loss import loss
from toolchain.recommendation.words import listed
from toolchain.report import ArtifactReport, Report, TargetReport

RUNTIMES: Final = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}


class Recommendation(msgspec.Struct, frozen=True):
    """The file for one target or, where `target` is None, for a runtime on a machine like the one that measured."""

    target: str | None
    runtime: str | None
    file: str | None
    """None where no file can be recommended; `why` says so."""
    fits: bool | None
    """None where it could not be found out."""
    why: str
    runner_up: str | None = None
    behind: str = ""
    """How the runner-up compares."""


def recommend(report: Report) -> tuple[Recommendation, ...]:
    """One for every target of the report, then one for every runtime that reads one of the files."""
    rejected = {tried.artifact for tried in report.attempts if not tried.chosen}
    unasked = {row.name for row in report.artifacts if row.name.startswith("original_") and _unlimited(report, row)}
    report = msgspec.structs.replace(report, artifacts=tuple(row for row in report.artifacts if row.name not in rejected | unasked))
    targets = dict.fromkeys(on.target for artifact in report.artifacts for on in artifact.targets)
    runtimes = {artifact.format: RUNTIMES[artifact.format] for artifact in report.artifacts if artifact.format in RUNTIMES}
    found = (
        *(_for_target(report, target) for target in targets),
        *(_for_runtime(report, format, runtime) for format, runtime in runtimes.items()),
    )
    left_out = " Files of the original that no limit of the gate is about are left out." if unasked else ""
    return tuple(msgspec.structs.replace(one, why=one.why + left_out) for one in found)


def _for_target(report: Report, target: str) -> Recommendation:
    on_target = [(artifact, on) for artifact in report.artifacts for on in artifact.targets if on.target == target]
    for fits in (True, None):
        fitting = [(artifact, on) for artifact, on in on_target if on.fits is fits]
        passed = [(artifact, on) for artifact, on in fitting if not _stopped(report, artifact, target)]
        if passed:
            ranked = _ranked([_candidate(report, artifact, on) for artifact, on in passed])
            return _recommendation(report, ranked, f"that {'fit' if fits else 'may fit'}", len(fitting) - len(passed))
        if fitting:
            names = listed([f"{artifact.name} ({', '.join(_stopped(report, artifact, target))})" for artifact, _ in fitting])
            return Recommendation(target, None, None, None, f"No file passes the gate: {names}.")
    reasons = listed([f"{artifact.name}: {'; '.join(on.reasons) or 'no reason given'}" for artifact, on in on_target], "; ")
    return Recommendation(target, None, None, False, f"No file fits. {reasons}.")


def _for_runtime(report: Report, format: str, runtime: str) -> Recommendation:
    readable = [artifact for artifact in report.artifacts if artifact.format == format]
    passed = [artifact for artifact in readable if not _stopped(report, artifact, None)]
    if not passed:
        names = listed([f"{artifact.name} ({', '.join(_stopped(report, artifact, None))})" for artifact in readable])
        return Recommendation(None, runtime, None, None, f"No file passes the gate: {names}.")
    ranked = _ranked([_candidate(report, artifact, None) for artifact in passed])
    found = _recommendation(report, ranked, f"for {runtime}", len(readable) - len(passed))
    return msgspec.structs.replace(found, runtime=runtime)


def _stopped(report: Report, artifact: ArtifactReport, target: str | None) -> list[str]:
    """The gate's limits that a file exceeds, or that nobody could check, on this machine and on the target."""
    return [
        verdict.limit
        for verdict in report.gate
        if verdict.file == artifact.name and verdict.target in (None, target) and verdict.status in ("failed", "unknown")
    ]


def _unlimited(report: Report, artifact: ArtifactReport) -> bool:
    """Whether there is a gate, and none of its limits is about a file."""
    return bool(report.gate) and all(verdict.file != artifact.name for verdict in report.gate)


def _candidate(report: Report, artifact: ArtifactReport, on: TargetReport | None) -> Candidate:
    allowed = [
        float(verdict.allowed)
        for verdict in report.gate
        if (verdict.file, verdict.status) == (artifact.name, "passed")
        and (verdict.limit, verdict.against) == ("max_accuracy_drop", "original")
    ]
    lost = msgspec.structs.replace(loss(artifact, report.model, report.data), allowed=min(allowed, default=None))
    return Candidate(artifact, on, lost, dict(costs(artifact, on)))


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    bearable = [candidate for candidate in candidates if candidate.loss.bearable]
    others = [candidate for candidate in candidates if not candidate.loss.bearable]
    return _by_cost(bearable, False) + _by_cost(others, True)


def _by_cost(candidates: Sequence[Candidate], loss_first: bool) -> list[Candidate]:
    key = shared(candidates) if candidates else None

    def order(one: Candidate) -> tuple[float, ...]:
        lost = 0.0 if not loss_first else math.inf if one.loss.drop is None else one.loss.drop
        flash = one.on.flash_bytes if one.on and one.on.flash_bytes is not None else 0
        return (lost, one.costs[key].amount if key else 0.0, flash, one.artifact.gzip_bytes)

    return sorted(candidates, key=order)


def _recommendation(report: Report, ranked: Sequence[Candidate], which: str, stopped: int) -> Recommendation:
    """The first of the ranked in a sentence, fit, accuracy and cost, and the second beside it."""
    first, *others = ranked
    *said, last = filter(None, (words.fit(first.on), words.accuracy(ranked, which), words.cost(ranked, which)))
    why = f"It {', '.join(said)}{',' if len(said) > 1 else ''}{' and ' if said else ''}{last}."
    more = words.remarks(first, _unlimited(report, first.artifact), stopped)
    return Recommendation(
        target=first.on.target if first.on else None,
        runtime=None,
        file=first.artifact.name,
        fits=first.on.fits if first.on else None,
        why=f"{why} {more}".rstrip(),
        runner_up=others[0].artifact.name if others else None,
        behind=words.behind(first, others[0]) if others else "",
    )

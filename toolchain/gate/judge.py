"""Judge a report by limits. Fails closed: what cannot be checked is `unknown`, and stops a gate as a failure does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from toolchain.errors import ToolchainError
from toolchain.gate import drops, durations, on_targets
from toolchain.gate.evidence import Evidence, times, unknown
from toolchain.gate.limits import TARGET_LIMITS, Limits, asked
from toolchain.gate.subjects import Subject, subjects
from toolchain.measure.drop import SLACK
from toolchain.report import ArtifactReport, Report, Skipped, TargetReport, Verdict

Status = Literal["failed", "unknown", "inside", "passed"]
ORDER: Final[tuple[Status, ...]] = ("failed", "unknown", "inside", "passed")
"""Of verdicts in a table: what stops a gate comes first."""


def judge(report: Report, limits: Sequence[Limits], baseline: Report | None = None) -> tuple[Verdict, ...]:
    """A verdict for each limit, file and target, failures first. Limits against a baseline that is not there are `unknown`."""
    verdicts = [
        _verdict(table, subject, _evidence(report, table, subject, baseline)) for table in limits for subject in subjects(report, table)
    ]
    return tuple(sorted(verdicts, key=lambda verdict: ORDER.index(verdict.status)))


def judged(report: Report, limits: Sequence[Limits]) -> Report:
    """A run's report with the outcome of its recipe's gate. A run has no baseline: what is not judged therefore is in `skipped`."""
    alone = [msgspec.structs.replace(table, baseline=None) for table in limits]
    skipped = tuple(
        Skipped("gate", f"baseline.{limit}", "a run has no baseline; secateur gate judges its report against one")
        for limit in dict.fromkeys(name for table in limits for name in asked(table.baseline))
    )
    return msgspec.structs.replace(report, gate=judge(report, alone), skipped=report.skipped + skipped)


def stopped(verdicts: Iterable[Verdict]) -> bool:
    """Whether a gate with these verdicts is closed."""
    return any(verdict.status in ("failed", "unknown") for verdict in verdicts)


def _evidence(report: Report, table: Limits, subject: Subject, baseline: Report | None) -> Evidence:
    row, on = subject.row, subject.on
    if row is None:
        return unknown(f"no file to judge by this name; the run made {_listed(one.name for one in report.artifacts)}")
    if subject.limit in TARGET_LIMITS and on is None:
        ran = _listed(one.target for one in row.targets)
        return unknown(f"the run put this file on {ran}; run it with --target, or name only files that targets take: files = ...")
    try:
        if subject.against == "baseline":
            return _against_baseline(report, subject.limit, row, on, baseline)
        return _alone(report, table, subject.limit, row, on)
    except ToolchainError as err:
        return unknown(str(err))


def _alone(report: Report, table: Limits, limit: str, row: ArtifactReport, on: TargetReport | None) -> Evidence:
    """What the run says by itself."""
    if on:
        return {"max_arena_bytes": on_targets.arena, "max_instructions": on_targets.instructions, "must_fit": on_targets.fits}[limit](on)
    match limit:
        case "max_accuracy_drop":
            return drops.against_original(report, row)
        case "max_p50_ratio":
            return durations.against_reference(report, row, durations.reference_of(report, row, table.reference))
        case "min_sparsity":
            return _sparsity(row)
        case "max_bytes":
            return Evidence(row.bytes, "the file")
        case "max_gzip_bytes":
            return Evidence(row.gzip_bytes, "the file, compressed by gzip")
    raise AssertionError(limit)


def _against_baseline(report: Report, limit: str, row: ArtifactReport, on: TargetReport | None, baseline: Report | None) -> Evidence:
    """What the run says beside an earlier one."""
    if baseline is None:
        return unknown("there is no baseline; give the report of an earlier run as --baseline")
    old = next((one for one in baseline.artifacts if one.name == row.name), None)
    if old is None:
        return unknown(f"the baseline has no file of this name; it has {_listed(one.name for one in baseline.artifacts)}")
    if on:
        before = next((one for one in old.targets if one.target == on.target), None)
        if before is None:
            return unknown(f"the baseline put this file on {_listed(one.target for one in old.targets)}; run it with --target {on.target}")
        return {"max_arena_bytes": on_targets.arena_ratio, "max_instructions": on_targets.instructions_ratio}[limit](on, before)
    match limit:
        case "max_accuracy_drop":
            return drops.against_baseline(report, row, baseline, old)
        case "max_p50_ratio":
            return durations.against_baseline(report, row, baseline, old)
        case "max_bytes":
            return times(row.bytes, old.bytes, "B")
        case "max_gzip_bytes":
            return times(row.gzip_bytes, old.gzip_bytes, "B compressed by gzip")
    raise AssertionError(limit)


def _sparsity(row: ArtifactReport) -> Evidence:
    if not row.parameters or row.nonzero_parameters is None:
        return unknown("the number of weights that are zero is not known; judge the .tflite or .onnx instead")
    return Evidence(1 - row.nonzero_parameters / row.parameters, f"{row.nonzero_parameters:,} of {row.parameters:,} weights are not zero")


def _verdict(table: Limits, subject: Subject, evidence: Evidence) -> Verdict:
    status, said = _status(subject, evidence), evidence.said
    if status == "inside":
        more = drops.enough(evidence, subject.allowed) if subject.limit == "max_accuracy_drop" else "time it again on an idle machine"
        said = f"the limit is inside the interval, {more}; {said}"
        status = "failed" if table.undecided == "fail" else "inside"
    return Verdict(
        subject.file, subject.target, subject.limit, subject.against, subject.allowed, evidence.value, evidence.interval, status, said
    )


def _status(subject: Subject, evidence: Evidence) -> Status:
    """Beyond its limit a number fails, unless chance explains it: then the limit lies inside its interval."""
    value, allowed = evidence.value, subject.allowed
    if value is None:
        return "unknown"
    if subject.limit == "must_fit":
        return "passed" if value else "failed"
    beyond = allowed - value if subject.limit.startswith("min_") else value - allowed
    if beyond <= SLACK:
        return "passed"
    return "inside" if evidence.interval and evidence.interval[0] <= allowed else "failed"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

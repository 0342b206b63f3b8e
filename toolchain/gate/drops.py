"""What a file lost in accuracy: against the original on the same examples, or against a baseline on the same or on others."""

from __future__ import annotations

from typing import Final

from toolchain.data import Array
from toolchain.errors import ToolchainError
from toolchain.gate.evidence import Evidence, unknown
from toolchain.measure.accuracy import wilson
from toolchain.measure.answers import rights
from toolchain.measure.paired import difference, unpaired
from toolchain.report import Answers, ArtifactReport, ModelReport, Report

SETTLED: Final = 1_000_000
"""Test examples beyond which nobody is told how many would decide."""

SCORES: Final = {"top1": "top1", "auc": "AUC", "mean_absolute_error": "mean absolute error"}


def against_original(report: Report, row: ArtifactReport) -> Evidence:
    """The drop from the model that the run started from."""
    if report.data is None:
        return unknown("there were no test data, and answers to random inputs say nothing about accuracy; run with --data")
    if row.accuracy is None or report.model.accuracy is None:
        return _disagreement(row, report.data.test)
    if row.metric == "top1" and row.answers and (total := sum(row.answers.support)):
        return _paired(row.answers.lost, row.answers.gained, total, "the original")
    return _unpaired(report.model, row, "the original's")


def against_baseline(report: Report, row: ArtifactReport, baseline: Report, old: ArtifactReport) -> Evidence:
    """The drop from the same file of an earlier run."""
    if row.accuracy is None or old.accuracy is None:
        return unknown("accuracy was not measured in both runs; run both with --data that has labels")
    before, after = old.answers, row.answers
    if row.metric == old.metric == "top1" and before and after and after.support and _same_examples(report, baseline):
        if before.support != after.support:
            raise ToolchainError(f"{row.name}: the reports name the same test data and count other classes; run both again")
        was, now = _rights(old.name, before), _rights(row.name, after)
        return _paired(int((was & ~now).sum()), int((now & ~was).sum()), len(now), "the baseline")
    return _unpaired(old, row, "the baseline's")


def enough(evidence: Evidence, allowed: float) -> str:
    """About how many test examples would move an interval that contains the limit away from it, as it narrows with their root."""
    assert evidence.value is not None
    assert evidence.interval is not None
    beyond = evidence.value - allowed
    if not evidence.examples or beyond <= 0:
        return "more test examples decide it"
    needed = evidence.examples * ((evidence.value - evidence.interval[0]) / beyond) ** 2
    if needed > SETTLED:
        return f"more than {SETTLED:,} test examples would decide it"
    return f"about {float(f'{needed:.2g}'):,.0f} test examples would decide it"


def _paired(lost: int, gained: int, total: int, whom: str) -> Evidence:
    found, interval = difference(lost, gained, total)
    said = f"example by example against {whom}: of {total:,}, {lost:,} lost the right answer and {gained:,} gained it"
    return Evidence(found, said, interval, total)


def _unpaired(before: ModelReport | ArtifactReport, row: ArtifactReport, whose: str) -> Evidence:
    """From the intervals of two scores, as if they came from different examples; that can only make the interval wider."""
    if before.metric != row.metric:
        return unknown(f"{before.metric} and {row.metric} cannot be compared; run both on data with the same kind of labels")
    if before.accuracy is None or row.accuracy is None or not before.accuracy_interval or not row.accuracy_interval:
        return unknown("a score has no interval; run with more test examples")
    name = SCORES.get(str(row.metric), row.metric)
    said = f"{name} {row.accuracy:.4g} against {whose} {before.accuracy:.4g}, not paired: from the two intervals"
    if row.metric != "mean_absolute_error":
        drop, interval = unpaired(before.accuracy, before.accuracy_interval, row.accuracy, row.accuracy_interval)
        return Evidence(drop, said, interval, row.accuracy_examples)
    unit = before.accuracy or 1.0
    grown, (low, high) = unpaired(row.accuracy, row.accuracy_interval, before.accuracy, before.accuracy_interval)
    return Evidence(grown / unit, f"{said}, relative to {whose}", (low / unit, high / unit), row.accuracy_examples)


def _disagreement(row: ArtifactReport, examples: int) -> Evidence:
    """Without labels: the share of examples with another answer than the original's, some of which may be right."""
    if row.agreement is None or examples < 1:
        return unknown("there are no labels, and outputs that are no probabilities are no answers; run with --data that has labels")
    if not 0 <= row.agreement <= 1:
        raise ToolchainError(f"{row.name}: a share of {row.agreement:g} of the answers cannot be; run again")
    other = round((1 - row.agreement) * examples)
    said = f"no labels: {other:,} of {examples:,} answers are other than the original's, right or wrong"
    return Evidence(1 - row.agreement, said, wilson(other, examples), examples)


def _same_examples(report: Report, baseline: Report) -> bool:
    """Whether both runs were tested on the same examples in the same order."""
    if report.data is None or baseline.data is None:
        return False
    here, there = report.data, baseline.data
    return (here.digest, here.seed, here.train, here.validation, here.test) == (
        there.digest, there.seed, there.train, there.validation, there.test,
    )  # fmt: skip


def _rights(name: str, answers: Answers) -> Array:
    """Which examples were answered rightly. Raises ToolchainError where the report contradicts itself."""
    try:
        found = rights(answers)
    except ValueError:
        found = None
    if found is None or found.sum() != sum(answers.hits):
        raise ToolchainError(f"{name}: the report's single answers are not those it counts; run again")
    return found

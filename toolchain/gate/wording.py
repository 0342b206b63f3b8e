"""A verdict in words, the same in the terminal, in JUnit and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from toolchain.gate.judge import ORDER, stopped
from toolchain.report import Verdict

WORDS = {"failed": "failed", "unknown": "not known", "inside": "undecided", "passed": "passed"}


class Cells(msgspec.Struct, frozen=True):
    """One verdict as text."""

    outcome: str
    limit: str
    file: str
    target: str
    allowed: str
    found: str
    interval: str
    said: str


COLUMNS = ("", "limit", "file", "target", "allowed", "found", "95 % interval", "how it came about")


def cells(verdict: Verdict) -> Cells:
    """One line of a table."""
    interval = verdict.interval
    return Cells(
        WORDS[verdict.status],
        limit_name(verdict),
        verdict.file,
        verdict.target or "",
        _value(verdict, verdict.allowed),
        "" if verdict.found is None else _value(verdict, verdict.found),
        "" if interval is None else f"{_value(verdict, interval[0])} to {_value(verdict, interval[1])}",
        verdict.said,
    )


def limit_name(verdict: Verdict) -> str:
    """The key in the recipe."""
    return f"baseline.{verdict.limit}" if verdict.against == "baseline" else verdict.limit


def summary(verdicts: Sequence[Verdict]) -> str:
    """The outcome in a sentence."""
    counts = Counter(verdict.status for verdict in verdicts)
    listed = ", ".join(f"{counts[status]} {WORDS[status]}" for status in ORDER if counts[status])
    return f"gate {'closed' if stopped(verdicts) else 'passed'}: {listed}"


def _value(verdict: Verdict, value: float | bool) -> str:
    """A number in the unit of its limit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if verdict.limit in ("max_accuracy_drop", "min_sparsity"):
        return f"{value:.2%}"
    if verdict.limit == "max_p50_ratio" or verdict.against == "baseline":
        return f"{value:.4g}x"
    return f"{value:,}" + (" B" if verdict.limit.endswith("bytes") else "")

"""Everything that was left out, told once a reason: thirty files refused for one reason are one entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from toolchain.fidelity.layers import short
from toolchain.report import Skipped

LISTED: Final = 4
"""Names that stand in full."""


def grouped(rows: Sequence[Skipped]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Reasons in the order in which they first came up, each with its steps and what was left out there."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        reasons.setdefault(row.reason, {}).setdefault(row.step, []).append(short(row.what))
    return [(reason, [(step, _listed(names)) for step, names in steps.items()]) for reason, steps in reasons.items()]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= LISTED else f"{', '.join(names[: LISTED - 1])} and {len(names) - LISTED + 1} more"

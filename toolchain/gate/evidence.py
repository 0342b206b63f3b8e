"""What is known about one limit on one file, before anybody decides."""

from __future__ import annotations

import msgspec


class Evidence(msgspec.Struct, frozen=True):
    """A number, or the reason why there is none and what to do about it."""

    value: float | bool | None
    said: str
    interval: tuple[float, float] | None = None
    """95 % interval, where chance has a part in the number."""
    examples: int | None = None
    """Test examples behind it: more of them make the interval narrower."""


def unknown(said: str) -> Evidence:
    """Nothing is known; a gate does not pass on that."""
    return Evidence(None, said)


def times(new: float, old: float, unit: str) -> Evidence:
    """How many times the baseline's number the new one is."""
    if not old:
        return unknown(f"the baseline has 0 {unit}; run it again")
    return Evidence(new / old, f"{new:,} {unit}, baseline {old:,}")

"""Which files nobody needs: for each of them another is as small, as fast and as good, and better in one of the three."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Option(msgspec.Struct, frozen=True):
    """A file to choose on a target. What is None is not known; then no other can be said to beat it there."""

    name: str
    bytes: int
    """What is downloaded, after gzip."""
    cost: float | None
    """Milliseconds or instructions, of one kind for all options."""
    quality: float | None
    """More is better."""
    fits: bool | None = True


def dominator(option: Option, others: Sequence[Option]) -> Option | None:
    """The first of the others that makes `option` needless: at least as good in all three, better in one.

    What does not fit makes nothing needless, and what may fit only what may fit, too. Where times are unknown for both
    they do not count; where for one, the two cannot be compared.
    """
    return next((other for other in others if _dominates(other, option)), None)


def _dominates(first: Option, second: Option) -> bool:
    if first.fits is False or (first.fits is None and second.fits):
        return False
    if (first.cost is None) != (second.cost is None) or first.quality is None or second.quality is None:
        return False
    pairs = [(first.bytes, second.bytes), (first.cost or 0.0, second.cost or 0.0), (-first.quality, -second.quality)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

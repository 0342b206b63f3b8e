"""Where tensors lie in one block of memory: two that are needed at the same time never overlap."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ALIGNMENT = 16
"""Bytes; the width of a Helium register."""


class Need(msgspec.Struct, frozen=True):
    """A buffer that is needed from step `first` to step `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


class Arena(msgspec.Struct, frozen=True):
    """The start of every buffer, and the size of the whole."""

    offsets: dict[str, int]
    bytes: int


def plan(needs: Sequence[Need]) -> Arena:
    """Place the largest first, each in the lowest gap that is wide enough.

    Greedy by size: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 4.2.
    """
    placed: list[tuple[int, int, Need]] = []
    for need in sorted(needs, key=lambda need: (-need.bytes, need.first, need.name)):
        start = 0
        for low, high, other in sorted(placed, key=lambda item: item[0]):
            if other.first <= need.last and need.first <= other.last:
                if start + need.bytes <= low:
                    break
                start = max(start, high)
        placed.append((start, _aligned(start + need.bytes), need))
    return Arena({need.name: start for start, _, need in placed}, max((high for _, high, _ in placed), default=0))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

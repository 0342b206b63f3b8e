"""What each class lost, with what chance explains: a point of accuracy can hide a class that is no longer recognized."""

from __future__ import annotations

import msgspec

from toolchain.measure.accuracy import wilson
from toolchain.measure.paired import unpaired
from toolchain.report import Answers


class ClassChange(msgspec.Struct, frozen=True):
    """The share of right answers of one class, before and after."""

    index: int
    support: int
    before: int
    """Examples that the original answers rightly, out of `support`."""
    after: int
    change: float
    """(after - before) / support."""
    interval: tuple[float, float]
    """95 %. It takes both for independent, though they are answers to the same examples, and so is rather too wide."""

    @property
    def lost(self) -> bool:
        """Whether chance does not explain the loss."""
        return self.interval[1] < 0

    @property
    def gained(self) -> bool:
        """Whether chance does not explain the gain."""
        return self.interval[0] > 0


def changes(original: Answers, given: Answers) -> tuple[ClassChange, ...]:
    """Every class that has examples; empty where the two do not answer the same examples."""
    if not (_consistent(original) and _consistent(given)) or original.support != given.support:
        return ()
    return tuple(
        _change(index, support, before, after)
        for index, (support, before, after) in enumerate(zip(given.support, original.hits, given.hits, strict=True))
        if support
    )


def _change(index: int, support: int, before: int, after: int) -> ClassChange:
    first, second = (hits / support for hits in (after, before))
    change, interval = unpaired(first, wilson(after, support), second, wilson(before, support))
    return ClassChange(index, support, before, after, change, interval)


def _consistent(answers: Answers) -> bool:
    """A report from elsewhere may claim more right answers than examples."""
    pairs = zip(answers.hits, answers.support, strict=False)
    return len(answers.hits) == len(answers.support) and all(0 <= hits <= support for hits, support in pairs)

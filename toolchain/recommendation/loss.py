"""What a file loses against the original, with what chance explains."""

from __future__ import annotations

from typing import Final

import msgspec

from toolchain.measure import paired
from toolchain.report import ArtifactReport, DataReport, ModelReport

ENOUGH: Final = 0.005
"""A loss that nobody notices: half a point of accuracy, or half a percent of an error or of the answers."""
LARGE: Final = 0.05
"""A loss that a test must be able to rule out before its result is called none."""


class Loss(msgspec.Struct, frozen=True):
    """What a file loses against the original, as far as it is known."""

    drop: float | None
    """Share of right answers that was lost; without classes, of the metric or of the agreement."""
    interval: tuple[float, float] | None
    """95 %, paired."""
    change: str
    """The same as a change, in words."""
    unit: str = "point"
    """What a hundredth of the drop is: a `point` of a share, or a `percent` of an error or of the answers."""
    allowed: float | None = None
    """What the gate lets it lose, where it was judged by that and passed."""

    @property
    def uncertain(self) -> bool:
        """Whether the test is too small to rule out a large loss."""
        return self.interval is not None and self.interval[0] <= 0 and self.interval[1] > LARGE

    @property
    def unnoticed(self) -> bool:
        """Whether the test cannot tell it from no loss, or from one below half a point; what it may hide must not be large, too."""
        if self.drop is None:
            return False
        if self.interval is None or self.uncertain:
            return self.drop <= ENOUGH
        return self.interval[0] <= 0 or self.interval[1] < ENOUGH

    @property
    def bearable(self) -> bool:
        """Whether nobody notices it, or whoever wrote the gate allows it."""
        return self.unnoticed or self.allowed is not None

    @property
    def between(self) -> str:
        """The interval of the change: `-1.37 to -0.02`."""
        return "" if self.interval is None else " to ".join(signed(-100 * limit) for limit in reversed(self.interval))

    @property
    def said(self) -> str:
        """The change with its interval, and with what the test cannot rule out."""
        if self.interval is None:
            return self.change
        doubt = f"; the test is too small to rule out a loss of {100 * self.interval[1]:.1f} points" if self.uncertain else ""
        return f"{self.change}, 95 % interval {self.between}{doubt}"


def loss(artifact: ArtifactReport, model: ModelReport, data: DataReport | None) -> Loss:
    """Of top1, example by example where the answers were kept; else of the metric; else of the agreement with the original.

    Answers to the random inputs that a run without data takes say nothing.
    """
    if data is None:
        return Loss(None, None, "not compared on real data")
    if artifact.accuracy is not None and model.accuracy is not None and artifact.metric == model.metric:
        return _of_metric(artifact, artifact.accuracy, model.accuracy)
    if artifact.agreement is not None:
        return Loss(1 - artifact.agreement, None, f"{artifact.agreement:.2%} of its answers are the original's", "percent")
    return Loss(None, None, "not compared with the original")


def _of_metric(artifact: ArtifactReport, found: float, original: float) -> Loss:
    answers = artifact.answers
    if artifact.metric == "mean_absolute_error":
        grown = (found - original) / (original or 1.0)
        return Loss(grown, None, f"{signed(100 * grown)} % of the error", "percent")
    if artifact.metric != "top1" or answers is None:
        return Loss(original - found, None, f"{signed(100 * (found - original))} points of {artifact.metric}")
    drop, interval = paired.difference(answers.lost, answers.gained, sum(answers.support))
    return Loss(drop, interval, f"{signed(-100 * drop)} points")


def signed(value: float) -> str:
    """A change with two decimals and its sign; a zero has none."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

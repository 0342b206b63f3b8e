"""What a file loses against the original, with what chance explains."""

from __future__ import annotations

from typing import Final

import msgspec

from toolchain.measure import paired
from toolchain.report import ArtifactReport, ModelReport

ENOUGH: Final = 0.005
"""A loss that nobody notices: half a point of accuracy, or as much of an error or of agreement."""


class Loss(msgspec.Struct, frozen=True):
    """What a file loses against the original, as far as it is known."""

    drop: float | None
    """Share of right answers that was lost; without classes, of the metric or of the agreement."""
    interval: tuple[float, float] | None
    """95 %, paired."""
    change: str
    """The same as a change, in words."""
    allowed: float | None = None
    """What the gate lets it lose, where it was judged by that and passed."""

    @property
    def unnoticed(self) -> bool:
        """Whether the test cannot tell it from no loss, or from one below half a point."""
        if self.drop is None:
            return False
        return self.drop <= ENOUGH if self.interval is None else self.interval[0] <= 0 or self.interval[1] < ENOUGH

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
        """The change with its interval."""
        return f"{self.change}, 95 % interval {self.between}" if self.interval else self.change


def loss(artifact: ArtifactReport, model: ModelReport) -> Loss:
    """Of right answers, example by example, where there are classes; else of the metric; else of the agreement with the original."""
    found, total = artifact.answers, sum(artifact.answers.support) if artifact.answers else 0
    if found and model.answers and min(found.lost, found.gained) >= 0 and 0 < total >= found.lost + found.gained:
        drop, interval = paired.difference(found.lost, found.gained, total)
        return Loss(drop, interval, f"{signed(-100 * drop)} points")
    if artifact.accuracy is not None and model.accuracy and artifact.metric == model.metric:
        lost = model.accuracy - artifact.accuracy
        if artifact.metric == "mean_absolute_error":
            return Loss(-lost / model.accuracy, None, f"{signed(-100 * lost / model.accuracy)} % of the error")
        return Loss(lost, None, f"{signed(-100 * lost)} points of {artifact.metric}")
    if artifact.agreement is not None:
        return Loss(1 - artifact.agreement, None, f"{artifact.agreement:.2%} of its answers are the original's")
    return Loss(None, None, "not compared with the original")


def signed(value: float) -> str:
    """A change with two decimals and its sign; a zero has none."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

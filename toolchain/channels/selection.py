"""Which channels go: a share of every group, or as many as a budget of MACs, parameters, bytes or milliseconds asks.

Latency is a staircase in the number of channels: the number kept is rounded up to a multiple of `round_to`, because the
channels up to the edge of a step cost no time.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
import numpy as np

from toolchain.channels.budget import Budget, Cost, OutOfReach, as_budget, whole
from toolchain.channels.criteria import Evidence, Scoring, scores
from toolchain.channels.graph import ChannelGraph, Group
from toolchain.errors import StageError


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides which channels go. Exactly one of `ratio` and `target` is given."""

    ratio: float | None = None
    """Share of the channels that go: of each group (`scope = "layer"`) or of all (`scope = "global"`)."""
    target: Budget | Mapping[str, float] | None = None
    """A budget, or `{"macs": 0.5}` (up to 1: a share of the original), `{"bytes": 60_000}`."""
    criterion: str | None = None
    """A name in `criteria.py`; by default `contribution` with data and `l2` without."""
    scope: Literal["layer", "global"] = "global"
    scoring: Scoring | None = None
    """By default each group's scores by their mean; with a target by their `share`, over what a channel costs."""
    floor: float = 0.1
    """Share of every group that stays, whatever the scores say."""
    round_to: int = 8
    sizes: Mapping[str, int] = {}
    """Classes that each group had before earlier steps; ratio and floor are shares of these."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers whose groups lose nothing."""
    seed: int = 0


def choose(graph: ChannelGraph, choice: Choice, evidence: Evidence | None = None) -> list[int]:
    """The classes of channels that go. Raises StageError for a ratio or budget that cannot be met."""
    if (choice.ratio is None) == (choice.target is None):
        raise StageError("give either a ratio of channels or a target")
    if choice.ratio is not None and not 0 <= choice.ratio < 1:
        raise StageError(f"ratio = {choice.ratio}: a share of channels to remove lies in [0, 1); 1 would empty every layer")
    criterion = choice.criterion or ("l2" if evidence is None else "contribution")
    scoring = choice.scoring or Scoring(normalization="mean" if choice.target is None else "share")
    importance = scores(graph, criterion, scoring, choice.seed, evidence)
    if choice.ratio is not None:
        ranking = Ranking(graph, choice, importance)
        return ranking.dead(ranking.without(choice.ratio))
    budget = as_budget(graph, choice.target)
    if scoring.normalization == "share":
        importance = _per_cost(graph, importance, budget.cost)
    ranking = Ranking(graph, choice, importance)
    return ranking.dead(_within(graph, ranking, budget))


def _per_cost(graph: ChannelGraph, importance: Mapping[int, float], cost: Cost) -> dict[int, float]:
    """Scores over what one channel of the group costs: the greedy choice of a knapsack (Dantzig 1957).

    The cost is the mean over half of the group's channels, because a staircase charges nothing for single channels.
    """
    full, found = cost(graph, whole(graph)), dict[int, float]()
    for group in graph.groups:
        half = group.classes[: (len(group.classes) + 1) // 2]
        each = (full - cost(graph, graph.alive(half))) / len(half)
        found |= {number: importance[number] / each if each > 0 else math.inf for number in group.classes}
    return found


Widths = dict[str, int]
"""How many classes stay, by the name of their group."""


class Ranking:
    """The groups that may lose channels, each with its channels from the least to the most important."""

    def __init__(self, graph: ChannelGraph, choice: Choice, importance: Mapping[int, float]) -> None:
        self.choice, self._importance = choice, importance
        self.groups = [g for g in graph.groups if not any(fnmatchcase(layer, pattern) for layer in g.layers for pattern in choice.keep)]
        self._ordered = {group.name: sorted(group.classes, key=lambda number: (importance[number], number)) for group in self.groups}
        self._sizes = {group.name: choice.sizes.get(group.name, len(group.classes)) for group in self.groups}
        self._scores = np.sort([importance[number] for group in self.groups for number in group.classes])

    def without(self, ratio: float) -> Widths:
        """What stays when a share of the channels goes: of every group, or those of all groups that score lowest."""
        if self.choice.scope == "layer":
            wanted = {group.name: (1 - ratio) * self._sizes[group.name] for group in self.groups}
        else:
            count = max(0, int(round(ratio * sum(self._sizes.values()), 9)) - self._gone)
            threshold = self._scores[count - 1] if count else -math.inf
            wanted = {g.name: sum(self._importance[number] > threshold for number in g.classes) for g in self.groups}
        return {group.name: self._kept(group, wanted[group.name]) for group in self.groups}

    @property
    def _gone(self) -> int:
        """Classes that earlier steps removed."""
        return sum(self._sizes.values()) - len(self._scores)

    @property
    def ratios(self) -> list[float]:
        """Every share that makes a difference, from nothing more to all."""
        total = sum(self._sizes.values())
        return [(self._gone + count) / total for count in range(len(self._scores) + 1)] if total else [0.0]

    def _kept(self, group: Group, wanted: float) -> int:
        floor = self.choice.floor * self._sizes[group.name]
        return rounded_up(group, max(wanted, floor, 1), self.choice.round_to)

    def wider(self, widths: Widths) -> list[Widths]:
        """One group given its next step of channels back, the group whose lost channels score highest first.

        Nothing with `scope = "layer"`, which wants equal shares.
        """
        found = []
        for group in self.groups if self.choice.scope == "global" else ():
            now, name = widths[group.name], group.name
            if now < len(group.classes):
                best = self._importance[self._ordered[name][len(group.classes) - now - 1]]
                found.append((best, widths | {name: self._kept(group, now + 1)}))
        return [more for _, more in sorted(found, key=lambda pair: -pair[0])]

    def dead(self, widths: Widths) -> list[int]:
        """The classes that go."""
        return [number for g in self.groups for number in self._ordered[g.name][: len(g.classes) - widths[g.name]]]


def _within(graph: ChannelGraph, ranking: Ranking, budget: Budget) -> Widths:
    """The widest choice of the ranking that the budget pays for.

    One threshold moves several groups at once, by whole steps of `round_to`, and can miss the budget by much; what it
    leaves over buys single steps back.
    """
    ratios = ranking.ratios

    def cost(widths: Widths) -> float:
        return budget.cost(graph, graph.alive(ranking.dead(widths)))

    if (least := cost(ranking.without(ratios[-1]))) > budget.limit:
        raise OutOfReach(budget, least, budget.cost(graph, whole(graph)))
    first = bisect.bisect_left(ratios, True, key=lambda ratio: cost(ranking.without(ratio)) <= budget.limit)
    widths = ranking.without(ratios[first])
    while (affordable := next((more for more in ranking.wider(widths) if cost(more) <= budget.limit), None)) is not None:
        widths = affordable
    return widths


def rounded_up(group: Group, least: float, round_to: int) -> int:
    """How many classes of a group stay: at least so many, until its widest layer has a multiple of `round_to` channels."""
    channels = group.width / len(group.classes)
    step = max(1, round(round_to / math.gcd(round_to, round(channels)) if channels >= 1 else round_to))
    return min(len(group.classes), math.ceil(round(least, 9) / step) * step)

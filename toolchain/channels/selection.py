"""Which channels go: a share of every group, or as many as a budget of MACs, parameters, bytes or milliseconds asks.

Latency is a staircase in the number of channels: the number kept is rounded up to a multiple of `round_to`, because the
channels up to the edge of a step cost no time.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec
import numpy as np

from toolchain.channels.criteria import Evidence, Scoring, scores
from toolchain.channels.graph import ChannelGraph, Group
from toolchain.errors import StageError

Cost = Callable[[ChannelGraph, Any], float]
"""What a model with the living channels (over all atoms) costs, in any unit."""


class Budget(msgspec.Struct, frozen=True):
    """What the smaller model may cost: an amount, in the unit of `cost`."""

    limit: float
    cost: Cost
    name: str


class OutOfReach(StageError):
    """A budget that is below what floors, rounding and frozen channels leave."""

    def __init__(self, budget: Budget, least: float, full: float) -> None:
        reason = f"floors, rounding and frozen channels leave {least:,.6g} of {full:,.6g} ({least / full:.1%})"
        super().__init__(f"{budget.name} = {budget.limit:,.6g} is out of reach: {reason}")
        self.nearest = msgspec.structs.replace(budget, limit=least)
        """The budget that can just be met."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides which channels go. Exactly one of `ratio` and `target` is given."""

    ratio: float | None = None
    """Share of the channels that go: of each group (`scope = "layer"`) or of all (`scope = "global"`)."""
    target: Budget | Mapping[str, float] | None = None
    """A budget, or `{"macs": 0.5}` (below 1: a share of the original), `{"bytes": 60_000}`."""
    criterion: str | None = None
    """A name in `criteria.py`; by default `contribution` with data and `l2` without."""
    scope: Literal["layer", "global"] = "global"
    scoring: Scoring | None = None
    """By default each group's scores by their mean; with a target by their `share`, over what a channel costs."""
    floor: float = 0.1
    """Share of every group that stays, whatever the scores say."""
    round_to: int = 8
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
        self._scores = np.sort([importance[number] for group in self.groups for number in group.classes])

    def without(self, ratio: float) -> Widths:
        """What stays when a share of the channels goes: of every group, or those of all groups that score lowest."""
        if self.choice.scope == "layer":
            wanted = {group.name: (1 - ratio) * len(group.classes) for group in self.groups}
        else:
            count = int(round(ratio * len(self._scores), 9))
            threshold = self._scores[count - 1] if count else -math.inf
            wanted = {g.name: sum(self._importance[number] > threshold for number in g.classes) for g in self.groups}
        return {group.name: kept(group, wanted[group.name], self.choice) for group in self.groups}

    @property
    def ratios(self) -> list[float]:
        """Every share that makes a difference, from nothing to all."""
        return [count / len(self._scores) for count in range(len(self._scores) + 1)] if len(self._scores) else [0.0]

    def wider(self, widths: Widths) -> list[Widths]:
        """One group given its next step of channels back, the group whose lost channels score highest first.

        None with `scope = "layer"`, which wants equal shares.
        """
        found = []
        for group in self.groups if self.choice.scope == "global" else ():
            now, name = widths[group.name], group.name
            if now < len(group.classes):
                best = self._importance[self._ordered[name][len(group.classes) - now - 1]]
                found.append((best, widths | {name: kept(group, now + 1, self.choice)}))
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


def kept(group: Group, wanted: float, choice: Choice) -> int:
    """How many classes of a group stay: at least the floor, rounded up so that its widest layer has a multiple of `round_to`."""
    channels = group.width / len(group.classes)
    step = max(1, round(choice.round_to / math.gcd(choice.round_to, round(channels)) if channels >= 1 else choice.round_to))
    least = max(wanted, choice.floor * len(group.classes), 1)
    return min(len(group.classes), math.ceil(round(least, 9) / step) * step)


def macs(graph: ChannelGraph, alive: Any) -> float:
    """Multiply-accumulates of one inference."""
    return graph.count_macs(alive)


def params(graph: ChannelGraph, alive: Any) -> float:
    """Weights; as int8 they are the bytes of the constants."""
    return graph.count_params(alive)


COSTS: dict[str, Cost] = {"macs": macs, "params": params, "bytes": params}


def staircase(step: int, macs_per_s: float, layer_s: float) -> Cost:
    """The milliseconds of one inference where channels are computed `step` at a time, and every layer costs `layer_s` more."""

    def ms(graph: ChannelGraph, alive: Any) -> float:
        def computed(labels: Any) -> int:
            return math.ceil(int(alive[labels].sum()) / step) * step

        macs = sum(work.times * math.prod(map(computed, work.factors)) for work in graph.work)
        return 1000 * (macs / macs_per_s + layer_s * len(graph.work))

    return ms


def whole(graph: ChannelGraph) -> Any:
    """Every channel of a model, alive."""
    return np.ones(len(graph.root), bool)


def as_budget(graph: ChannelGraph, target: Budget | Mapping[str, float] | None) -> Budget:
    """A budget from `{"macs": 0.5}`. Raises StageError."""
    if isinstance(target, Budget):
        return target
    if not target or len(target) != 1:
        raise StageError(f"target = {target}: give one of {', '.join(COSTS)}, for example {{macs = 0.5}}")
    ((name, limit),) = target.items()
    if name not in COSTS:
        raise StageError(f"target = {{{name} = {limit}}}: choose from {', '.join(COSTS)}")
    if limit <= 0:
        raise StageError(f"target = {{{name} = {limit}}}: must be above 0")
    cost = COSTS[name]
    return Budget(limit * cost(graph, whole(graph)) if limit < 1 else limit, cost, name)

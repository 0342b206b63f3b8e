"""What a smaller model costs, and what it may cost: MACs, weights, bytes, or the milliseconds of a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.graph import ChannelGraph
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
        wanted, left, all_ = (f"{amount:,.0f}" if full >= 1000 else f"{amount:.4g}" for amount in (budget.limit, least, full))
        reason = f"floors, rounding and frozen channels leave {left} of {all_} ({least / full:.1%})"
        super().__init__(f"{budget.name} = {wanted} is out of reach: {reason}")
        self.nearest = msgspec.structs.replace(budget, limit=least)
        """The budget that can just be met."""


def macs(graph: ChannelGraph, alive: Any) -> float:
    """Multiply-accumulates of one inference."""
    return graph.count_macs(alive)


def params(graph: ChannelGraph, alive: Any) -> float:
    """Weights; as int8 they are the bytes of the constants."""
    return graph.count_params(alive)


COSTS: dict[str, Cost] = {"macs": macs, "params": params, "bytes": params}


def staircase(step: int, macs_per_s: float, layer_s: float) -> Cost:
    """Milliseconds of one inference where channels are computed `step` at a time and every product of matrices takes `layer_s` more."""

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
    return Budget(limit * cost(graph, whole(graph)) if limit <= 1 else limit, cost, name)

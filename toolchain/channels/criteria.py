"""How much a channel matters: one function a criterion, larger is kept longer.

Each scores the channels of one slot. Criteria of weights look at the slots that *make* channels; criteria of activations
look at the slots that *read* them, at the values that arrive there. `scores` brings the slots of a class together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.labels import FROZEN
from toolchain.channels.nodes import functional, is_model, nodes
from toolchain.channels.rules import Slot, channel_axis
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.optional import require

Loss = Callable[[Any, Any], Any]


class Evidence:
    """What criteria may look at beside the weights: values at every layer's input, and gradients."""

    def __init__(self, graph: ChannelGraph, inputs: Array, labels: Array | None = None, loss: Loss | None = None) -> None:
        """`inputs` `[N, ...]` are a sample of the training data; `labels` and `loss` are needed for gradients only."""
        self._graph, self._inputs, self._labels, self._loss = graph, inputs, labels, loss
        self._values: dict[int, Array] = {}
        self._gradients: dict[int, Array] = {}

    def values(self, slot: Slot) -> Array | None:
        """What arrives at a layer as `[channels, observations]`; None where it was not seen."""
        if not self._values:
            self._watch(self._graph.model, [require("tensorflow", "tf").constant(self._inputs)])
        return self._values.get(id(slot.layer))

    def gradient(self, slot: Slot) -> Array:
        """Gradient of the loss by the slot's weight. Raises StageError without labels."""
        if not self._gradients:
            if self._loss is None or self._labels is None:
                raise StageError("the criterion taylor needs labelled data")
            tf = require("tensorflow", "tf")
            weights = list({id(w): w for s in self._graph.slots for w in (s.layer.weights[s.weight],)}.values())
            variables = [getattr(w, "value", w) if not callable(getattr(w, "value", None)) else w for w in weights]
            with tf.GradientTape() as tape:
                tape.watch(variables)  # frozen layers, too
                error = tf.reduce_mean(self._loss(self._labels, self._graph.model(self._inputs, training=False)))
            found = tape.gradient(error, variables)
            self._gradients = {
                id(w): np.zeros(w.shape) if g is None else np.asarray(tf.convert_to_tensor(g)) for w, g in zip(weights, found, strict=True)
            }
        return self._gradients[id(slot.layer.weights[slot.weight])]

    def _watch(self, model: Any, values: list[Any]) -> list[Any]:
        """Run the model call by call and keep what arrives at layers with weights."""
        graph = functional(model)
        table = dict(zip((id(tensor) for tensor in graph.inputs), values, strict=True))
        for node in nodes(model):
            given = [table[id(tensor)] for tensor in node.inputs]
            if is_model(node.operation):
                found = self._watch(node.operation, given)
            else:
                if getattr(node.operation, "weights", None):
                    value = np.asarray(given[0], np.float32)
                    axis = channel_axis(node.operation, value.ndim - 1) + 1
                    self._values[id(node.operation)] = np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)
                found = node.call(given)
            table.update(zip((id(tensor) for tensor in node.outputs), found, strict=True))
        return [table[id(tensor)] for tensor in graph.outputs]


def weights(slot: Slot) -> Array:
    """The slot's weight as `[channels, rest]`."""
    weight = np.asarray(slot.layer.weights[slot.weight])
    return np.moveaxis(weight, slot.axis, 0).reshape(weight.shape[slot.axis], -1)


Criterion = Callable[[Slot, Evidence | None, np.random.Generator], Any]
"""Scores `[channels]` of a slot; None where the criterion has nothing to say of it."""


def l1(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Sum of absolute weights (Li et al. 2017, Pruning Filters for Efficient ConvNets, section 3.1)."""
    return np.abs(weights(slot)).sum(1) if slot.role == "out" else None


def l2(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Euclidean norm of the weights (He et al. 2018, Soft Filter Pruning, equation 2)."""
    return np.sqrt((weights(slot) ** 2).sum(1)) if slot.role == "out" else None


def random(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Chance: the baseline that every other criterion must beat (Mittal et al. 2018, Recovering from Random Pruning)."""
    return rng.random(len(slot.labels)) if slot.role == "out" else None


def bn_gamma(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Scale of the batch normalization (Liu et al. 2017, Network Slimming, section 3)."""
    layer = slot.layer
    if type(layer).__name__ != "BatchNormalization" or slot.weight or not layer.scale:
        return None
    return np.abs(np.asarray(layer.gamma))


def fpgm(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Distance to all other filters: those near the geometric median are replaceable (He et al. 2019, equation 4)."""
    if slot.role != "out":
        return None
    rows = weights(slot)
    squares = (rows**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)).sum(1)


def taylor(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """First-order change of the loss, (sum of weight x gradient)^2 (Molchanov et al. 2019, equation 8)."""
    if slot.role != "out":
        return None
    gradient = _seen(evidence).gradient(slot)
    rows = np.moveaxis(gradient, slot.axis, 0).reshape(gradient.shape[slot.axis], -1)
    return (weights(slot) * rows).sum(1) ** 2


def activation_mean(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Mean absolute activation (Molchanov et al. 2017, section 2.2)."""
    values = _values(slot, evidence)
    return None if values is None else np.abs(values).mean(1)


def apoz(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Share of activations above zero, one minus the average percentage of zeros (Hu et al. 2016, equation 1)."""
    values = _values(slot, evidence)
    return None if values is None else (values > 0).mean(1)


def quantile(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Share of outputs above the layer's 90 % quantile: a neuron that stays below it is unimportant."""
    values = _values(slot, evidence)
    return None if values is None else (values > np.quantile(values, 0.9)).mean(1)


def contribution(slot: Slot, evidence: Evidence | None, rng: np.random.Generator) -> Any:
    """Standard deviation of the activation times the norm of the weights that read it: what the next layer loses.

    The diagonal of the layer-wise reconstruction error (Luo et al. 2017, ThiNet, equation 5).
    """
    values = _values(slot, evidence)
    return None if values is None else values.std(1) * np.sqrt((weights(slot) ** 2).sum(1))


CRITERIA: dict[str, Criterion] = {
    f.__name__: f for f in (l1, l2, random, bn_gamma, fpgm, taylor, activation_mean, apoz, quantile, contribution)
}


def _seen(evidence: Evidence | None) -> Evidence:
    if evidence is None:
        raise StageError("this criterion looks at activations or gradients and needs data; l2, l1, fpgm, bn_gamma, random do not")
    return evidence


def _values(slot: Slot, evidence: Evidence | None) -> Array | None:
    """Values that arrive at a slot that reads channels straight from the layer's first input."""
    if slot.role != "in":
        return None
    values = _seen(evidence).values(slot)
    return values if values is not None and len(values) == len(slot.labels) else None


class Scoring(msgspec.Struct, frozen=True):
    """How the scores of one class of channels are brought together and made comparable between groups."""

    reduction: Literal["mean", "sum", "max"] = "mean"
    normalization: Literal["mean", "max", "none", "share"] = "mean"
    """Divide by the mean or the largest score of the group, so that groups can be compared; `share`: by the sum of the
    scores that are at least as large, so that a channel counts more the fewer are left beside it."""


def scores(graph: ChannelGraph, criterion: str, scoring: Scoring, seed: int, evidence: Evidence | None = None) -> dict[int, float]:
    """The importance of every class of channels. Raises StageError for an unknown criterion or missing data.

    Where the criterion has nothing to say of a class (no batch normalization follows it, nobody reads it), l2 speaks.
    """
    if criterion not in CRITERIA:
        raise StageError(f"no {criterion!r} in criteria; choose from {', '.join(CRITERIA)}")
    rng = np.random.default_rng(seed)
    own = _collect(graph, CRITERIA[criterion], scoring, rng, evidence)
    spare = own if all(n in own for g in graph.groups for n in g.classes) else _collect(graph, l2, scoring, rng, None)
    result: dict[int, float] = {}
    for group in graph.groups:
        source = own if all(number in own for number in group.classes) else spare
        found = np.array([source[number] for number in group.classes])
        result |= dict(zip(group.classes, _normalized(found, scoring.normalization).tolist(), strict=True))
    return result


def _normalized(found: Array, how: str) -> Array:
    """Scores of a group, comparable with other groups'; their order within the group stays."""
    if how == "share":
        order = np.argsort(-found, kind="stable")
        divisor = np.empty_like(found)
        divisor[order] = np.cumsum(found[order])
    else:
        divisor = np.full_like(found, {"mean": found.mean(), "max": found.max(), "none": 1.0}[how])
    shares: Array = found / np.where(divisor > 0, divisor, 1.0)
    return shares


def _collect(
    graph: ChannelGraph, criterion: Criterion, scoring: Scoring, rng: np.random.Generator, evidence: Evidence | None
) -> dict[int, float]:
    found: dict[int, list[float]] = defaultdict(list)
    for slot in graph.slots:
        values = criterion(slot, evidence, rng)
        if values is None:
            continue
        classes = graph.root[slot.labels]
        for number in np.unique(classes[classes != FROZEN]).tolist():
            found[number].append(float(values[classes == number].mean()))
    reduce: Any = {"mean": np.mean, "sum": np.sum, "max": np.max}[scoring.reduction]
    return {number: float(reduce(values)) for number, values in found.items()}

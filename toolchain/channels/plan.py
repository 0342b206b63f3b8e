"""A plan says which channels go; it counts what that saves, builds the smaller model, and proves that it computes the same.

The reference is the original with the *consumers* of the dead channels zeroed: whatever the dead channels still compute,
nobody reads it. The smaller model must give the reference's answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.nodes import random_inputs
from toolchain.channels.rebuild import Rebuilt
from toolchain.data import Array
from toolchain.errors import ModelError, StageError
from toolchain.optional import require

TOLERANCE = 1e-5
"""Largest accepted difference between `apply()` and `masked()`, relative to the output's scale."""


REPORT = "this is a fault of the channel rules, please report the architecture"


class GroupChange(msgspec.Struct, frozen=True):
    """Channels of one group before and after."""

    name: str
    layers: tuple[str, ...]
    before: int
    after: int


class Plan:
    """The classes of channels that go."""

    def __init__(self, graph: ChannelGraph, dead: Sequence[int]) -> None:
        """Raises StageError where a group would lose all its channels."""
        self.graph, self.dead = graph, tuple(sorted(dead))
        gone = set(self.dead)
        for group in graph.groups:
            if gone.issuperset(group.classes):
                raise StageError(f"{group.name}: all {group.width} channels would go; lower the ratio or raise the floor")
        self._alive = graph.alive(self.dead)
        self._all = np.ones(len(graph.root), bool)

    @cached_property
    def macs_before(self) -> int:
        """Multiply-accumulates of one inference of the original."""
        return self.graph.count_macs(self._all)

    @cached_property
    def macs_after(self) -> int:
        """Multiply-accumulates of one inference of the smaller model."""
        return self.graph.count_macs(self._alive)

    @cached_property
    def params_before(self) -> int:
        """Weights of the original."""
        return self.graph.count_params(self._all)

    @cached_property
    def params_after(self) -> int:
        """Weights of the smaller model."""
        return self.graph.count_params(self._alive)

    @cached_property
    def changes(self) -> tuple[GroupChange, ...]:
        """Every group's channels before and after."""
        gone, rows = set(self.dead), []
        for group in self.graph.groups:
            left = sum(number not in gone for number in group.classes)
            rows.append(GroupChange(group.name, group.layers, group.width, round(group.width * left / len(group.classes))))
        return tuple(rows)

    def apply(self, tolerance: float | None = None) -> Any:
        """A new model without the dead channels, of the same Keras, plain and reloadable.

        Raises ModelError where it computes something else than `masked()` by more than `tolerance` of the output's
        scale (1e-5 by default; not checked for a graph that is inexact), or has other parameters than predicted.
        """
        try:
            smaller = Rebuilt(self.graph, self._alive).model
        except (ValueError, TypeError) as err:
            first = str(err).splitlines()[0][:160]
            raise ModelError(f"{self.graph.model.name}: the smaller model cannot be built ({first}); {REPORT}") from err
        if smaller.count_params() != self.params_after:
            raise ModelError(f"{smaller.name}: {smaller.count_params():,} parameters instead of the predicted {self.params_after:,}")
        if not self.graph.inexact:
            difference = compare(self.masked(), smaller)
            if not difference <= (tolerance or TOLERANCE):
                scale = f"by {difference:.1e} of the output's scale"
                raise ModelError(f"{smaller.name}: the smaller model differs from the masked original {scale}; {REPORT}")
        return smaller

    def masked(self, noise: np.random.Generator | None = None) -> Any:
        """The original with the weights that read dead channels zeroed; `noise` is added to those that make them."""
        copy = Rebuilt(self.graph, self._all)
        for layer in self.graph.leaves():
            slots = self.graph.slots_of(layer)
            if not slots:
                continue
            weights = [np.array(weight) for weight in layer.get_weights()]
            for slot in slots:
                if slot.role == "out" and noise is not None:
                    part = np.moveaxis(weights[slot.weight], slot.axis, 0)
                    dead = ~self._alive[slot.labels]
                    part[dead] += noise.normal(size=part[dead].shape).astype(part.dtype)
            for slot in slots:
                if slot.role == "in":
                    np.moveaxis(weights[slot.weight], slot.axis, 0)[~self._alive[slot.labels]] = 0
            copy.layers[id(layer)].set_weights(weights)
        return copy.model


def compare(expected: Any, found: Any, seed: int = 0) -> float:
    """Largest difference of two models' outputs on random inputs, relative to the scale of the output.

    Probabilities are compared by their logarithms: a saturated softmax would hide any difference. Raises ModelError where
    `expected` does not run on this machine.
    """
    inputs = random_inputs(expected, 4, seed)
    try:
        answers = _answers(expected, inputs)
    except require("tensorflow", "tf").errors.OpError as err:
        hint = "for channels_first set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported"
        raise ModelError(f"{expected.name} does not run on this machine ({str(err).splitlines()[0][:160]}); {hint}") from err
    try:
        pairs = list(zip(answers, _answers(found, inputs), strict=True))
    except Exception:  # a model whose parts do not fit fails in a way of its framework's own
        return float("inf")
    worst = 0.0
    for one, other in pairs:
        one, other = _as_logits(one), _as_logits(other)
        if one.shape != other.shape or not np.isfinite(other).all():
            return float("inf")
        worst = max(worst, float(np.abs(one - other).max()) / max(float(np.abs(one).max()), 1e-3))
    return worst


def _answers(model: Any, inputs: list[Array]) -> list[Array]:
    """Outputs of a model that is run once: tracing a graph would take longer than the answer."""
    given = inputs[0] if len(inputs) == 1 else inputs
    return [np.asarray(y, np.float32) for y in require("tensorflow", "tf").nest.flatten(model(given, training=False))]


def _as_logits(outputs: Array) -> Array:
    if outputs.min() >= 0 and outputs.max() <= 1 and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        logits: Array = np.log(np.maximum(outputs, 1e-30))
        return logits
    return outputs

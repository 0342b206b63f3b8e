"""Move batch normalization into the layer before or after it.

At inference a BatchNormalization is an affine map of each channel. Converters move it into a convolution right before
it, but leave some: then channels have weights that no quantizer sees as one. Everything here that looks at weights
expects them folded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.channels.nodes import Node, kind
from toolchain.channels.plan import compare
from toolchain.channels.replica import Replica
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.quantization import affine
from toolchain.quantization.neighbours import Blocked, Neighbours, neighbourhoods
from toolchain.stage import Note

TOLERANCE = 1e-4
"""Largest accepted difference between the folded model and the original, relative to the output's scale."""


def fold(model: Any) -> tuple[Any, tuple[Note, ...]]:
    """The model without its BatchNormalization layers, and a Note for each that stays.

    The caller's model is never changed; it is returned where there is nothing to fold. Layers gain a bias where they
    had none. Raises ModelError where the folded model computes something else.
    """
    plan = Folding(model)
    if not plan.folded:
        return model, tuple(plan.notes)
    found = _Folded(model, plan).model
    difference = compare(model, found)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{model.name}: folding its normalizations changes the outputs by {difference:.1e} of their scale; leave fold_batchnorm out"
        )
    return found, tuple(plan.notes)


def normalization(layer: Any) -> tuple[Array, Array]:
    """Factor and offset `[channels]` of a BatchNormalization at inference, in float64.

    gamma / sqrt(variance + epsilon) and beta - mean * factor (Ioffe & Szegedy 2015, algorithm 2, step 11).
    """
    factor = 1 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.scale:
        factor = factor * np.asarray(layer.gamma, np.float64)
    offset = -factor * np.asarray(layer.moving_mean, np.float64)
    return factor, offset + np.asarray(layer.beta, np.float64) if layer.center else offset


class Folding:
    """Which normalizations go, and the new weights of the layers that take them in."""

    def __init__(self, model: Any) -> None:
        """Fold them in the order of the calls, so that one can follow another."""
        self.folded: set[int] = set()
        """Ids of the normalizations that go."""
        self.changed: dict[int, list[Array]] = {}
        """By the id of a layer, its new kernels and bias."""
        self.notes: list[Note] = []
        for around in neighbourhoods(model):
            around.gone = self.folded
            for node in {id(n.operation): n for n in around.calls if kind(n.operation) == "BatchNormalization"}.values():
                try:
                    self._fold(node, around)
                except Blocked as reason:
                    self.notes.append(Note(node.operation.name, f"batch normalization stays: {reason}"))

    def _fold(self, node: Node, around: Neighbours) -> None:
        layer = node.operation
        args, kwargs = node.arguments(node.inputs)
        if around.times[id(layer)] > 1:
            raise Blocked("it is called more than once")
        if True in (kwargs.get("training"), *args[1:2]):
            raise Blocked("it was called with training=True, its statistics are those of each batch")
        axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
        if len(axes) > 1:
            raise Blocked(f"it normalizes the axes {axes} together")
        axis = axes[0] % len(node.inputs[0].shape)
        factor, offset = normalization(layer)
        try:
            maker = around.before(node.inputs[0], axis)
            self.changed[id(maker)] = affine.after(maker, self._weights(maker), factor, offset)
        except Blocked as behind:
            try:
                readers = around.after(node.outputs[0], axis, shifts=bool(offset.any()))
            except Blocked as ahead:
                raise Blocked(f"{behind}, and {ahead}") from None
            for reader in readers.values():
                self.changed[id(reader)] = affine.before(reader, self._weights(reader), factor, offset)
        self.folded.add(id(layer))

    def _weights(self, layer: Any) -> list[Array]:
        return self.changed.get(id(layer)) or affine.weights_of(layer)


class _Folded(Replica):
    """The model without the normalizations that go."""

    def __init__(self, source: Any, plan: Folding) -> None:
        self._plan = plan
        super().__init__(source)

    def skipped(self, node: Node) -> bool:
        return id(node.operation) in self._plan.folded

    def configuration(self, layer: Any) -> dict[str, Any]:
        return super().configuration(layer) | ({"use_bias": True} if id(layer) in self._plan.changed else {})

    def weights(self, layer: Any) -> list[Any]:
        return self._plan.changed.get(id(layer)) or super().weights(layer)

"""The smaller model: the same calls on layers whose configurations count fewer channels, with the slices of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.labels import take, varying
from toolchain.channels.nodes import Node
from toolchain.channels.replica import Replica


class Rebuilt(Replica):
    """A new model, and the new layer in the place of each old one."""

    def __init__(self, graph: ChannelGraph, alive: Any) -> None:
        """Build the model with the channels that `alive` (over all atoms) keeps."""
        self.graph, self.alive = graph, alive
        super().__init__(graph.model)

    def weights(self, layer: Any) -> list[Any]:
        """The slices that stay."""
        weights = super().weights(layer)
        for slot in self.graph.slots_of(layer):
            weights[slot.weight] = take(weights[slot.weight], slot.axis, self.alive[slot.labels])
        for owner, index, labels in self.graph.rescales:
            if owner is layer:
                weights[index] = weights[index] * np.sqrt(self.alive[labels].mean(), dtype=weights[index].dtype)
        return weights

    def configuration(self, layer: Any) -> dict[str, Any]:
        """The layer's channels counted again."""
        config = super().configuration(layer)
        for edit in self.graph.edits.get(id(layer), ()):
            if edit.path[0] not in config:
                continue  # a backward layer that follows the forward layer's settings
            place = config
            for key in edit.path[:-1]:
                place = place[key]
            count = int(self.alive[edit.labels].sum())
            place[edit.path[-1]] = (count,) if edit.path[-1] == "output_shape" else count
        return config

    def input_shape(self, model: Any, index: int) -> list[int | None]:
        """The channels that stay in a model inside the model."""
        shape = super().input_shape(model, index)
        labels = self.graph.inner_inputs[id(model)][index]
        for axis in varying(labels):
            shape[axis] = int(self.alive[labels.ravel()].sum())
        return shape

    def replacement(self, node: Node) -> Callable[[list[Any]], list[Any]] | None:
        """A call that moves values, with its sizes counted again; as it was where no channel goes."""
        rewrite = self.graph.rewrites.get(id(node.outputs[0]))
        if rewrite is None:
            return None
        return lambda values: rewrite(values, self.alive) if self._changes() else node.call(values, self._layer(node.operation))

    def _changes(self) -> bool:
        return not self.alive.all()

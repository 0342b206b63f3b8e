"""The smaller model: the same calls on layers whose configurations count fewer channels, with the slices of the weights.

Cloning fails on nested models, so the graph is replayed: every layer is made anew from its edited configuration, every
call is made again on fresh inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.labels import take, varying
from toolchain.channels.nodes import functional, is_model, kind, nodes
from toolchain.keras_models import Flavor, flavor_of


class Rebuilt:
    """A new model, and the new layer in the place of each old one."""

    def __init__(self, graph: ChannelGraph, alive: Any) -> None:
        """Build the model with the channels that `alive` (over all atoms) keeps."""
        self.graph, self.alive = graph, alive
        self.layers: dict[int, Any] = {}
        self.model = self._model(graph.model)
        for layer in graph.leaves():
            if layer.weights:
                self.layers[id(layer)].set_weights(self._weights(layer))

    def _weights(self, layer: Any) -> list[Any]:
        weights = [np.asarray(weight) for weight in layer.get_weights()]
        for slot in self.graph.slots_of(layer):
            weights[slot.weight] = take(weights[slot.weight], slot.axis, self.alive[slot.labels])
        for owner, index, labels in self.graph.rescales:
            if owner is layer:
                weights[index] = weights[index] * np.sqrt(self.alive[labels].mean(), dtype=weights[index].dtype)
        return weights

    def _model(self, model: Any) -> Any:
        keras, source = self.graph.keras, functional(model)
        if isinstance(model, keras.Sequential) and not any(id(node.outputs[0]) in self.graph.rewrites for node in nodes(model)):
            layers = [self._layer(node.operation) for node in nodes(model)]
            return keras.Sequential([self._input(model, 0), *layers], name=model.name)
        inputs = [self._input(model, index) for index in range(len(source.inputs))]
        table = dict(zip((id(tensor) for tensor in source.inputs), inputs, strict=True))
        for node in nodes(model):
            values = [table[id(tensor)] for tensor in node.inputs]
            rewrite = self.graph.rewrites.get(id(node.outputs[0]))
            found = rewrite(values, self.alive) if rewrite and self._changes() else node.call(values, self._layer(node.operation))
            table.update(zip((id(tensor) for tensor in node.outputs), found, strict=True))
        outputs = [table[id(tensor)] for tensor in source.outputs]
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0], name=model.name)

    def _changes(self) -> bool:
        return not self.alive.all()

    def _input(self, model: Any, index: int) -> Any:
        tensor = functional(model).inputs[index]
        shape = list(tensor.shape[1:])
        labels = self.graph.inner_inputs[id(model)][index]
        for axis in varying(labels):
            shape[axis] = int(self.alive[labels.ravel()].sum())
        name = str(tensor.name).partition(":")[0]
        return self.graph.keras.Input(shape, dtype=getattr(tensor.dtype, "name", tensor.dtype), name=name)

    def _layer(self, operation: Any) -> Any:
        if id(operation) not in self.layers:
            self.layers[id(operation)] = self._model(operation) if is_model(operation) else self._anew(operation)
        return self.layers[id(operation)]

    def _anew(self, operation: Any) -> Any:
        """The layer from its configuration, with its channels counted again."""
        config = operation.get_config()
        for edit in self.graph.edits.get(id(operation), ()):
            if edit.path[0] not in config:
                continue  # a backward layer that follows the forward layer's settings
            place = config
            for key in edit.path[:-1]:
                place = place[key]
            count = int(self.alive[edit.labels].sum())
            place[edit.path[-1]] = (count,) if edit.path[-1] == "output_shape" else count
        if kind(operation) == "DepthwiseConv2D":
            config.pop("filters", None)
        for key in ("layer", "backward_layer"):
            if isinstance(config.get(key), dict):
                config[key].pop("build_config", None)
        if kind(operation) == "MultiHeadAttention":
            for key in ("query_shape", "key_shape", "value_shape"):
                config[key] = None
            if flavor_of(self.graph.model) is Flavor.KERAS3:
                for key in ("query_shape", "key_shape", "value_shape"):
                    del config[key]
        if kind(operation) == "Lambda" and flavor_of(self.graph.model) is Flavor.KERAS3:
            return type(operation).from_config(config, safe_mode=False)
        return type(operation).from_config(config)

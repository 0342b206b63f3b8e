"""A model's calls made again on new layers: where every change of a model's architecture starts.

Cloning fails on nested models, so the graph is replayed: every layer is made anew from its configuration, every call is
made again on fresh inputs. A subclass says what is different.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolchain.channels.nodes import Node, functional, is_model, kind, leaves, nodes
from toolchain.keras_models import Flavor, flavor_of, keras_of


class Replica:
    """A new model of the same Keras, and the new layer in the place of each old one by the old one's id."""

    def __init__(self, source: Any) -> None:
        """Build it. The source is never changed."""
        self.keras, self._flavor = keras_of(source), flavor_of(source)
        self.layers: dict[int, Any] = {}
        self.model = self._model(source)
        for layer in leaves(source):
            if layer.weights and id(layer) in self.layers:
                self.layers[id(layer)].set_weights(self.weights(layer))

    # what a subclass may change

    def weights(self, layer: Any) -> list[Any]:
        """The weights of the new layer in the place of `layer`."""
        return [np.asarray(weight) for weight in layer.get_weights()]

    def configuration(self, layer: Any) -> dict[str, Any]:
        """The configuration of the new layer in the place of `layer`."""
        config: dict[str, Any] = layer.get_config()
        return config

    def input_shape(self, model: Any, index: int) -> list[int | None]:
        """Shape of a model's input without the batch."""
        return list(functional(model).inputs[index].shape[1:])

    def skipped(self, node: Node) -> bool:
        """Whether a call is left out: its outputs are then its inputs."""
        return False

    def replacement(self, node: Node) -> Callable[[list[Any]], list[Any]] | None:
        """What is done with the inputs in the place of a call; None for the same call of the new layer."""
        return None

    # the replay

    def _model(self, model: Any) -> Any:
        source, calls = functional(model), [node for node in nodes(model) if not self.skipped(node)]
        if isinstance(model, self.keras.Sequential) and not any(self.replacement(node) for node in calls):
            layers = [self._layer(node.operation) for node in calls]
            return self.keras.Sequential([self._input(model, 0), *layers], name=model.name)
        inputs = [self._input(model, index) for index in range(len(source.inputs))]
        table = dict(zip((id(tensor) for tensor in source.inputs), inputs, strict=True))
        for node in nodes(model):
            values = [table[id(tensor)] for tensor in node.inputs]
            table.update(zip((id(tensor) for tensor in node.outputs), self._call(node, values), strict=True))
        outputs = [table[id(tensor)] for tensor in source.outputs]
        return self.keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0], name=model.name)

    def _call(self, node: Node, values: list[Any]) -> list[Any]:
        if self.skipped(node):
            return values
        replacement = self.replacement(node)
        return replacement(values) if replacement else node.call(values, self._layer(node.operation))

    def _input(self, model: Any, index: int) -> Any:
        tensor = functional(model).inputs[index]
        maker, *_ = tensor._keras_history
        return self.keras.Input(self.input_shape(model, index), dtype=getattr(tensor.dtype, "name", tensor.dtype), name=maker.name)

    def _layer(self, operation: Any) -> Any:
        if id(operation) not in self.layers:
            self.layers[id(operation)] = self._model(operation) if is_model(operation) else self._anew(operation)
        return self.layers[id(operation)]

    def _anew(self, operation: Any) -> Any:
        config = self.configuration(operation)
        if kind(operation) == "DepthwiseConv2D":
            config.pop("filters", None)
        for key in ("layer", "backward_layer"):
            if isinstance(config.get(key), dict):
                config[key].pop("build_config", None)
        if kind(operation) == "MultiHeadAttention":
            for key in ("query_shape", "key_shape", "value_shape"):
                config[key] = None
            if self._flavor is Flavor.KERAS3:
                for key in ("query_shape", "key_shape", "value_shape"):
                    del config[key]
        if kind(operation) == "Lambda" and self._flavor is Flavor.KERAS3:
            return type(operation).from_config(config, safe_mode=False)
        return type(operation).from_config(config)

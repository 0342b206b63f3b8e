"""Both Kerases as one list of calls: what is called, on which tensors, giving which.

Keras 3 and tf_keras keep the same graph under different names; only this file knows them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from toolchain.errors import ModelError
from toolchain.keras_models import Flavor, flavor_of, keras_of
from toolchain.optional import require


class Node(msgspec.Struct, frozen=True):
    """One call in a model's graph."""

    operation: Any
    inputs: list[Any]
    outputs: list[Any]
    arguments: Callable[[list[Any]], tuple[Any, Any]]
    """Positional and keyword arguments of the call, with the given values in the place of `inputs`."""

    def call(self, values: list[Any], operation: Any = None) -> list[Any]:
        """Call the operation, or another in its place, on other values; outputs in the order of `outputs`."""
        args, kwargs = self.arguments(values)
        return list(require("tensorflow", "tf").nest.flatten((operation or self.operation)(*args, **kwargs)))


def functional(model: Any) -> Any:
    """The graph of a model. Raises ModelError where there is none to walk."""
    keras = keras_of(model)
    graph = getattr(model, "_functional", None) or model
    if not isinstance(model, keras.Sequential) and not hasattr(graph, "_nodes_by_depth"):
        raise ModelError(
            f"{model.name}: a subclassed model has no graph; rebuild it functionally: x = keras.Input(shape), keras.Model(x, model.call(x))"
        )
    if not getattr(model, "built", False) or not getattr(model, "inputs", None):
        raise ModelError(f"{model.name}: the model is not built; start it with keras.Input(shape)")
    return graph


def is_model(operation: Any) -> bool:
    """Whether an operation is a model inside a model."""
    return hasattr(operation, "layers") and hasattr(operation, "get_config")


def kind(operation: Any) -> str:
    """The class name of an operation."""
    return type(operation).__name__


def nodes(model: Any) -> Iterator[Node]:
    """The calls of a model in topological order, without its inputs."""
    graph = functional(model)
    convert = _keras3 if flavor_of(model) is Flavor.KERAS3 else _tf_keras
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not (node.is_input if isinstance(node.is_input, bool) else node.is_input()):
                yield convert(node)


def _keras3(node: Any) -> Node:
    inputs = list(node.arguments.keras_tensors)

    def arguments(values: list[Any]) -> tuple[Any, Any]:
        found: tuple[Any, Any] = node.arguments.fill_in({id(t): value for t, value in zip(inputs, values, strict=True)})
        return found

    return Node(node.operation, inputs, list(node.output_tensors), arguments)


def _tf_keras(node: Any) -> Node:
    inputs = list(node.keras_inputs)

    def arguments(values: list[Any]) -> tuple[Any, Any]:
        given: dict[str, list[Any]] = defaultdict(list)
        for tensor, value in zip(inputs, values, strict=True):
            given[str(id(tensor))].append(value)
        found: tuple[Any, Any] = node.map_arguments(given)
        return found

    return Node(node.layer, inputs, require("tensorflow", "tf").nest.flatten(node.outputs), arguments)


def leaves(model: Any) -> tuple[Any, ...]:
    """Layers that are no models themselves, once each."""
    found: dict[int, Any] = {}
    stack = list(model.layers)
    while stack:
        layer = stack.pop()
        if is_model(layer):
            stack += layer.layers
        else:
            found[id(layer)] = layer
    return tuple(found.values())


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Shape without the batch; an open dimension counts as 3, which suffices to follow channels."""
    return tuple(3 if size is None else int(size) for size in tensor.shape[1:])


def dtype_of(tensor: Any) -> str:
    """Name of a tensor's type."""
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def random_inputs(model: Any, count: int, seed: int) -> list[Any]:
    """Random inputs `[count, ...]`: normal floats, and ids that every Embedding knows."""
    rng = np.random.default_rng(seed)
    limits = [layer.input_dim for layer in model._flatten_layers() if kind(layer) == "Embedding"]
    top = min(limits, default=2)
    return [
        rng.integers(0, top, (count, *shape_of(t))).astype(dtype_of(t))
        if "int" in dtype_of(t)
        else rng.normal(size=(count, *shape_of(t))).astype(np.float32)
        for t in functional(model).inputs
    ]

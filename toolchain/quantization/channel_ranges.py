"""How large channels are: in the activations that an integer file stores, and in the kernels that read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.labels import Labels
from toolchain.channels.nodes import functional, is_model, kind, nodes
from toolchain.data import Array
from toolchain.optional import require
from toolchain.quantization import affine
from toolchain.quantization.kernels import OUTPUT_AXES
from toolchain.quantization.scaling import Ends, ScaleGraph

BATCH = 32


class Ranges(msgspec.Struct, frozen=True):
    """Largest absolute value of every class in every stored tensor: classes `[k]` and their values `[k]`, tensor by tensor."""

    tensors: tuple[tuple[Labels, Array], ...]

    def shares(self, scale: Array) -> Array:
        """How much of its tensor's range each class uses, at best, once its values are divided by `scale`."""
        found = np.zeros(len(scale))
        for classes, largest in self.tensors:
            scaled = largest / scale[classes]
            np.maximum.at(found, classes, scaled / max(float(scaled.max()), 1e-30))
        return found

    def largest(self, classes: int) -> Array:
        """Largest value of each class."""
        found = np.zeros(classes)
        for members, largest in self.tensors:
            np.maximum.at(found, members, largest)
        return found


def observe(graph: ScaleGraph, inputs: Sequence[Array]) -> Ranges:
    """The ranges of activations on inputs `[N, ...]`, one array for each input of the model."""
    stored = {tensor: labels for tensor, labels in graph.stored.items() if labels.any()}
    largest: dict[int, Array] = {}

    def widen(tensor: int, value: Any) -> None:
        if tensor in stored:
            shared = (0, *(axis + 1 for axis, size in enumerate(stored[tensor].shape) if size == 1))
            largest[tensor] = np.maximum(largest.get(tensor, 0.0), np.abs(value).max(shared, keepdims=True)[0])

    each_value(graph.model, inputs, widen)
    return Ranges(tuple(_by_class(stored[tensor], top) for tensor, top in largest.items()))


def each_value(model: Any, inputs: Sequence[Array], visit: Callable[[int, Any], None]) -> None:
    """Compute a model on inputs `[N, ...]` and visit what every call makes: the symbolic tensor's id and a batch of values.

    Models inside the model are walked through.
    """
    tf = require("tensorflow", "tf")

    def follow(part: Any, values: list[Any]) -> list[Any]:
        source = functional(part)
        table = dict(zip((id(tensor) for tensor in source.inputs), values, strict=True))
        for node in nodes(part):
            given = [table[id(tensor)] for tensor in node.inputs]
            found = follow(node.operation, given) if is_model(node.operation) else node.call(given)
            for tensor, value in zip(node.outputs, found, strict=True):
                table[id(tensor)] = value
                visit(id(tensor), np.asarray(value))
        return [table[id(tensor)] for tensor in source.outputs]

    for start in range(0, len(inputs[0]), BATCH):
        follow(model, [tf.constant(x[start : start + BATCH]) for x in inputs])


def weight_ranges(graph: ScaleGraph) -> Ranges:
    """The largest weight of every channel's row, in the place of activations where there are no data (Nagel et al. 2019, eq. 10)."""
    found = []
    for ends in graph.ends:
        separable = kind(ends.layer) in affine.SEPARABLE
        rows = np.abs(ends.layer.get_weights()[1]).reshape(-1, len(ends.made)).T if separable else rows_of(ends)[1]
        found.append(_by_class(graph.root[ends.made], rows.max(1)))
    return Ranges(tuple(found))


def _by_class(labels: Labels, largest: Array) -> tuple[Labels, Array]:
    classes, place = np.unique(labels, return_inverse=True)
    found = np.zeros(len(classes))
    np.maximum.at(found, place.ravel(), np.abs(np.broadcast_to(largest, labels.shape)).ravel())
    return classes, found


def rows_of(ends: Ends) -> tuple[Labels, Array]:
    """Of the kernel that reads a layer's input: largest weight `[rows, n]` over the window, and what each of the n reads."""
    layer = ends.layer
    kernel = np.abs(np.asarray(layer.get_weights()[0], np.float64))
    largest = kernel.max(tuple(range(kernel.ndim - 2)))
    if kind(layer).startswith("Depthwise") or kind(layer) in affine.SEPARABLE:
        return np.repeat(ends.read, largest.shape[1])[:, None], largest.reshape(-1, 1)
    rows = largest if OUTPUT_AXES[kind(layer)][0] == kernel.ndim - 2 else largest.T
    groups = getattr(layer, "groups", 1)
    return np.repeat(ends.read.reshape(groups, -1), len(rows) // groups, axis=0), rows

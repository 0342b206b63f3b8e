"""The float network and its quantized twin, computed side by side, one call after another.

What is learned about a layer must see inputs as the quantized layers before it make them, and outputs as the float
network has them (Nagel et al. 2020, eq. 25). Each kernel of the twin is visited once, when both are known and its own
weights are still float; the weights that the visit leaves there are those that the layers behind it see.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.nodes import Node, functional, kind, nodes
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.optional import require
from toolchain.quantization.kernels import OUTPUT_AXES, Kernel
from toolchain.stage import Note

BATCH = 64
Batches = list[Any]
"""One tensor's values: `[BATCH, ...]` each, in the order of the examples."""

ACTIVATIONS = frozenset(["ReLU", "LeakyReLU", "PReLU", "ELU", "Activation"])


class Visit(msgspec.Struct, frozen=True):
    """One kernel of the twin, the call that uses it, and what arrives there."""

    kernel: Kernel
    node: Node
    consumers: tuple[Node, ...]
    """The twin's calls that take the layer's output."""
    sums: Batches
    """The layer's float outputs before its own activation."""
    rounded: Batches
    """Inputs in the twin."""

    @property
    def activation(self) -> Any:
        """The function between the layer's sums and what an integer file stores, which converters fuse; None where there is none.

        A softmax is none: differences of logits count, however small the probabilities are.
        """
        own = self.kernel.layer.activation
        if _name(own) in ("None", "linear") and len(self.consumers) == 1 and kind(self.consumers[0].operation) in ACTIVATIONS:
            own = self.consumers[0].operation
        return None if _name(getattr(own, "activation", own)) in ("None", "linear", "softmax") else own

    @property
    def axis(self) -> int:
        """Where the layer's outputs count channels."""
        return 1 if getattr(self.kernel.layer, "data_format", "") == "channels_first" else -1

    def sums_of_twin(self) -> Batches:
        """The twin's outputs before the layer's own activation, with the weights it has now."""
        return sums(self.kernel.layer, self.rounded)

    def means(self, values: Batches) -> Array:
        """Means `[C]` over examples and positions of tensors that look like the layer's outputs."""
        rows = [np.moveaxis(np.asarray(value), self.axis, -1).reshape(-1, self.kernel.channels) for value in values]
        return np.asarray(sum(part.sum(0, dtype=np.float64) for part in rows) / sum(len(part) for part in rows))

    def along_channels(self, values: Array) -> Any:
        """Values `[C]` in float32 and in the shape in which they meet the layer's outputs."""
        shape = [1] * len(self.node.outputs[0].shape)
        shape[self.axis] = -1
        return np.asarray(values, np.float32).reshape(shape)


def visited(model: Any) -> tuple[dict[str, Kernel], tuple[Note, ...]]:
    """The kernels of the outermost graph by the name of their layer, and a Note for each trained layer that is none of them."""
    calls = list(nodes(model))
    times = Counter(id(node.operation) for node in calls)
    found, notes = {}, []
    for layer in {id(node.operation): node.operation for node in calls}.values():
        if kind(layer) in OUTPUT_AXES and times[id(layer)] == 1:
            found[layer.name] = Kernel(layer, OUTPUT_AXES[kind(layer)])
        elif kind(layer) in OUTPUT_AXES:
            notes.append(Note(layer.name, f"is called {times[id(layer)]} times, and what fits one call misfits another: left as it was"))
        elif any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            notes.append(Note(layer.name, f"the weights inside a {kind(layer)} are left as they were"))
    return found, tuple(notes)


def replay(
    model: Any, twin: Any, inputs: Array, visit: Callable[[Visit], None], quantize: Callable[[Batches], Batches] | None = None
) -> None:
    """Compute a model and its twin, a copy, on inputs `[N, ...]`, calling `visit` for each kernel of the twin in its turn.

    `quantize` is applied to each tensor of the twin that an integer file stores. Raises StageError for several inputs.
    """
    tf = require("tensorflow", "tf")
    if len(model.inputs) != 1:
        raise StageError(f"{model.name}: has {len(model.inputs)} inputs, calibration examples have one")
    floats, calls = list(nodes(model)), list(nodes(twin))
    kernels, _ = visited(twin)
    given = [tf.constant(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    exact = {id(functional(model).inputs[0]): given}
    rounded = {id(functional(twin).inputs[0]): quantize(given) if quantize else given}
    uses = Counter(id(t) for node in (*floats, *calls) for t in node.inputs)
    for before, node in zip(floats, calls, strict=True):
        consumers = tuple(other for other in calls if any(t is out for out in node.outputs for t in other.inputs))
        if kernel := kernels.get(node.operation.name):
            visit(Visit(kernel, node, consumers, sums(before.operation, exact[id(before.inputs[0])]), rounded[id(node.inputs[0])]))
        fused = len(consumers) == 1 and kind(consumers[0].operation) in ACTIVATIONS | {"BatchNormalization"}
        exact |= _call(before, exact)
        made = _call(node, rounded)
        rounded |= {key: quantize(value) for key, value in made.items()} if quantize and not fused else made
        for tensor, values in ((t, values) for side, values in ((before, exact), (node, rounded)) for t in side.inputs):
            uses[id(tensor)] -= 1
            if not uses[id(tensor)]:
                del values[id(tensor)]


def sums(layer: Any, inputs: Batches) -> Batches:
    """A layer's outputs before its own activation."""
    with linear(layer):
        return [layer(x) for x in inputs]


@contextlib.contextmanager
def linear(layer: Any) -> Iterator[None]:
    """A layer without its own activation; afterwards it is as it was."""
    activation = layer.activation
    layer.activation = None
    try:
        yield
    finally:
        layer.activation = activation


def _call(node: Node, values: dict[int, Batches]) -> dict[int, Batches]:
    """The outputs of a call by the id of their tensor, each in batches."""
    rows = zip(*(values[id(tensor)] for tensor in node.inputs), strict=True)
    columns = zip(*(node.call(list(row)) for row in rows), strict=True)
    return {id(tensor): list(column) for tensor, column in zip(node.outputs, columns, strict=True)}


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", getattr(function, "name", function)))

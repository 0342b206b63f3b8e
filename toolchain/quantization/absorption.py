"""Move what a channel never falls below out of the activation, into the biases of the layers that read it.

A channel that is never zero uses only the upper part of a range that must hold zero. With c the smallest value seen,
relu(x) = relu(x - c) + c wherever x >= c (Nagel et al. 2019, section 4.1.3, which estimates c from batch normalization).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.nodes import Node
from toolchain.data import Array
from toolchain.quantization import affine
from toolchain.quantization.channel_ranges import each_value
from toolchain.quantization.neighbours import Blocked, Neighbours, neighbourhoods
from toolchain.quantization.scaling import RECTIFIERS, clip_of


class Passage(msgspec.Struct, frozen=True):
    """A rectified tensor between the layer that makes it and the linear layers that read it."""

    tensor: Any
    axis: int
    maker: Any
    readers: tuple[Any, ...]


def absorb(model: Any, inputs: Sequence[Array]) -> int:
    """Change biases so that no channel stays above zero on inputs `[N, ...]`; how many channels that were.

    Exact on these inputs. Layers without a bias, and those whose zero padding would have to change, are left alone.
    """
    places = {id(place.tensor): place for around in neighbourhoods(model) for place in _passages(around)}
    smallest: dict[int, Array] = {}

    def narrow(tensor: int, value: Any) -> None:
        if tensor in places:
            lowest = value.min(tuple(axis for axis in range(value.ndim) if axis != places[tensor].axis))
            smallest[tensor] = np.minimum(smallest.get(tensor, np.inf), lowest)

    each_value(model, inputs, narrow)
    for tensor, place in places.items():
        moved = np.maximum(smallest[tensor].astype(np.float64), 0.0)
        one = np.ones(len(moved))
        place.maker.set_weights(affine.after(place.maker, affine.weights_of(place.maker), one, -moved))
        for reader in place.readers:
            reader.set_weights(affine.before(reader, affine.weights_of(reader), one, moved))
    return sum(int((lowest > 0).sum()) for lowest in smallest.values())


def _passages(around: Neighbours) -> list[Passage]:
    found = []
    for node in around.calls:
        try:
            place = _passage(node, around)
        except Blocked:
            continue
        if all(layer.use_bias for layer in (place.maker, *place.readers)):
            found.append(place)
    return found


def _passage(node: Node, around: Neighbours) -> Passage:
    """The passage through a rectifier, a layer of its own or a layer's activation. Raises Blocked where there is none.

    PReLU is none: with a slope below zero its output is positive on both sides.
    """
    operation, output = node.operation, node.outputs[0]
    own = affine.is_linear(operation)
    if not own and type(operation).__name__ not in RECTIFIERS:
        raise Blocked("it is no rectifier")
    top, name = clip_of(operation.activation if own else operation)
    if top != np.inf or name in ("linear", "PReLU") or (own and around.times[id(operation)] > 1):
        raise Blocked(f"{name} is no rectifier of one channel")
    first = getattr(operation, "data_format", None) == "channels_first"
    axis = 1 if first else len(output.shape) - 1
    maker = operation if own else around.before(node.inputs[0], axis)
    return Passage(output, axis, maker, tuple(around.after(output, axis, shifts=True).values()))

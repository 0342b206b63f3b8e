"""The names of Keras layers for the tensors of a float .tflite that was converted from the model, found by their values.

Folding and fusing leave one tensor for several layers: it is named after all of them, "conv1 + bn1 + relu1".
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from toolchain.channels.nodes import functional, is_model, nodes
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.fidelity.sites import INPUT, Site
from toolchain.keras_models import keras_of

EQUAL = 1e-4
"""Largest difference of two tensors that are the same, relative to the larger one's largest value."""


class Names(msgspec.Struct, frozen=True):
    """What the layers are called in the converted file."""

    sites: dict[int, str]
    """By the place of the site."""
    unmatched: tuple[str, ...]
    """Layers whose values the file does not hold and that were folded into no other."""
    notes: tuple[str, ...]


def names(model: Any, inputs: list[Array], sites: list[Site]) -> Names:
    """Match the model's layers, called on `inputs` `[n, ...]`, with sites that were computed from the same inputs."""
    try:
        graph, calls = functional(model), list(nodes(model))
    except ModelError as err:
        return Names({}, (), (f"layers carry the converter's names: {err}",))
    tensors = [node.outputs[0] for node in calls]
    watched = keras_of(model).Model(list(graph.inputs), tensors)
    found = watched(list(inputs), training=False)
    values = [np.asarray(v, np.float32) for v in (found if isinstance(found, (list, tuple)) else [found])]
    producer = {id(tensor): index for index, tensor in enumerate(tensors)}
    readers = dict[int, int]()
    for node in calls:
        for tensor in node.inputs:
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    named, pending = dict[int, str](), dict[int, str]()
    for index, node in enumerate(calls):
        name = node.operation.name
        place = _place(values[index], sites, named)
        if place is None:
            pending[index] = name
            continue
        chain, before = [name], node
        while len(before.inputs) == 1 and (above := producer.get(id(before.inputs[0]))) in pending and readers[id(before.inputs[0])] == 1:
            assert above is not None
            chain.insert(0, pending.pop(above))
            before = calls[above]
        named[place] = " + ".join([named[place], *chain] if place in named else chain)
    notes = [
        f"{node.operation.name} is a model inside the model: its layers carry the converter's names"
        for node in calls
        if is_model(node.operation)
    ]
    return Names(named | _inner(sites, named), tuple(pending.values()), tuple(notes))


def _inner(sites: list[Site], named: dict[int, str]) -> dict[int, str]:
    """Names of what lies within a layer: "dense (FULLY_CONNECTED)" before the softmax that makes it `dense`."""
    found = dict[int, str]()
    for place in reversed(range(len(sites))):
        reader = next((other for other in range(place + 1, len(sites)) if place in sites[other].inputs), None)
        if place not in named and sites[place].operator != INPUT and reader is not None:
            owner = named.get(reader) or found.get(reader, "").partition(" (")[0]
            found |= {place: f"{owner} ({sites[place].operator})"} if owner else {}
    return found


def _place(value: Array, sites: list[Site], named: dict[int, str]) -> int | None:
    """The site with these values: one without a name and of the same shape before others, the first of equals."""
    equal = [
        place
        for place, site in enumerate(sites)
        if site.operator != INPUT and site.values.size == value.size and _equal(value, site.values.reshape(value.shape))
    ]
    return min(equal, key=lambda place: (place in named, sites[place].values.shape != value.shape, place), default=None)


def _equal(a: Array, b: Array) -> bool:
    largest = float(np.abs(a).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= EQUAL * largest)

"""Which channels can be scaled, and which must share a scale, for the network to compute what it computed.

A linear layer may make a channel 1/s as large if every layer that reads it multiplies it by s, provided that all between
them is positively homogeneous, f(x / s) = f(x) / s (Nagel et al. 2019, eq. 5-7). The walk is that of structural pruning
with another meaning: atoms of one class have one scale, and a frozen class has scale 1. A depthwise convolution ends one
class and begins another.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import numpy as np

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.labels import FROZEN, Labels, frozen, spread, varying
from toolchain.channels.nodes import Node, is_model, kind, shape_of
from toolchain.channels.probes import MERGES, SPATIAL, carried, channelwise, run, sources_of, spatial
from toolchain.channels.rules import Site, channel_axis
from toolchain.quantization import affine
from toolchain.quantization.neighbours import COMMUTES
from toolchain.stage import Note

HOMOGENEOUS = frozenset(["linear", "relu", "leaky_relu"])
RECTIFIERS = frozenset(["ReLU", "LeakyReLU", "PReLU", "Activation"])


class Ends(msgspec.Struct, frozen=True):
    """A linear layer between the channels it reads and those it makes; labels in the order of its input and output channels."""

    layer: Any
    read: Labels
    made: Labels


class ScaleGraph(ChannelGraph):
    """The channels of a model and what ties their scales. Raises ModelError for a model without a graph."""

    def __init__(self, model: Any) -> None:
        self.ends: list[Ends] = []
        self.tensors: dict[int, Labels] = {}
        """By the id of every tensor that a call makes."""
        self.clips: list[tuple[Labels, float]] = []
        """Channels that an activation clips, and at what value."""
        self._sums: set[int] = set()
        self._readers: dict[int, set[int]] = defaultdict(set)
        super().__init__(model)

    @property
    def stored(self) -> dict[int, Labels]:
        """The tensors that an integer file stores: sums that only an activation reads stay inside an operator."""
        return {
            tensor: self.canonical(labels)
            for tensor, labels in self.tensors.items()
            if not (tensor in self._sums and len(self._readers[tensor]) == 1)
        }

    def notes(self) -> tuple[Note, ...]:
        """The channels whose scale must stay, by the reason."""
        layers: dict[str, list[str]] = defaultdict(list)
        channels: dict[str, int] = defaultdict(int)
        for ends in self.ends:
            kept = ends.made[self.root[ends.made] == FROZEN]
            for atom in kept.tolist():
                channels[self.atoms.reason(atom)] += 1
            for reason in dict.fromkeys(self.atoms.reason(atom) for atom in kept.tolist()):
                layers[reason].append(ends.layer.name)
        return tuple(Note(listed(names), f"{channels[why]} channels keep their scale: {why}") for why, names in layers.items())

    # the walk

    def _follow(self, node: Node, ins: list[Labels]) -> list[Labels]:
        operation, name = node.operation, kind(node.operation)
        if is_model(operation):
            return self._walk(operation, ins)
        site = Site(operation, operation, [shape_of(t) for t in node.inputs], [shape_of(t) for t in node.outputs])
        for tensor in node.inputs:
            self._readers[id(tensor)].add(id(node.outputs[0]))
        if affine.is_linear(operation):
            outs = self._linear(site, ins)
        elif name in RECTIFIERS:
            self._sums.add(id(node.inputs[0]))
            outs = [self._activated(ins[0], operation)]
        elif name == "BatchNormalization":
            outs = self._kept(site, ins, "batch normalization comes after it; put fold_batchnorm before")
        elif getattr(operation, "weights", None):
            outs = self._kept(site, ins, f"{name} is not scaled through")
        else:
            outs = self._weightless(node, site, ins)
        self.tensors.update(zip((id(tensor) for tensor in node.outputs), outs, strict=True))
        return outs

    def _linear(self, site: Site, ins: list[Labels]) -> list[Labels]:
        layer, shape, out = site.layer, site.in_shapes[0], site.out_shapes[0]
        axis = channel_axis(layer, len(shape))
        read = self.vector(ins[0], shape, axis, site)
        if id(layer) in self._seen:
            self.atoms.unite(self._seen[id(layer)][0], read)
        made = self.make(site, ("channels",), out[axis])
        if id(layer) not in self._seen:
            self._seen[id(layer)] = [read]
            self.ends.append(Ends(layer, read, made))
        return [self._activated(spread(made, len(out), axis), layer.activation)]

    def _activated(self, labels: Labels, activation: Any) -> Labels:
        """Labels after a layer's activation function, or after a layer that is an activation."""
        top, name = clip_of(activation)
        if top is None:
            self.atoms.freeze(labels, f"{name} is not positively homogeneous")
            return frozen(labels.ndim)
        if top != np.inf:
            self.clips.append((labels, top))
        return labels

    def _kept(self, site: Site, ins: list[Labels], reason: str) -> list[Labels]:
        for labels in ins:
            self.atoms.freeze(labels, reason)
        return [frozen(len(shape)) for shape in site.out_shapes]

    def _weightless(self, node: Node, site: Site, ins: list[Labels]) -> list[Labels]:
        name, shapes, outs = kind(node.operation), site.in_shapes, site.out_shapes
        if not any(self.canonical(labels).any() for labels in ins):
            return [frozen(len(shape)) for shape in outs]
        if isinstance(node.operation, self.keras.layers.Layer):
            if name in COMMUTES:
                return [ins[0]]
            if name.startswith(SPATIAL):
                return [spatial(self, node.operation, ins[0], shapes[0], len(outs[0]))]
            if name == "Multiply" and len({len(shape) for shape in shapes}) == 1:
                return [self._product(ins)]
            if name in MERGES - {"Multiply"} and len({len(shape) for shape in shapes}) == 1:
                for labels in ins[1:]:
                    self.atoms.unite(ins[0], labels)
                return [np.broadcast_arrays(*ins)[0]]
        if (sources := sources_of(node, shapes)) is not None:
            return carried(self, ins, shapes, sources)
        found = channelwise(self, node, ins, shapes, outs)
        return (
            found if found and self._is_homogeneous(node, ins, shapes) else self._kept(site, ins, f"{name} is not positively homogeneous")
        )

    def _product(self, ins: list[Labels]) -> Labels:
        """A product scales with one factor; the others, such as the gates of squeeze-and-excitation, keep their scale."""
        scaled = [labels for labels in ins if self.canonical(labels).any()]
        for labels in scaled[1:]:
            self.atoms.freeze(labels, "it is multiplied with channels that are scaled")
        return scaled[0]

    def _is_homogeneous(self, node: Node, ins: list[Labels], shapes: list[tuple[int, ...]]) -> bool:
        """Whether a call that treats channels alone scales with them, tried on numbers."""
        rng = np.random.default_rng(0)
        values = [100 * rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
        factors = [np.float32(3) if varying(self.canonical(labels)) else np.float32(1) for labels in ins]
        plain, scaled = run(node, values), run(node, [x * factor for x, factor in zip(values, factors, strict=True)])
        return (
            plain is not None and scaled is not None and all(np.allclose(3 * a, b, rtol=1e-5) for a, b in zip(plain, scaled, strict=True))
        )


def clip_of(activation: Any) -> tuple[float | None, str]:
    """Where a positively homogeneous activation clips, infinity where it does not, None where it is no such; and its name."""
    name = kind(activation)
    if name == "ReLU":
        top = np.inf if activation.max_value is None else float(activation.max_value)
        return (None if activation.threshold else top), name
    if name in ("LeakyReLU", "PReLU"):
        return np.inf, name
    function = str(getattr(getattr(activation, "activation", activation), "__name__", "linear" if activation is None else name))
    return 6.0 if function == "relu6" else np.inf if function in HOMOGENEOUS else None, function


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""What each layer with weights does to labels: which channels it reads, which it makes, and where they sit in its weights.

A rule is a function named after nothing but listed once in `RULES` by the layer's class. It gets a `Site` (the layer in
its place) and the labels of its inputs, and returns the labels of its outputs. It speaks of weights through *slots*:
axis `axis` of weight `weight` carries the channels `labels`. Slicing, masking, cost and importance all follow from slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from toolchain.channels.labels import Labels, frozen, spread

if TYPE_CHECKING:
    from toolchain.channels.graph import ChannelGraph

Role = Literal["in", "out", "along"]
"""in: the weight consumes the channels; out: it produces them; along: it follows them (bias, normalization)."""


class Slot(msgspec.Struct, frozen=True):
    """Axis `axis` of weight number `weight` of a layer carries the channels `labels`."""

    layer: Any
    weight: int
    axis: int
    labels: Labels
    role: Role


class Site(msgspec.Struct, frozen=True):
    """A layer in its place: who owns the weights, where its settings lie, and the shapes around it."""

    owner: Any
    """The layer in the graph; for a wrapped layer (TimeDistributed, Bidirectional) its wrapper."""
    layer: Any
    in_shapes: list[tuple[int, ...]]
    out_shapes: list[tuple[int, ...]]
    """Without the batch."""
    path: tuple[str, ...] = ()
    """Where the layer's settings lie in the owner's configuration."""
    first: int = 0
    """Number of the layer's first weight among the owner's."""
    times: int = 1
    """How often a wrapper applies the layer to one example."""


Rule = Callable[["ChannelGraph", Site, list[Labels]], list[Labels]]


def channel_axis(layer: Any, ndim: int) -> int:
    """Axis of the channels without the batch."""
    return 0 if getattr(layer, "data_format", None) == "channels_first" else ndim - 1


def dense(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Kernel [in, units], bias [units], applied at every position before the last axis."""
    layer, shape = site.layer, site.in_shapes[0]
    read = graph.vector(ins[0], shape, len(shape) - 1, site)
    made = graph.make(site, ("units",), layer.units, mixes_channels=layer.activation)
    graph.slot(site, 0, 0, read, "in")
    graph.slot(site, 0, 1, made, "out")
    if layer.use_bias:
        graph.slot(site, 1, 0, made, "along")
    graph.macs(site.times * int(np.prod(shape[:-1])), read, made)
    return [spread(made, len(site.out_shapes[0]), -1)]


def convolution(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Kernel [*window, in / groups, filters], transposed [*window, filters, in], bias [filters]."""
    layer, shape, out = site.layer, site.in_shapes[0], site.out_shapes[0]
    transposed = "Transpose" in type(layer).__name__
    axis = channel_axis(layer, len(shape))
    read = graph.vector(ins[0], shape, axis, site)
    made = graph.make(site, ("filters",), layer.filters, mixes_channels=layer.activation)
    groups = getattr(layer, "groups", 1)
    window = len(shape) - 1
    if groups > 1:
        graph.tie(read, groups)
        graph.tie(made, groups)
    graph.slot(site, 0, window + transposed, read[: len(read) // groups], "in")
    graph.slot(site, 0, window + 1 - transposed, made, "out")
    if layer.use_bias:
        graph.slot(site, 1, 0, made, "along")
    positions = shape if transposed else out
    spots = int(np.prod(positions)) // positions[axis] * int(np.prod(layer.kernel_size))
    graph.macs(site.times * spots, read[: len(read) // groups], made)
    return [spread(made, len(out), axis)]


def depthwise(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Kernel [*window, in, multiplier]: every input channel makes `multiplier` channels that share its fate."""
    layer, shape, out = site.layer, site.in_shapes[0], site.out_shapes[0]
    axis = channel_axis(layer, len(shape))
    read = graph.vector(ins[0], shape, axis, site)
    made = np.repeat(read, layer.depth_multiplier)
    graph.slot(site, 0, len(shape) - 1, read, "along")
    if layer.use_bias:
        graph.slot(site, 1, 0, made, "along")
    graph.macs(site.times * int(np.prod(out)) // out[axis] * int(np.prod(layer.kernel_size)), made)
    return [spread(made, len(out), axis)]


def separable(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Depthwise kernel [*window, in, multiplier], pointwise kernel [*1, in * multiplier, filters], bias [filters]."""
    layer, shape, out = site.layer, site.in_shapes[0], site.out_shapes[0]
    axis = channel_axis(layer, len(shape))
    read = graph.vector(ins[0], shape, axis, site)
    between = np.repeat(read, layer.depth_multiplier)
    made = graph.make(site, ("filters",), layer.filters, mixes_channels=layer.activation)
    window = len(shape) - 1
    graph.slot(site, 0, window, read, "along")
    graph.slot(site, 1, window, between, "in")
    graph.slot(site, 1, window + 1, made, "out")
    if layer.use_bias:
        graph.slot(site, 2, 0, made, "along")
    positions = site.times * int(np.prod(out)) // out[axis]
    graph.macs(positions * int(np.prod(layer.kernel_size)), between)
    graph.macs(positions, between, made)
    return [spread(made, len(out), axis)]


def batch_normalization(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """gamma, beta, mean and variance [channels]: each channel on its own."""
    shape, axis = site.in_shapes[0], site.layer.axis
    axis = int(axis if isinstance(axis, int) else next(iter(axis)))
    axis = axis - 1 if axis > 0 else axis + len(shape)
    read = graph.vector(ins[0], shape, axis, site)
    for index in range(len(site.layer.weights)):
        graph.slot(site, index, 0, read, "along")
    return [spread(read, len(shape), axis)]


def normalization_over_channels(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """LayerNormalization, GroupNormalization, RMSNormalization: the statistics change with the channels.

    Frozen, unless the graph was asked for inexact pruning.
    """
    shape = site.in_shapes[0]
    read = graph.vector(ins[0], shape, len(shape) - 1, site)
    if not graph.inexact:
        graph.atoms.freeze(read, f"{type(site.layer).__name__} {site.owner.name!r}: its statistics would change; inexact = true prunes it")
        read = np.zeros_like(read)
    elif hasattr(site.layer, "groups"):
        graph.tie(read, site.layer.groups)
    for index, weight in enumerate(site.layer.weights):
        graph.slot(site, index, len(weight.shape) - 1, read, "along")
    return [spread(read, len(shape), -1)]


def prelu(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Alpha [..., channels], with size 1 on shared axes."""
    shape = site.in_shapes[0]
    read = graph.vector(ins[0], shape, len(shape) - 1, site)
    alpha = site.layer.weights[0].shape
    if alpha[-1] == 1:
        return [spread(read, len(shape), -1)]
    graph.slot(site, 0, len(alpha) - 1, read, "along")
    return [spread(read, len(shape), -1)]


def layer_scale(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Gamma [channels] of ConvNeXt, counted by the setting `projection_dim`."""
    shape = site.in_shapes[0]
    read = graph.vector(ins[0], shape, len(shape) - 1, site)
    graph.slot(site, 0, 0, read, "along")
    graph.count(site, ("projection_dim",), read)
    return [spread(read, len(shape), -1)]


def embedding(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Table [input_dim, output_dim]."""
    made = graph.make(site, ("output_dim",), site.layer.output_dim)
    graph.slot(site, 0, 1, made, "out")
    return [spread(made, len(site.out_shapes[0]), -1)]


GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def recurrent(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Kernel [in, gates * units], recurrent kernel [units, gates * units], bias [..., gates * units].

    States that come in and states that go out are the units themselves.
    """
    layer, shape = site.layer, site.in_shapes[0]
    if getattr(layer, "stateful", False):
        return graph.refuse(site, ins, "a stateful layer keeps its state in a variable")
    gates, cell = GATES[type(layer).__name__], layer.cell
    read = graph.vector(ins[0], shape, len(shape) - 1, site)
    made = graph.make(site, ("units",), layer.units)
    for state, state_shape in zip(ins[1:], site.in_shapes[1:], strict=True):
        graph.atoms.unite(graph.vector(state, state_shape, len(state_shape) - 1, site), made)
    all_gates = np.tile(made, gates)
    graph.slot(site, 0, 0, read, "in")
    graph.slot(site, 0, 1, all_gates, "out")
    graph.slot(site, 1, 0, made, "in")
    graph.slot(site, 1, 1, all_gates, "out")
    if cell.use_bias:
        graph.slot(site, 2, len(layer.weights[2].shape) - 1, all_gates, "along")
    graph.macs(site.times * shape[0], read, all_gates)
    graph.macs(site.times * shape[0], made, all_gates)
    return [spread(made, len(out), -1) for out in site.out_shapes]


def bidirectional(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Two recurrent layers over one input; states, if any, come and go first forward then backward."""
    layer = site.layer
    parts = [("layer", layer.forward_layer, 0), ("backward_layer", layer.backward_layer, len(layer.forward_layer.weights))]
    if any(type(part).__name__ not in GATES for _, part, _ in parts):
        return graph.refuse(site, ins, "only LSTM, GRU and SimpleRNN are known inside Bidirectional")
    states = (len(ins) - 1) // 2
    out_states = (len(site.out_shapes) - 1) // 2 if getattr(layer, "return_state", False) else 0
    made = []
    for index, (key, part, first) in enumerate(parts):
        own = slice(1 + index * states, 1 + (index + 1) * states)
        shapes = [site.in_shapes[0], *site.in_shapes[own]]
        inner = Site(site.owner, part, shapes, [site.out_shapes[0]] + [(part.units,)] * out_states, (key, "config"), first, site.times)
        made.append(recurrent(graph, inner, [ins[0], *ins[own]])[0].ravel())
    forward, backward = made
    graph.atoms.unite(forward, backward)  # both Kerases rebuild the backward layer with the forward layer's units
    if layer.merge_mode is None:
        outputs = [spread(forward, len(site.out_shapes[0]), -1), spread(backward, len(site.out_shapes[1]), -1)]
    elif layer.merge_mode == "concat":
        outputs = [spread(np.concatenate(made), len(site.out_shapes[0]), -1)]
    else:
        outputs = [spread(forward, len(site.out_shapes[0]), -1)]
    return outputs + [spread(part, 1, -1) for part in made for _ in range(out_states)]


def time_distributed(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """Any layer with a rule, applied to every step: its labels without the time axis."""
    inner = site.layer.layer
    rule = RULES.get(type(inner).__name__)
    if rule is None or rule in (recurrent, bidirectional, time_distributed) or any(labels.shape[0] > 1 for labels in ins):
        return graph.refuse(site, ins, f"{type(inner).__name__} inside TimeDistributed")
    steps = site.in_shapes[0][0]
    shapes = [shape[1:] for shape in site.in_shapes], [shape[1:] for shape in site.out_shapes]
    place = Site(site.owner, inner, *shapes, (*site.path, "layer", "config"), site.first, site.times * steps)
    return [labels[None] for labels in rule(graph, place, [labels[0] for labels in ins])]


def multi_head_attention(graph: ChannelGraph, site: Site, ins: list[Labels]) -> list[Labels]:
    """query, key and value kernels [in, heads, dim], biases [heads, dim]; output kernel [heads, value_dim, out].

    Scores are scaled by 1 / sqrt(key_dim), so a smaller key_dim needs larger query weights to stay exact.
    """
    settings = site.layer.get_config()
    shapes = site.in_shapes
    reads = [graph.vector(labels, shape, len(shape) - 1, site) for labels, shape in zip(ins[:3], shapes[:3], strict=True)]
    query, value = reads[0], reads[1]
    key = reads[2] if len(reads) > 2 else value
    if len(shapes[0]) != 2 or len(ins) > 3:
        return graph.refuse(site, ins, "attention over several axes, or with a mask among its inputs")
    heads = graph.make(site, ("num_heads",), settings["num_heads"])
    keys = graph.make(site, ("key_dim",), settings["key_dim"])
    values = graph.make(site, ("value_dim",), settings["value_dim"] or settings["key_dim"])
    out = graph.make(site, ("output_shape",), site.out_shapes[0][-1])
    read_by = {"query": (query, keys), "key": (key, keys), "value": (value, values)}
    for index, weight in enumerate(site.layer.weights):
        name = getattr(weight, "path", weight.name)
        part = next(p for p in ("attention_output", "query", "key", "value") if f"/{p}/" in f"/{name}")
        if part == "attention_output":
            roles: list[tuple[Labels, Role]] = [(heads, "in"), (values, "in"), (out, "out")] if "kernel" in name else [(out, "along")]
        else:
            read, dims = read_by[part]
            follows: Role = "in" if part == "query" else "out"
            roles = [(heads, "out"), (dims, follows if part != "value" else "out")]
            roles = [(read, "in"), *roles] if "kernel" in name else [(heads, "along"), (dims, "in" if part == "query" else "along")]
            if part == "query":
                graph.rescale(site, index, keys)
        for axis, (labels, role) in enumerate(roles):
            graph.slot(site, index, axis, labels, role)
    steps, other = shapes[0][0], shapes[1][0]
    for read, positions, dims in ((query, steps, keys), (key, other, keys), (value, other, values)):
        graph.macs(positions, read, heads, dims)
    graph.macs(steps * other, heads, keys)
    graph.macs(steps * other, heads, values)
    graph.macs(steps, heads, values, out)
    return [spread(out, 2, -1)] + [frozen(len(shape)) for shape in site.out_shapes[1:]]


RULES: dict[str, Rule] = {
    "Dense": dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), separable),
    "BatchNormalization": batch_normalization,
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "RMSNormalization"), normalization_over_channels),
    "PReLU": prelu,
    "LayerScale": layer_scale,
    "Embedding": embedding,
    **dict.fromkeys(GATES, recurrent),
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
    "MultiHeadAttention": multi_head_attention,
}

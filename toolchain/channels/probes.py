"""What a layer without weights does to labels, mostly found out by experiment instead of rules.

Feed it unique numbers: if the output holds only numbers of the input, it moves values, and where each came from *is* the
label map. Otherwise feed it noise: if selecting channels before and after gives the same, it works on each channel alone.
Neither: its channels are frozen, and the reason says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toolchain.channels.labels import FROZEN, Labels, frozen, spread, squeezed, take, varying
from toolchain.channels.nodes import Node, dtype_of, kind, shape_of
from toolchain.channels.rules import channel_axis
from toolchain.data import Array
from toolchain.optional import require

if TYPE_CHECKING:
    from toolchain.channels.graph import ChannelGraph

Alive = Any
"""Boolean over all atoms: True stays."""
Rewrite = Callable[[list[Any], Alive], list[Any]]
"""A call in the place of a node's, on the inputs of the smaller model."""

POINTWISE = frozenset(
    "ReLU LeakyReLU ELU ThresholdedReLU Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise "
    "GaussianDropout AlphaDropout ActivityRegularization Identity".split()
)
ELEMENTWISE = frozenset(
    "linear relu relu6 leaky_relu elu selu gelu silu swish sigmoid hard_sigmoid hard_silu hard_swish tanh softplus softsign "
    "exponential mish celu".split()
)
MERGES = frozenset(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"))
SPATIAL = ("MaxPooling", "AveragePooling", "ZeroPadding", "Cropping", "UpSampling", "GlobalAveragePooling", "GlobalMaxPooling")
LARGEST_FLOAT_INTEGER = 2**24


def mixes(activation: Any) -> bool:
    """Whether an activation function lets channels see each other, as softmax does; unknown functions count as mixing."""
    return str(getattr(activation, "__name__", "linear" if activation is None else activation)) not in ELEMENTWISE


def weightless(graph: ChannelGraph, node: Node, ins: list[Labels]) -> list[Labels]:
    """Labels of the outputs of a call without weights."""
    operation, name = node.operation, kind(node.operation)
    shapes, outs = [shape_of(t) for t in node.inputs], [shape_of(t) for t in node.outputs]
    if not any(graph.canonical(labels).any() for labels in ins):
        return [frozen(len(shape)) for shape in outs]
    if isinstance(operation, _layer_class(graph)):
        if name in POINTWISE or (name == "Activation" and not mixes(operation.activation)):
            return [ins[0]]
        if name in MERGES and len({len(shape) for shape in shapes}) == 1:
            return [merged(graph, node, ins, shapes)]
        if name.startswith(SPATIAL):
            return [spatial(graph, operation, ins[0], shapes[0], len(outs[0]))]
    found = moved(graph, node, ins, shapes, outs) or channelwise(graph, node, ins, shapes, outs)
    if found is None:
        for labels in ins:
            graph.atoms.freeze(labels, f"{name} {operation.name!r} mixes channels in a way that is not understood")
        found = [frozen(len(shape)) for shape in outs]
    return found


def _layer_class(graph: ChannelGraph) -> type[Any]:
    found: type[Any] = graph.keras.layers.Layer
    return found


def merged(graph: ChannelGraph, node: Node, ins: list[Labels], shapes: list[tuple[int, ...]]) -> Labels:
    """Elementwise over several tensors: what meets is united. A value spread over many channels belongs to none of them."""
    out = shape_of(node.outputs[0])
    axes = {axis for labels in ins for axis in varying(labels)}
    whole = []
    for labels, shape in zip(ins, shapes, strict=True):
        if any(shape[axis] == 1 and out[axis] > 1 for axis in axes):
            graph.atoms.freeze(labels, f"{node.operation.name!r} spreads it over all channels")
        else:
            whole.append(labels)
    for labels in whole[1:]:
        graph.atoms.unite(whole[0], labels)
    return np.broadcast_arrays(*whole)[0] if whole else frozen(len(out))


def spatial(graph: ChannelGraph, layer: Any, labels: Labels, shape: tuple[int, ...], out_ndim: int) -> Labels:
    """Pooling, padding, cropping, resizing: each channel keeps its place on the channel axis."""
    axis = channel_axis(layer, len(shape))
    vector = graph.axis_vector(labels, shape, axis, f"{layer.name!r} reads positions that belong to different channels")
    if out_ndim == 1:
        return vector
    return spread(vector, out_ndim, axis if axis == 0 else out_ndim - 1)


def sources_of(node: Node, shapes: list[tuple[int, ...]]) -> list[Array] | None:
    """For each output of a call that only moves values, the place of each value among all inputs; None where it does anything else."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    starts = np.cumsum([0, *sizes])
    total = int(starts[-1])
    if total >= LARGEST_FLOAT_INTEGER or any("float" not in dtype_of(t) for t in node.inputs):
        return None
    numbers = np.random.default_rng(0).permutation(total)
    plain = run(node, [np.arange(starts[i], starts[i + 1]).reshape(1, *shape) + 1 for i, shape in enumerate(shapes)])
    shuffled = run(node, [numbers[starts[i] : starts[i + 1]].reshape(1, *shape) + 1 for i, shape in enumerate(shapes)])
    if plain is None or shuffled is None:
        return None
    sources = [np.rint(values[0]).astype(np.int64) - 1 for values in plain]
    if not all(((s >= 0) & (s < total)).all() and np.array_equal(numbers[s] + 1, v[0]) for s, v in zip(sources, shuffled, strict=True)):
        return None
    return sources


def carried(graph: ChannelGraph, ins: list[Labels], shapes: list[tuple[int, ...]], sources: list[Array]) -> list[Labels]:
    """Labels of the outputs of a call that moves values from `sources`."""
    flat = np.concatenate([np.broadcast_to(graph.canonical(labels), shape).ravel() for labels, shape in zip(ins, shapes, strict=True)])
    return [squeezed(flat[source]) for source in sources]


def moved(
    graph: ChannelGraph, node: Node, ins: list[Labels], shapes: list[tuple[int, ...]], outs: list[tuple[int, ...]]
) -> list[Labels] | None:
    """Labels of a call that only moves values; None where it does anything else."""
    sources = sources_of(node, shapes)
    if sources is None:
        return None

    def labels_now() -> list[Labels]:
        return carried(graph, ins, shapes, sources)

    result = labels_now()
    while crossed := next((labels for labels in result if len(varying(labels)) > 1), None):
        shortest = min(varying(crossed), key=lambda axis: crossed.shape[axis])
        graph.atoms.unite(crossed, np.take(crossed, [0], shortest))
        result = labels_now()
    rewrite = _rewrite(graph, node, ins, result, sources, shapes, outs)
    if rewrite is None:
        for labels in ins:
            graph.atoms.freeze(labels, f"{kind(node.operation)} {node.operation.name!r} has fixed sizes")
        return labels_now()
    graph.rewrites[id(node.outputs[0])] = rewrite
    return result


def _rewrite(
    graph: ChannelGraph,
    node: Node,
    ins: list[Labels],
    results: list[Labels],
    sources: list[Array],
    shapes: list[tuple[int, ...]],
    outs: list[tuple[int, ...]],
) -> Rewrite | None:
    """How to call a moving operation when channels are gone: as it is, as a reshape, or as slices; None if none is right."""

    def as_it_is(values: list[Any], alive: Alive) -> list[Any]:
        return node.call(values)

    def reshape(values: list[Any], alive: Alive) -> list[Any]:
        sizes = results[0].shape
        target = [int(alive[results[0].ravel()].sum()) if sizes[axis] > 1 else size for axis, size in enumerate(outs[0])]
        return [values[0].reshape(1, *target)] if isinstance(values[0], np.ndarray) else [graph.keras.layers.Reshape(target)(values[0])]

    bounds = _ranges(ins[0], sources, shapes) if len(ins) == 1 else None

    def slices(values: list[Any], alive: Alive) -> list[Any]:
        assert bounds is not None
        axis, ranges = bounds
        before = np.concatenate([[0], np.cumsum(alive[_along(ins[0], axis, shapes[0])])])
        place = [slice(None)] * (len(shapes[0]) + 1)
        found = []
        for start, stop in ranges:
            place[axis + 1] = slice(int(before[start]), int(before[stop]))
            found.append(values[0][tuple(place)])
        return found

    candidates: list[Rewrite] = [as_it_is]
    if len(ins) == len(outs) == 1 and np.array_equal(sources[0].ravel(), np.arange(sources[0].size)):
        candidates.append(reshape)
    if bounds is not None:
        candidates.append(slices)
    return next((c for c in candidates if _agrees(graph, node, c, ins, results, shapes)), None)


def _along(labels: Labels, axis: int, shape: tuple[int, ...]) -> Labels:
    """Labels along one axis, whole."""
    return np.broadcast_to(labels.ravel() if labels.shape[axis] > 1 else labels.reshape(1), (shape[axis],))


def _ranges(labels: Labels, sources: list[Array], shapes: list[tuple[int, ...]]) -> tuple[int, list[tuple[int, int]]] | None:
    """The axis and the range that each output takes of it, where every output is such a slice of the only input."""
    axes = varying(labels)
    if len(axes) != 1 or any(source.ndim != len(shapes[0]) for source in sources):
        return None
    axis, index = axes[0], np.arange(int(np.prod(shapes[0]))).reshape(shapes[0])
    ranges = []
    for source in sources:
        start = int(np.unravel_index(source.ravel()[0], shapes[0])[axis])
        stop = start + source.shape[axis]
        if not np.array_equal(source, np.take(index, range(start, min(stop, shapes[0][axis])), axis)):
            return None
        ranges.append((start, stop))
    return axis, ranges


def _agrees(graph: ChannelGraph, node: Node, call: Rewrite, ins: list[Labels], outs: list[Labels], shapes: list[tuple[int, ...]]) -> bool:
    """Whether removing channels before the call gives what removing them after it gives, for random sets of channels."""
    roots = graph.atoms.roots()
    rng = np.random.default_rng(1)
    classes = np.setdiff1d(np.unique(roots[np.concatenate([labels.ravel() for labels in ins])]), [FROZEN])
    for _ in range(2):
        dead = classes[rng.random(len(classes)) < 0.5][: len(classes) - 1]
        alive = ~np.isin(roots, dead)
        values = [rng.normal(size=(1, *shape)).astype(np.float32) for shape in shapes]
        whole = run(node, values)
        try:
            cut = [np.asarray(v) for v in call([_cut(x, labels, alive) for x, labels in zip(values, ins, strict=True)], alive)]
        except Exception:  # an operation with fixed sizes fails in its own way on a smaller input
            return False
        if whole is None or len(whole) != len(cut):
            return False
        for full, small, labels in zip(whole, cut, outs, strict=True):
            expected = _cut(full, labels, alive)
            if expected.shape != small.shape or not np.allclose(expected, small, atol=1e-6):
                return False
    return True


def _cut(values: Array, labels: Labels, alive: Alive) -> Array:
    """A batch without its dead channels."""
    for axis in varying(labels):
        found: Array = take(values, axis + 1, alive[labels.ravel()])
        return found
    return values


def channelwise(
    graph: ChannelGraph, node: Node, ins: list[Labels], shapes: list[tuple[int, ...]], outs: list[tuple[int, ...]]
) -> list[Labels] | None:
    """Labels of a call that treats each channel of one axis alone; None where it does not."""
    axes = {tuple(varying(labels)) for labels in ins if varying(labels)}
    if len(axes) != 1 or len(axis := next(iter(axes))) != 1:
        return None
    count = next(shape[axis[0]] for labels, shape in zip(ins, shapes, strict=True) if varying(labels))
    places = [_place(axis[0], shape, count) for shape in shapes]
    inner = axis[0] != len(shapes[0]) - 1
    out_places = [axis[0] if inner and len(shape) > axis[0] and shape[axis[0]] == count else len(shape) - 1 for shape in outs]
    if any(not shape or shape[place] != count for shape, place in zip(outs, out_places, strict=True)):
        return None
    rng = np.random.default_rng(0)
    for _ in range(2):
        keep = np.sort(rng.permutation(count)[: max(1, count // 2)])
        values = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
        chosen = [x if place is None else np.take(x, keep, place + 1) for x, place in zip(values, places, strict=True)]
        whole, part = run(node, values), run(node, chosen)
        if whole is None or part is None:
            return None
        for full, small, place in zip(whole, part, out_places, strict=True):
            expected = np.take(full, keep, place + 1)
            if expected.shape != small.shape or not np.allclose(expected, small, atol=1e-5):
                return None
    vectors = []
    for labels, shape, where in zip(ins, shapes, places, strict=True):
        if where is None:
            graph.atoms.freeze(labels, f"{kind(node.operation)} {node.operation.name!r} spreads it over all channels")
        else:
            vectors.append(graph.axis_vector(labels, shape, where, f"{node.operation.name!r} reads positions of different channels"))
    for vector in vectors[1:]:
        graph.atoms.unite(vectors[0], vector)
    return [spread(vectors[0], len(shape), place) for shape, place in zip(outs, out_places, strict=True)]


def _place(axis: int, shape: tuple[int, ...], count: int) -> int | None:
    """The axis of the channels in one of several inputs; None for a value that is spread over them."""
    if len(shape) > axis and shape[axis] == count:
        return axis
    return len(shape) - 1 if shape and shape[-1] == count else None


def run(node: Node, values: Sequence[Array]) -> list[Array] | None:
    """Call the operation on numbers; None where it refuses them."""
    tf = require("tensorflow", "tf")
    try:
        return [np.asarray(y) for y in node.call([tf.constant(x, t.dtype) for x, t in zip(values, node.inputs, strict=True)])]
    except Exception:  # any operation may refuse a shape or a value, each with an exception of its own
        return None

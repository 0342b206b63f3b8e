"""Scale channels so that none is lost in the grid of its tensor (cross-layer equalization, Nagel et al. 2019, section 4.1).

An activation has one scale for all its channels, a kernel has one for each output channel. So what counts is how much of
its tensor's range a channel uses, and how much of a row's range the weights that read it use. Their product stays when
the channel is scaled; it is shared out as in SmoothQuant (Xiao et al. 2023, eq. 4).
"""

from __future__ import annotations

import msgspec
import numpy as np

from toolchain.channels.labels import Atoms, Labels
from toolchain.data import Array
from toolchain.quantization import affine
from toolchain.quantization.channel_ranges import Ranges, rows_of, weight_ranges
from toolchain.quantization.scaling import ScaleGraph

HEADROOM = 1.25
"""A channel that an activation clips is raised only so far that what was seen stays below the clip by this factor."""
PASSES = 100
SETTLED = 0.01
"""Largest change of a scale, as a natural logarithm, that counts as none."""
FLOOR = 1e-6
"""Smallest share of a range that is told from none."""


class Equalized(msgspec.Struct, frozen=True):
    """What was scaled. Octaves are powers of two; a channel one octave below its tensor's range has lost one bit."""

    channels: int
    """That can be scaled; those that must share a scale count once."""
    pinned: int
    """Of them, those that stay because they come near the clip of an activation, or clip without data to say how near."""
    largest_octaves: float
    """Largest change of a scale."""
    unused_before: float
    """Mean over the channels of how far they stay below their tensor's range, in octaves."""
    unused_after: float
    passes: int


def equalize(graph: ScaleGraph, ranges: Ranges, strength: float) -> Equalized:
    """Change the weights of the graph's model so that its channels use the grids of activations evenly.

    `strength` 1 evens out activations alone, 0 weights alone. A channel below a clip such as ReLU6's is scaled only as
    far as it stays below on the examples behind `ranges`.
    """
    return _equalize(graph, ranges, strength, *_below_clips(graph, ranges))[0]


def equalize_without_data(graph: ScaleGraph, strength: float) -> Equalized:
    """The same from weights alone: a channel counts as large as the largest weight that makes it. What is clipped stays."""
    pinned = np.zeros(len(graph.root), bool)
    for labels, _ in graph.clips:
        pinned[graph.root[labels]] = True
    lowest = np.full(len(graph.root), -np.inf)
    first, total = _equalize(graph, weight_ranges(graph), strength, lowest, pinned)
    last, passes = first, first.passes
    while last.largest_octaves > SETTLED and passes < PASSES:  # a row changes when what it reads is scaled
        last, moved = _equalize(graph, weight_ranges(graph), strength, lowest, pinned)
        total, passes = total + moved, passes + last.passes
    return Equalized(first.channels, first.pinned, _octaves(total), first.unused_before, last.unused_after, passes)


def _below_clips(graph: ScaleGraph, ranges: Ranges) -> tuple[Array, Array]:
    """The smallest logarithm of every class's scale, and which classes must keep theirs."""
    lowest, pinned = np.full(len(graph.root), -np.inf), np.zeros(len(graph.root), bool)
    largest = ranges.largest(len(graph.root))
    for labels, top in graph.clips:
        classes = np.unique(graph.root[labels])
        pinned[classes] |= largest[classes] * HEADROOM >= top
        lowest[classes] = np.maximum(lowest[classes], np.log(np.maximum(largest[classes] * HEADROOM / top, FLOOR)))
    return lowest, pinned


def _equalize(graph: ScaleGraph, ranges: Ranges, strength: float, lowest: Array, pinned: Array) -> tuple[Equalized, Array]:
    """What was scaled, and the logarithm of each class's scale."""
    rows = [(graph.root[reads], weights) for reads, weights in map(rows_of, graph.ends)]
    component = _components(graph, ranges)
    log_scale = np.zeros(len(graph.root))
    unused: list[float] = []
    while len(unused) < PASSES:
        activations, weights = ranges.shares(np.exp(log_scale)), _shares(rows, np.exp(log_scale))
        free = (activations > FLOOR) & (weights > FLOOR)
        free[0] = False
        unused.append(float(-np.log2(activations[free]).mean()) if free.any() else 0.0)
        wanted = np.zeros(len(log_scale))
        wanted[free] = strength * np.log(activations[free]) - (1 - strength) * np.log(weights[free])
        for number in np.unique(component[free]):
            members = np.flatnonzero(free & (component == number))
            anchors = members[pinned[members]]
            wanted[members] -= wanted[anchors if len(anchors) else members].mean()
        moved = np.where(pinned, 0.0, np.maximum(log_scale + wanted, lowest))
        change, log_scale = float(np.abs(moved - log_scale).max()), moved
        if change < SETTLED:
            break
    scale_channels(graph, np.exp(log_scale)[graph.root])
    classes = np.unique(graph.root)[1:]
    found = Equalized(len(classes), int(pinned[classes].sum()), _octaves(log_scale), unused[0], unused[-1], len(unused))
    return found, log_scale


def _octaves(log_scale: Array) -> float:
    return float(np.abs(log_scale).max() / np.log(2))


def _shares(rows: list[tuple[Labels, Array]], scale: Array) -> Array:
    """How much of a row's range the weights that read each class use, at most, once they are multiplied by `scale`."""
    found = np.zeros(len(scale))
    for classes, weights in rows:
        scaled = weights * scale[classes]
        np.maximum.at(found, classes, scaled / np.maximum(scaled.max(1, keepdims=True), 1e-30))
    return found


def _components(graph: ScaleGraph, ranges: Ranges) -> Labels:
    """A number for every class: the same for those that meet in a tensor, whose common factor changes nothing."""
    links = Atoms()
    links.new(len(graph.root) - 1, "")
    for classes, _ in ranges.tensors:
        if len(scaled := classes[classes > 0]) > 1:
            links.unite(scaled[:1], scaled[1:])
    return links.roots()


def scale_channels(graph: ScaleGraph, scale: Array) -> None:
    """Divide every channel by its scale where it is made, and multiply it where it is read."""
    for ends in graph.ends:
        layer, read, made = ends.layer, scale[ends.read], scale[ends.made]
        weights = affine.before(layer, affine.weights_of(layer), read, np.zeros(len(read)))
        weights = affine.after(layer, weights, 1 / made, np.zeros(len(made)))
        layer.set_weights(weights if layer.use_bias else weights[:-1])

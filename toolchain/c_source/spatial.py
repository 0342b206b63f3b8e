"""Pooling, means and resizing: what looks at places of an image without weights."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from toolchain.c_source.arithmetic import fixed_point, kept_within, shared_by
from toolchain.c_source.calls import Builder, Call, Constant, Settings, Use
from toolchain.c_source.graph import Graph
from toolchain.c_source.weighted import window
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, Tensor, scale_of, zero_of


def pool(graph: Graph, op: Operator) -> list[Call]:
    """AVERAGE_POOL_2D and MAX_POOL_2D; input and output have one scale."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if (x.scale, x.zero_point) != (y.scale, y.zero_point):
        raise ModelError("input and output of different scale")
    slide = window(x, y, (op.options["filterHeight"], op.options["filterWidth"]), op.options)
    return [Call("average_pool" if op.name == "AVERAGE_POOL_2D" else "max_pool", (slide, Use(x.index), Use(y.index)))]


def mean(graph: Graph, op: Operator) -> list[Call]:
    """A mean over axes with nothing between them."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    axes = _axes(graph, op, x)
    count = math.prod(x.shape[axes[0] : axes[-1] + 1])
    if count != math.prod(x.shape[axis] for axis in axes):
        raise ModelError(f"axes {axes}, between which lie others")
    scale = kept_within(255 * count, shared_by(fixed_point(scale_of(x) / scale_of(y)), count))
    shape = Settings(
        "sct_mean_shape",
        {
            "outer": math.prod(x.shape[: axes[0]]), "reduced": count, "inner": math.prod(x.shape[axes[-1] + 1 :]),
            "in_zero": zero_of(x), "out_zero": zero_of(y), "scale": scale,
        },
    )  # fmt: skip
    return [Call("mean", (shape, Use(x.index), Use(y.index)))]


def global_maximum(graph: Graph, op: Operator) -> list[Call]:
    """REDUCE_MAX over height and width is one window as large as the image."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    if len(x.shape) != 4 or _axes(graph, op, x) != [1, 2]:
        raise ModelError(f"axes other than height and width of an image; the shape is {x.shape}")
    whole = msgspec.structs.replace(y, shape=(1, 1, 1, x.shape[3]))
    slide = window(x, whole, x.shape[1:3], {"strideH": 1, "strideW": 1, "fusedActivationFunction": 0})
    return [Call("max_pool", (slide, Use(x.index), Use(y.index)))]


def _axes(graph: Graph, op: Operator, x: Tensor) -> list[int]:
    """The axes that are reduced, in order; those of one element do not matter, unless there are no others."""
    axes = sorted({int(axis) % len(x.shape) for axis in np.atleast_1d(graph.value(op.inputs[1]))})
    return axes if op.name == "REDUCE_MAX" else [axis for axis in axes if x.shape[axis] > 1] or axes[:1]


def resize(graph: Graph, op: Operator) -> list[Call]:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR; which lines are read is known before."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    (_, in_height, in_width, channels), (_, out_height, out_width, _) = x.shape, y.shape
    align, half = bool(op.options["alignCorners"]), bool(op.options["halfPixelCenters"])
    lines = bilinear_lines if op.name == "RESIZE_BILINEAR" else nearest_lines
    shape = Settings("sct_resize_shape", {"in_width": in_width, "channels": channels, "out_height": out_height, "out_width": out_width})
    rows = Constant("rows", "sct_line", lines(in_height, out_height, align, half))
    columns = Constant("columns", "sct_line", lines(in_width, out_width, align, half))
    kernel = "resize_bilinear" if op.name == "RESIZE_BILINEAR" else "resize_nearest"
    return [Call(kernel, (shape, rows, columns, Use(x.index), Use(y.index)))]


def bilinear_lines(size: int, wanted: int, align: bool, half: bool) -> Array:
    """`[wanted, 3]`: both source lines and the second's share in 1/1024 (reference_ops: ComputeInterpolationValuesInteger)."""
    scale = ((size - 1) * 1024 + (wanted - 1) // 2) // (wanted - 1) if align and wanted > 1 else (size * 1024 + wanted // 2) // wanted
    rows = []
    for place in range(wanted):
        scaled = place * scale + (scale // 2 - 512 if half else 0)
        lower = max(int(scaled / 1024), 0)
        rows.append((lower, min(int((scaled + 1023) / 1024), size - 1), scaled - 1024 * lower))
    return np.array(rows)


def nearest_lines(size: int, wanted: int, align: bool, half: bool) -> Array:
    """`[wanted, 3]`: the nearest source line, in float32 as reference_ops: GetNearestNeighbor."""
    scale = np.float32(size - 1) / np.float32(wanted - 1) if align and wanted > 1 else np.float32(size) / np.float32(wanted)
    places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
    chosen = np.floor(places + np.float32(0.5)) if align else np.floor(places)
    lines = np.clip(chosen.astype(np.int64), 0, size - 1)
    return np.stack([lines, lines, np.zeros_like(lines)], axis=1)


BUILDERS: dict[str, Builder] = {
    "AVERAGE_POOL_2D": pool, "MAX_POOL_2D": pool, "MEAN": mean, "REDUCE_MAX": global_maximum,
    "RESIZE_BILINEAR": resize, "RESIZE_NEAREST_NEIGHBOR": resize,
}  # fmt: skip

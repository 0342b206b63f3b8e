"""Operators that only move values. NumPy's own views say from where to where: a view is a start and a step per axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolchain.c_source.calls import Builder, Call, Settings, Use, operand
from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.tflite_file import Operator, Tensor, zero_of

AXES = 5
"""Axes of `sct_move` in sct_kernels.h."""


def move(graph: Graph, source: Tensor, seen: Array, target: Tensor, filled: Array, label: str = "values") -> Call:
    """Copy what a view of `source` sees to where a view of `target` lies; views are of arrays made by `stand_in`."""
    shape, (from_steps, to_steps) = _merged(seen.shape, seen.strides, filled.strides)
    settings = Settings(
        "sct_move",
        {"shape": shape, "from_start": _start(seen), "from_step": from_steps, "to_start": _start(filled), "to_step": to_steps},
    )
    return Call("copy", (settings, operand(graph, source.index, label), Use(target.index)))


def stand_in(tensor: Tensor) -> Array:
    """An array of a tensor's shape, one byte an element, to take views of."""
    return np.zeros(tensor.shape, np.int8)


def _start(view: Array) -> int:
    base = view
    while isinstance(base.base, np.ndarray):
        base = base.base
    return int(view.__array_interface__["data"][0] - base.__array_interface__["data"][0])


def _merged(shape: tuple[int, ...], *steps: tuple[int, ...]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Join neighbouring axes that both sides walk as one, and pad to five. Raises ModelError for more."""
    kept: list[tuple[int, ...]] = []
    for axis in zip(shape, *steps, strict=True):
        if axis[0] == 1:
            continue
        if kept and all(before == step * axis[0] for before, step in zip(kept[-1][1:], axis[1:], strict=True)):
            kept[-1] = (kept[-1][0] * axis[0], *axis[1:])
        else:
            kept.append(axis)
    if len(kept) > AXES:
        raise ModelError(f"{len(kept)} axes to move; at most {AXES}")
    kept = [(1, *(1 for _ in steps))] * (AXES - len(kept)) + kept
    shape, *walked = zip(*kept, strict=True)
    return shape, walked


def reshape(graph: Graph, op: Operator) -> list[Call]:
    """The same bytes under another shape, copied."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    return [move(graph, x, stand_in(x).reshape(-1), y, stand_in(y).reshape(-1))]


def pad(graph: Graph, op: Operator) -> list[Call]:
    """Zero points, or a given value, around the input."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    before = graph.value(op.inputs[1])[:, 0]
    value = int(graph.value(op.inputs[2]).ravel()[0]) if len(op.inputs) > 2 else zero_of(y)
    inside = tuple(slice(int(start), int(start) + size) for start, size in zip(before, x.shape, strict=True))
    return [Call("fill", (y.elements, value, Use(y.index))), move(graph, x, stand_in(x), y, stand_in(y)[inside])]


def concatenate(graph: Graph, op: Operator) -> list[Call]:
    """Inputs one after the other along an axis; all have the output's scale."""
    y = graph.tensor(op.outputs[0])
    axis, place, calls = op.options["axis"] % len(y.shape), 0, []
    for number, index in enumerate(op.inputs):
        x = graph.tensor(index)
        if (x.scale, x.zero_point) != (y.scale, y.zero_point):
            raise ModelError(f"input {number} has another scale than the output")
        there = np.moveaxis(np.moveaxis(stand_in(y), axis, 0)[place : place + x.shape[axis]], 0, axis)
        calls.append(move(graph, x, stand_in(x), y, there, f"input_{number}"))
        place += x.shape[axis]
    return calls


def transpose(graph: Graph, op: Operator) -> list[Call]:
    """Axes in another order."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    return [move(graph, x, stand_in(x).transpose(graph.value(op.inputs[1])), y, stand_in(y))]


def strided_slice(graph: Graph, op: Operator) -> list[Call]:
    """`x[begin:end:stride]`; a set bit of a mask leaves that bound open, or drops the axis (schema.fbs)."""
    x, y = graph.tensor(op.inputs[0]), graph.tensor(op.outputs[0])
    options = op.options
    if options["ellipsisMask"] or options["newAxisMask"] or options.get("offset"):
        raise ModelError("ellipsis, new axis or offset")
    chosen: list[Any] = []
    for axis, (begin, end, stride) in enumerate(zip(*(graph.value(index).tolist() for index in op.inputs[1:4]), strict=True)):
        if options["shrinkAxisMask"] >> axis & 1:
            chosen.append(begin)
        else:
            open_begin, open_end = options["beginMask"] >> axis & 1, options["endMask"] >> axis & 1
            chosen.append(slice(None if open_begin else begin, None if open_end else end, stride))
    seen = stand_in(x)[tuple(chosen)]
    return [move(graph, x, seen, y, stand_in(y).reshape(seen.shape))]


BUILDERS: dict[str, Builder] = {
    "RESHAPE": reshape, "SQUEEZE": reshape, "EXPAND_DIMS": reshape, "PAD": pad, "PADV2": pad, "CONCATENATION": concatenate,
    "TRANSPOSE": transpose, "STRIDED_SLICE": strided_slice,
}  # fmt: skip

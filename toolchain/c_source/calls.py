"""What an operator becomes: calls of kernels with their arguments, and nothing about how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from toolchain.c_source.arithmetic import FineScale, Scale
from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.tflite_file import Operator


class Use(msgspec.Struct, frozen=True):
    """A tensor that the device computes, by its index in the file."""

    tensor: int


class Constant(msgspec.Struct, frozen=True):
    """An array in flash. `type` is int8_t, int32_t, float, sct_scale, sct_fine_scale or sct_line; rows of structs are tuples."""

    label: str
    type: str
    values: Array


class Settings(msgspec.Struct, frozen=True):
    """A struct in flash, by the names of its fields."""

    type: str
    fields: Mapping[str, Any]


class Scratch(msgspec.Struct, frozen=True):
    """Bytes of the arena that a kernel needs while it runs."""

    bytes: int


Argument = Use | Constant | Settings | Scratch | int | float


class Call(msgspec.Struct, frozen=True):
    """One call; `kernel` without the prefix names the function."""

    kernel: str
    arguments: tuple[Argument, ...]


Builder = Callable[[Graph, Operator], list[Call]]
"""Turns an operator into calls. Raises ModelError with the reason where it cannot."""


def scales(values: Sequence[Scale] | Sequence[FineScale]) -> Constant:
    """The factors of all channels."""
    kind = "sct_scale" if isinstance(values[0], Scale) else "sct_fine_scale"
    return Constant("scales", kind, np.array([msgspec.structs.astuple(value) for value in values], np.int64))


def operand(graph: Graph, index: int, label: str = "values") -> Use | Constant:
    """A tensor as an argument: where it is known, its values."""
    return Constant(label, "int8_t", graph.value(index)) if index in graph.known else Use(index)

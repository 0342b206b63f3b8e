"""What a package has to answer: random inputs, and LiteRT's reference kernels on them, operator by operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from toolchain.c_source.program import Program
from toolchain.data import Array
from toolchain.runners.litert_layers import Layers
from toolchain.tflite_file import DTYPES, Tensor


def random_rows(program: Program, count: int, seed: int = 0) -> list[list[Array]]:
    """Inputs over the whole range of their type, as stored; floats over the range that the file quantizes them to."""
    rng = np.random.default_rng(seed)
    return [[_random(rng, program, tensor) for tensor in program.inputs] for _ in range(count)]


def _random(rng: np.random.Generator, program: Program, tensor: Tensor) -> Array:
    if tensor.dtype == "FLOAT32":
        return rng.uniform(*_range(program, tensor), tensor.shape).astype(np.float32)
    limits = np.iinfo(DTYPES[tensor.dtype])
    return rng.integers(limits.min, limits.max + 1, tensor.shape).astype(DTYPES[tensor.dtype])


def _range(program: Program, tensor: Tensor) -> tuple[float, float]:
    for step in program.steps:
        stored = program.tensors[step.operator.outputs[0]]
        if step.operator.inputs[0] == tensor.index and stored.scale:
            limits = np.iinfo(DTYPES[stored.dtype])
            low, high = ((limit - stored.zero_point[0]) * stored.scale[0] for limit in (limits.min, limits.max))
            return low, high
    return -1.0, 1.0


def differing(program: Program, rows: Iterable[Sequence[Array]], answers: Iterable[Sequence[Array]]) -> dict[str, int]:
    """How many values of each operator differ from the reference kernels, where any do.

    `answers` are those of every step to each row; rows without answers are left out.
    """
    layers = Layers(program.source)
    found: dict[str, int] = {}
    for row, given in zip(rows, answers, strict=False):
        layers.run(list(row))
        for step, answer in zip(program.steps, given, strict=True):
            if count := int((answer != layers.tensor(step.operator.outputs[0])).sum()):
                name = f"operator {step.index}, {step.operator.name}"
                found[name] = found.get(name, 0) + count
    return found

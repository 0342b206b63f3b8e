"""One file on one core: the answers of every layer and of every example, and the instructions of every layer."""

from __future__ import annotations

import struct
from typing import Literal

import msgspec
import numpy as np

from toolchain.c_source.program import Program, nbytes
from toolchain.cortex_m import qemu_machine, unicorn_machine
from toolchain.cortex_m.image import ALIGNMENT, PLAN_BYTES, Image
from toolchain.data import Array
from toolchain.errors import GuestError
from toolchain.guests.counting import Counts
from toolchain.tflite_file import DTYPES, Tensor

Machine = Literal["unicorn", "qemu"]


class Execution(msgspec.Struct, frozen=True):
    """What a core did."""

    layers: tuple[tuple[Array, ...], ...]
    """Of each traced example, the answer of every step."""
    outputs: tuple[Array, ...]
    """Of each output, the answers to all examples, as stored: `[N, ...]`."""
    counts: Counts
    """Instructions of the model alone; the first segments are the layers of the first example."""
    stack_bytes: int


def capacity(program: Program, image: Image, traced: int) -> int:
    """How many examples and their answers fit the emulator's memory beside the model."""
    layers = sum(nbytes(program.tensors[step.operator.outputs[0]]) for step in program.steps)
    each = image.input_bytes + sum(map(nbytes, program.outputs))
    return (image.core.memory.outside_bytes - PLAN_BYTES - traced * layers - 64) // each


def execute(program: Program, image: Image, rows: list[list[Array]], traced: int, machine: Machine) -> Execution:
    """Run every row (inputs as stored, each with a batch axis of one); the answers of all layers are kept for the first `traced`.

    Raises GuestError where the guest faults, hangs, or leaves something else than its answers.
    """
    examples = b"".join(_example(image, row) for row in rows)
    answers = -(-(PLAN_BYTES + len(examples)) // ALIGNMENT) * ALIGNMENT
    plan = struct.pack("<4I", len(rows), traced, image.input_bytes, answers) + examples
    run = qemu_machine.execute if machine == "qemu" else unicorn_machine.execute
    content, counts = run(image, plan, answers, len(program.steps))
    reader = _Reader(content)
    steps = [program.tensors[step.operator.outputs[0]] for step in program.steps]
    layers, outputs = [], []
    for index in range(len(rows)):
        if index < traced:
            layers.append(tuple(map(reader.tensor, steps)))
        outputs.append([reader.tensor(tensor) for tensor in program.outputs])
    return Execution(
        tuple(layers),
        tuple(map(np.concatenate, zip(*outputs, strict=True))),
        counts.without(*image.guest),
        int(reader.values(np.uint32, 1)[0]),
    )


def _example(image: Image, row: list[Array]) -> bytes:
    example = bytearray(image.input_bytes)
    for place, x in zip(image.input_places, row, strict=True):
        content = np.ascontiguousarray(x).tobytes()
        example[place : place + len(content)] = content
    return bytes(example)


class _Reader:
    """Takes arrays off what the guest wrote. Raises GuestError where it wrote too little."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def values(self, dtype: type[np.generic], count: int) -> Array:
        size = count * np.dtype(dtype).itemsize
        part = self._content[self._place : self._place + size]
        if len(part) < size:
            raise GuestError("the guest wrote fewer answers than the model has")
        self._place += size
        return np.frombuffer(part, dtype)

    def tensor(self, tensor: Tensor) -> Array:
        return self.values(DTYPES[tensor.dtype], tensor.elements).reshape(tensor.shape)

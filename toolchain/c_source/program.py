"""The calls of a whole file in order, and where every tensor lies."""

from __future__ import annotations

from pathlib import Path

import msgspec

from toolchain.c_source import elementwise, moves, softmax, spatial, weighted
from toolchain.c_source.arena import Arena, Need, plan
from toolchain.c_source.calls import Builder, Call, Scratch, Use
from toolchain.c_source.graph import Graph
from toolchain.errors import ModelError
from toolchain.tflite_file import DTYPES, Operator, Tensor

BUILDERS: dict[str, Builder] = weighted.BUILDERS | elementwise.BUILDERS | softmax.BUILDERS | spatial.BUILDERS | moves.BUILDERS
"""Every operator of schema.fbs that C can be generated for."""

RENAMED = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators whose output is their input under another shape; nothing is copied."""

TYPES = {"QUANTIZE": (("FLOAT32", "UINT8", "INT8"), ("INT8", "UINT8")), "DEQUANTIZE": (("INT8", "UINT8"), ("FLOAT32",))}
"""What the operators at the ends of a graph take and make; all others compute in int8."""


class Step(msgspec.Struct, frozen=True):
    """One operator of the file."""

    index: int
    operator: Operator
    calls: tuple[Call, ...]


class Program(msgspec.Struct, frozen=True):
    """A file as calls. Inputs and outputs lie in the caller's memory, all else in the arena."""

    source: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    arena: Arena
    homes: dict[int, int]
    """The tensor in whose memory each tensor lies."""
    tensors: tuple[Tensor, ...]
    macs: int | None

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels it calls."""
        return tuple(sorted({call.kernel for step in self.steps for call in step.calls}))


def compile_file(path: Path) -> Program:
    """Turn an int8 .tflite into calls. Raises ModelError that names every operator for which there is no kernel."""
    graph = Graph(path)
    outputs = set(graph.file.outputs)
    homes: dict[int, int] = {}
    steps, refused = [], []
    for index, op in graph.steps:
        if op.name in RENAMED and not set(op.outputs) & outputs and op.inputs[0] not in graph.known:
            homes[op.outputs[0]] = homes.get(op.inputs[0], op.inputs[0])
            continue
        try:
            _check_types(graph, op)
            steps.append(Step(index, op, tuple(BUILDERS[op.name](graph, op))))
        except ModelError as err:
            refused.append(f"operator {index}, {op.name}: {err}")
        except KeyError as err:
            refused.append(f"operator {index}, {op.name}: its table of options has no {err}")
    if known := outputs & graph.known:
        refused.append(f"output {graph.tensor(min(known)).name!r} does not depend on the input")
    if refused:
        raise ModelError(f"{path.name}: no C can be generated for {'; '.join(refused)}")
    file = graph.file
    return Program(
        path,
        tuple(graph.tensor(i) for i in file.inputs),
        tuple(graph.tensor(i) for i in file.outputs),
        tuple(steps),
        plan(_needs(graph, steps, homes)),
        homes,
        file.tensors,
        file.macs,
    )


def _check_types(graph: Graph, op: Operator) -> None:
    if op.name not in BUILDERS:
        raise ModelError("there is no kernel for it")
    if len(op.outputs) != 1:
        raise ModelError(f"{len(op.outputs)} outputs")
    for indices, allowed in zip((op.inputs[:1], op.outputs), TYPES.get(op.name, (("INT8",), ("INT8",))), strict=True):
        for tensor in map(graph.tensor, indices):
            if tensor.dtype not in allowed:
                raise ModelError(f"{tensor.name!r} is {tensor.dtype.lower()}; the kernel takes {', '.join(allowed).lower()}")


def _needs(graph: Graph, steps: list[Step], homes: dict[int, int]) -> list[Need]:
    """Lifetimes: a tensor from the step that makes it to the last that reads it or a tensor in its memory."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    scratches = []
    for place, step in enumerate(steps):
        for call in step.calls:
            for argument in call.arguments:
                if isinstance(argument, Scratch):
                    scratches.append(Need(scratch_name(step.index), argument.bytes, place, place))
                elif isinstance(argument, Use):
                    home = homes.get(argument.tensor, argument.tensor)
                    first.setdefault(home, place)
                    last[home] = place
    outside = {homes.get(index, index) for index in (*graph.file.inputs, *graph.file.outputs)}
    tensors = [Need(tensor_name(index), nbytes(graph.tensor(index)), first[index], last[index]) for index in first if index not in outside]
    return tensors + scratches


def nbytes(tensor: Tensor) -> int:
    """Bytes of a tensor's values."""
    return int(tensor.elements * DTYPES[tensor.dtype]().itemsize)


def tensor_name(index: int) -> str:
    """The name of a tensor's buffer in the arena."""
    return f"tensor_{index}"


def scratch_name(step: int) -> str:
    """The name of a step's scratch in the arena."""
    return f"scratch_{step}"

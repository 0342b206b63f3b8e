"""A .tflite taken apart: the values of its tensors in LiteRT's built-in kernels, and each operator alone."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from pathlib import Path

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.fidelity.single_operator import OperatorFactory, SingleOperator, by_example, dequantize
from toolchain.fidelity.sites import INPUT, MOVES, Site, Stored, affine, rows_of
from toolchain.quantization.grid import Affine
from toolchain.runners.litert_layers import Layers
from toolchain.tflite_file import Operator, Tensor, TfliteFile

KERNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0, "CONV_3D": 4}
"""Axis of the second input (the first constant one of a transposed convolution) that counts output channels (schema.fbs)."""
RELU6 = 3
"""ActivationFunctionType.RELU6 in schema.fbs."""


class TfliteWalk:
    """Every tensor of real values that the operators compute, in the order of the file."""

    def __init__(self, path: Path, inputs: list[Array]) -> None:
        """Run the file on real inputs `[n, ...]`. Raises ModelError where LiteRT refuses it."""
        self._file = TfliteFile.read(path)
        self.notes = ["operators within a loop or a branch are not shown"] if self._file.subgraphs > 1 else []
        layers = Layers(path, "builtin")
        self._constants = {t.index: self._file.constant(t) for t in self._file.tensors if t.constant and t.dtype != "INT4"}
        folded = without_inputs(self._file)
        self._operators = shown_operators(self._file)
        wanted = [*self._file.inputs, *(op.outputs[0] for _, op in self._operators)]
        seen: dict[int, list[Array]] = {tensor: [] for tensor in wanted}
        for example in range(len(inputs[0])):
            layers.run(layers.stored([x[example : example + 1] for x in inputs]))
            for tensor in wanted:
                seen[tensor].append(layers.tensor(tensor))
        self._constants |= {tensor: layers.tensor(tensor) for tensor in folded}
        self._places = {tensor: place for place, tensor in enumerate(wanted)}
        self.sites = [self._site(tensor, None, seen[tensor]) for tensor in self._file.inputs]
        self.sites += [self._site(op.outputs[0], op, seen[op.outputs[0]]) for _, op in self._operators]
        self.output = self._places.get(self._file.outputs[0], len(self.sites) - 1)
        while self.sites[self.output].operator in MOVES and self.sites[self.output].inputs:
            self.output = self.sites[self.output].inputs[0]
        self._factory = OperatorFactory(self._file, self._constants)

    def sources(self, place: int, known: Container[int]) -> tuple[int, ...]:
        """The inputs of the site's operator. Raises ModelError where one is not in `known`."""
        missing = [self.sites[i].name for i in self.sites[place].inputs if i not in known]
        if missing:
            raise ModelError(f"its input {missing[0]} is none of the model's tensors")
        return self.sites[place].inputs

    def operate(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """What the operator answers as the file runs it; real in, real out. Raises ModelError."""
        del sources
        return self._run(place, inputs, real=False)

    def real(self, place: int, sources: tuple[int, ...], inputs: list[Array]) -> Array:
        """The operator in float32, with the dequantized weights. Raises ModelError."""
        del sources
        if self.sites[place].operator in MOVES:
            return inputs[0]
        return self._run(place, inputs, real=True)

    def _run(self, place: int, inputs: list[Array], real: bool) -> Array:
        index, op = self._operators[place - len(self._file.inputs)]
        unknown = [i for i in op.inputs if i >= 0 and i not in self._constants and i not in self._places]
        if unknown:
            raise ModelError(f"{op.name} also reads {self._file.tensors[unknown[0]].name}, whose values are not shown")
        return self._cut(index, real).run(inputs)

    @lru_cache(2)  # noqa: B019 (a walk lives as long as its file is looked at)
    def _cut(self, index: int, real: bool) -> SingleOperator:
        return self._factory.cut(index, real=real)

    def _site(self, index: int, op: Operator | None, rows: list[Array]) -> Site:
        tensor = self._file.tensors[index]
        values = by_example(rows)
        if tensor.scale:
            values = dequantize(values, tensor.scale, tensor.zero_point, tensor.axis)
        reads = () if op is None else tuple(self._places[i] for i in dict.fromkeys(op.inputs) if i in self._places)
        ceiling = 6.0 if op is not None and (op.name == "RELU6" or op.options.get("fusedActivationFunction") == RELU6) else None
        name = op.name if op is not None else INPUT
        return Site(tensor.name, name, reads, np.asarray(values, np.float32), _grid(tensor), self._stored(op), ceiling)

    def _stored(self, op: Operator | None) -> Stored | None:
        if op is None or op.name not in KERNEL_AXES:
            return None
        constant = (self._file.tensors[i] for i in op.inputs if self._file.tensors[i].constant)
        weight = next((tensor for tensor in constant if len(tensor.shape) > 1), None)
        if weight is None or not weight.scale or weight.index not in self._constants:
            return None
        rows = rows_of(self._constants[weight.index].astype(np.int64), KERNEL_AXES[op.name])
        zero_points = np.reshape(weight.zero_point, (-1, 1))
        return Stored(rows - (zero_points if len(zero_points) in (1, len(rows)) else 0), np.asarray(weight.scale, np.float32))


def shown_operators(file: TfliteFile) -> list[tuple[int, Operator]]:
    """The operators whose first result is a site, with their places in the file; the sites of the file's inputs come before them."""
    folded = without_inputs(file)
    return [
        (index, op)
        for index, op in enumerate(file.operators)
        if op.outputs and op.outputs[0] not in folded and _is_real(file.tensors[op.outputs[0]])
    ]


def without_inputs(file: TfliteFile) -> set[int]:
    """Tensors that operators compute from constants alone, such as float32 weights from float16."""
    found = set[int]()
    for op in file.operators:
        if op.inputs and all(i < 0 or file.tensors[i].constant or i in found for i in op.inputs):
            found |= set(op.outputs)
    return found


def _is_real(tensor: Tensor) -> bool:
    return tensor.dtype == "FLOAT32" or bool(tensor.scale and tensor.dtype in ("INT8", "UINT8", "INT16"))


def _grid(tensor: Tensor) -> Affine | None:
    return affine(tensor.scale[0], tensor.zero_point[0], tensor.dtype) if tensor.scale else None

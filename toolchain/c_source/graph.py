"""A .tflite as the generator sees it: what is computed on the device, and what is known before."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.runners.litert_layers import Layers
from toolchain.tflite_file import Operator, Tensor, TfliteFile


class Graph:
    """One file. Tensors that do not depend on the inputs' values (constants, shapes) are known; LiteRT computed them."""

    def __init__(self, path: Path) -> None:
        """Raises ModelError for a broken file, a float file, one with control flow, and one with a batch that is not 1."""
        self.path = path
        self.file = TfliteFile.read(path)
        if self.file.subgraphs != 1:
            raise ModelError(f"{path}: C is generated from one graph; this file has {self.file.subgraphs} (loops or branches)")
        kinds = {t.dtype for t in self.file.tensors if not t.constant}
        if not {"INT8", "UINT8"} & kinds:
            raise ModelError(f"{path}: C is generated from an int8 file; this one computes in {', '.join(sorted(kinds)).lower()}")
        for index in (*self.file.inputs, *self.file.outputs):
            shape = self.tensor(index).shape
            if (shape and shape[0] != 1) or any(size < 1 for size in shape):
                raise ModelError(f"{path}: C is generated for one example; {self.tensor(index).name!r} has the shape {shape}")

    def tensor(self, index: int) -> Tensor:
        """A tensor by its index."""
        return self.file.tensors[index]

    @cached_property
    def known(self) -> frozenset[int]:
        """Tensors whose values are the same for every input."""
        found = {t.index for t in self.file.tensors if t.constant}
        for op in self.file.operators:
            if op.name == "SHAPE" or all(index in found for index in op.inputs if index >= 0):
                found.update(op.outputs)
        return frozenset(found)

    @property
    def steps(self) -> list[tuple[int, Operator]]:
        """The operators that a device has to compute, with their place in the file."""
        return [(place, op) for place, op in enumerate(self.file.operators) if not set(op.outputs) <= self.known]

    def value(self, index: int) -> Array:
        """What is known of a tensor. Raises ModelError where it depends on the inputs."""
        tensor = self.tensor(index)
        if index not in self.known:
            raise ModelError(f"{tensor.name!r} is computed, where a constant is needed")
        return self.file.constant(tensor) if tensor.constant else np.asarray(self._layers.tensor(index))

    @cached_property
    def _layers(self) -> Layers:
        layers = Layers(self.path)
        layers.run_on_zeros()
        return layers
